"""Makes a page of every notebook when the site is built, from the outputs that it holds; nothing is executed."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

_FOLDER = "tutorials"
_NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page, the pictures and the notebook itself for each notebook; mkdocs calls it once."""
    for notebook in sorted(_NOTEBOOKS.glob("*.ipynb")):
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        pictures: dict[str, bytes] = {}
        text = "\n\n".join(block for cell in cells for block in _blocks(cell, notebook.stem, pictures))
        text += f"\n\n---\n\n[This page as a notebook]({notebook.name})\n"
        files.append(File.generated(config, f"{_FOLDER}/{notebook.stem}.md", content=text))
        files.append(File.generated(config, f"{_FOLDER}/{notebook.name}", abs_src_path=str(notebook)))
        for name, picture in pictures.items():
            files.append(File.generated(config, f"{_FOLDER}/{name}", content=picture))
    return files


def _blocks(cell: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> Iterator[str]:
    """A cell and its outputs as blocks of Markdown; pictures are put aside under the names that the blocks use."""
    source = "".join(cell["source"])
    if cell["cell_type"] == "markdown":
        yield source
    elif cell["cell_type"] == "code" and source.strip():
        yield f"```python\n{source}\n```"
        for output in cell["outputs"]:
            yield from _output(output, stem, pictures)


def _output(output: dict[str, Any], stem: str, pictures: dict[str, bytes]) -> Iterator[str]:
    data = output.get("data", {"text/plain": output.get("text", "")})
    if "image/png" in data:
        name = f"{stem}-{len(pictures) + 1}.png"
        pictures[name] = base64.b64decode(data["image/png"])
        yield f"![Figure {len(pictures)}]({name})"
    elif "text/html" in data:
        yield "".join(data["text/html"])
    elif text := "".join(data.get("text/plain", "")).strip("\n"):
        yield f"```text\n{text}\n```"
