"""The configurations that come with neuralmd: in the package of an installed one, beside it in a checkout."""

from __future__ import annotations

from pathlib import Path

from neuralmd.errors import ConfigError

_PACKAGE = Path(__file__).resolve().parents[1]
_FOLDERS = (_PACKAGE / "configs", _PACKAGE.parent / "configs")
"""Where a wheel has them, and where a checkout has them."""


def shipped() -> dict[str, Path]:
    """The files of all configurations, by name.

    Raises:
        ConfigError: If the installation has none.
    """
    folder = next((folder for folder in _FOLDERS if folder.is_dir()), None)
    if folder is None:
        raise ConfigError(f"{_FOLDERS[0]}: the configurations are missing; install neuralmd again")
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def text_of(name: str) -> str:
    """The text of the configuration of a name, as benzene.

    Raises:
        ConfigError: If there is none of that name.
    """
    known = shipped()
    if name not in known:
        raise ConfigError(f"there is no configuration {name!r}; there are {', '.join(known)}")
    return known[name].read_text(encoding="utf-8")


def copy(name: str, output: Path, *, overwrite: bool = False) -> None:
    """Write the configuration of a name into a file, folders included.

    Raises:
        ConfigError: If there is none of that name, or the file exists and may not be replaced.
    """
    text = text_of(name)
    if output.exists() and not overwrite:
        raise ConfigError(f"{output} exists: give another name, or --overwrite to replace it")
    output.parent.mkdir(parents=True, exist_ok=True)
    part = output.with_name(f".{output.name}.part")  # a kill shall leave no half of a configuration that still parses
    part.write_text(text, encoding="utf-8")
    part.replace(output)


def summary_of(name: str) -> str:
    """What the configuration of a name is for: the first paragraph of its comment."""
    lines: list[str] = []
    for line in text_of(name).splitlines():
        words = line.removeprefix("#").strip()
        if not line.startswith("#") or not words:
            break
        lines.append(words)
    return " ".join(lines)
