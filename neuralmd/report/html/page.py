"""The page: its parts put into the template, with styles and scripts inside, and nothing that comes from elsewhere."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from neuralmd import __version__
from neuralmd.data.files import AtomicFile
from neuralmd.report.html.figures import Figure
from neuralmd.report.html.parts import Errors, Fact, Tile
from neuralmd.report.html.scene import Scene
from neuralmd.report.html.words import formula

VIEWER_VERSION: Final = "2.5.5"
"""Version of the 3Dmol.js that is shipped, as its package on npm is called."""

_LIBRARY: Final = "3Dmol-min.js"
_LICENCE: Final = "3Dmol-LICENSE.txt"
_IN_SCRIPTS: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


@dataclass(frozen=True, eq=False)
class Page:
    """All that a report says. Every text is plain: the template escapes it.

    Attributes:
        name: The run.
        formula: The molecule.
        headline: What follows its name in the title.
        lead: The result in a sentence or two.
        tiles: The result in numbers.
        notes: What a reader must know, a sentence each.
        scene: What the 3-D view shows.
        errors: The table of errors; none without a test part.
        figures: The figures, in order.
        facts: What was done.
        commands: The commands that do it again.
        settings: The run's configuration.
    """

    name: str
    formula: str
    headline: str
    lead: str
    tiles: Sequence[Tile]
    notes: Sequence[str]
    scene: Scene
    errors: Errors | None
    figures: Sequence[Figure]
    facts: Sequence[Fact]
    commands: Sequence[str]
    settings: str
    no_errors: str = "The run's own trajectory is not there, so that nothing can be said of its test part."

    @property
    def date(self) -> str:
        """Today."""
        return datetime.now(UTC).strftime("%Y-%m-%d")

    @property
    def scene_text(self) -> str:
        """What the 3-D view shows, in words."""
        scene = self.scene
        colours = (
            "Colours tell how far each rebuilt atom is from the truth, known frames are grey; it opens where the error "
            "is largest."
            if scene.truth is not None
            else "Colours tell each rebuilt atom's calibrated error bar, known frames are grey; it opens where the bar "
            "is longest."
            if scene.has_error_bars
            else "Colours are those of the elements."
        )
        duration = (scene.frames - 1) * scene.timestep
        return (
            f"{scene.gaps} gaps, {duration:.4g} fs, from {scene.source}; {scene.stride - 1} frames are rebuilt in "
            f"each gap of {scene.stride * scene.timestep:.4g} fs. {colours}"
        )

    @property
    def viewer_alt(self) -> str:
        """What the 3-D view is, for who cannot see it."""
        return f"3-D view of {self.formula}, {self.scene.system.atoms} atoms, with a slider over its frames below"

    @property
    def timeline_alt(self) -> str:
        """What the chart of errors over time shows, for who cannot see it."""
        told = [
            f"{layer.label} {1e3 * error:.3g} milliangstrom"
            for index, layer in enumerate(self.scene.layers)
            if (error := self.scene.root_mean_square_error(index)) is not None
        ]
        means = f"; root mean squares over all hidden frames: {', '.join(told)}" if told else ""
        return f"Error of the rebuilt frames over time, zero at the known frames{means}"

    def write(self, path: Path, *, overwrite: bool = False) -> int:
        """Write the page; return its size in bytes.

        Raises:
            DataError: If the file exists or has no place.
            OSError: If it cannot be written.
        """
        target = AtomicFile(path, overwrite=overwrite)
        content = self.html().encode("utf-8")
        try:
            target.part.write_bytes(content)
            target.commit()
        except BaseException:
            target.discard()
            raise
        return len(content)

    def html(self) -> str:
        """The page as text."""
        scripts = [_asset(_LIBRARY), _asset("viewer.js")]
        environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
        environment.filters["formula"] = formula
        return environment.from_string(_asset("page.html.j2")).render(
            page=self,
            version=__version__,
            viewer_version=VIEWER_VERSION,
            policy=_policy(scripts),
            style=_trusted(_asset("page.css")),
            scene=_trusted(for_script(self.scene.to_dict())),
            library=_trusted(scripts[0]),
            script=_trusted(scripts[1]),
            licence=_asset(_LICENCE),
        )


def for_script(values: Mapping[str, object]) -> str:
    """JSON that cannot end the script element that it stands in, whatever its texts are."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return "".join(_IN_SCRIPTS.get(letter, letter) for letter in text)


def _policy(scripts: Sequence[str]) -> str:
    """What a browser lets the page do: run these scripts and no others, show what is inside, ask no network."""
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def _asset(name: str) -> str:
    return (files("neuralmd.report.html") / "assets" / name).read_text(encoding="utf-8")


def _trusted(text: str) -> Markup:
    """A text of our own that goes into the page as it is."""
    return Markup(text)  # noqa: S704
