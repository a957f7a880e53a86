"""Pages in one piece: templates filled in, with styles and scripts inside, and nothing that comes from elsewhere."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Final

from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup

LIBRARY: Final = "3Dmol-min.js"
"""The library that draws molecules, as an asset."""

LICENCE: Final = "3Dmol-LICENSE.txt"
"""Its licence, which goes wherever the library goes."""

VIEWER_VERSION: Final = "2.5.5"
"""Version of the 3Dmol.js that is shipped, as its package on npm is called."""

_IN_SCRIPTS: Final = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def asset(name: str) -> str:
    """A template, style or script that is shipped with the package."""
    return (files("neuralmd.report.html") / "assets" / name).read_text(encoding="utf-8")


def templates() -> Environment:
    """The shipped templates; what they are given is escaped, unless it is `trusted`."""
    loader = FunctionLoader(asset)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def trusted(text: str) -> Markup:
    """A text of our own that goes into the page as it is."""
    return Markup(text)  # noqa: S704


def for_script(values: Mapping[str, object]) -> str:
    """JSON that cannot end the script element that it stands in, whatever its texts are."""
    text = json.dumps(values, separators=(",", ":"), allow_nan=False)
    return "".join(_IN_SCRIPTS.get(letter, letter) for letter in text)


def policy(scripts: Sequence[str]) -> str:
    """What a browser lets the page do: run these scripts and no others, show what is inside, ask no network."""
    hashes = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def packed(script: str) -> str:
    """A script as gzip in base64, which `unpack.js` runs: of the library, little more than a third remains."""
    return base64.b64encode(gzip.compress(script.encode("utf-8"), mtime=0)).decode("ascii")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
