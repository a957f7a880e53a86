"""The part of a report that tells how far a rebuilt file is to be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from neuralmd.data.files import TrajectoryReader
from neuralmd.data.seen import Seen
from neuralmd.data.trust import Flag
from neuralmd.report.html.flags import GapTrust, Stretch
from neuralmd.report.html.parts import Tile
from neuralmd.report.html.trust_chart import LANES, TrustChart
from neuralmd.report.html.words import length

_ROWS: Final = 12
"""Stretches in the table; the longest ones where there are more."""

_IN_PS: Final = 1e4
"""Times from here on are in ps [fs]."""

Cells = tuple[str, str, str, str]
"""Of one stretch: when, how many gaps, its largest error bar, and why it is flagged."""


@dataclass(frozen=True)
class Kind:
    """How many gaps have one of the flags.

    Attributes:
        style: Class of its colour.
        gaps: How many, and what part of all.
        what: What the flag says.
    """

    style: str
    gaps: str
    what: str


@dataclass(frozen=True, eq=False)
class TrustPart:
    """How far a rebuilt file is to be trusted, in words, numbers and a chart.

    Attributes:
        text: The result in a sentence or two.
        kinds: The flags that there are.
        chart: All gaps over time.
        chart_text: What it shows.
        chart_alt: The same for who cannot see it.
        rows: The flagged stretches.
        caption: What the rows are.
        tile: The result in a number.
    """

    text: str
    kinds: Sequence[Kind]
    chart: TrustChart
    chart_text: str
    chart_alt: str
    rows: Sequence[Cells]
    caption: str
    tile: Tile

    @classmethod
    def of(cls, reader: TrajectoryReader, trust: GapTrust, name: str, seen: Seen | None, shown: range) -> TrustPart:
        """What there is to say of a file.

        Args:
            reader: The file.
            trust: Its gaps.
            name: The file's.
            seen: What the model was trained on; none if nobody knows.
            shown: The gaps that the 3-D view shows.

        Raises:
            DataError: If the file cannot be read.
        """
        every = trust.stretches()
        longest = sorted(every, key=lambda stretch: -stretch.gaps)[:_ROWS]
        chosen = sorted(longest, key=lambda stretch: stretch.start)
        rows = [_row(stretch, reader, trust, seen) for stretch in chosen]
        return cls(
            _text(trust, name),
            [_kind(flag, trust) for flag in Flag if trust.count(flag)],
            TrustChart.of(trust, shown),
            _chart_text(trust, whole=len(shown) == len(trust)),
            _alt(trust),
            rows,
            _caption(len(every), len(rows), len(trust.segments)),
            Tile("Gaps without a flag", f"{len(trust) - trust.flagged} of {len(trust)}", f"of the whole file {name}"),
        )


def _text(trust: GapTrust, name: str) -> str:
    some = f"{trust.flagged} of the {len(trust)}" if trust.flagged else f"None of the {len(trust)}"
    told = [f"{some} gaps of {name} {'carry' if trust.flagged > 1 else 'carries'} a flag."]
    known = trust.bars[np.isfinite(trust.bars)]
    if len(known):
        level = "" if trust.level is None else f" ({trust.level:.0%})"
        told.append(
            f"The error bar of a frame{level} rises to {length(float(np.median(known)))} in a typical gap and to "
            f"{length(float(known.max()))} in the worst."
        )
    if trust.limit is None:
        told.append("Nobody set a limit for error bars (--max-error).")
    if not trust.compared:
        told.append("Nothing tells whether the gaps are like the training data: they were not compared.")
    return " ".join(told)


def _kind(flag: Flag, trust: GapTrust) -> Kind:
    count = trust.count(flag)
    limit = "the limit" if trust.limit is None else f"the limit of {length(trust.limit)}"
    what = {
        Flag.UNCERTAIN: f"an error bar above {limit}",
        Flag.SPLINE: "filled by a spline in place of the model, so that there is no error bar",
        Flag.DISTANCE: "two atoms at a distance that was not in the training data",
        Flag.TEMPERATURE: "a known frame hotter or colder than the training data",
    }[flag]
    return Kind(LANES[flag][1], f"{count} ({count / len(trust):.0%})", what)


def _row(stretch: Stretch, reader: TrajectoryReader, trust: GapTrust, seen: Seen | None) -> Cells:
    segment = trust.segments[stretch.segment]
    begin = (stretch.start - segment.start) * segment.timestep
    end = begin + stretch.gaps * trust.stride * segment.timestep
    unit, scale = ("ps", 1e3) if end >= _IN_PS else ("fs", 1.0)
    when = f"{begin / scale:.6g} – {end / scale:.6g} {unit}"
    where = when if len(trust.segments) == 1 else f"segment {stretch.segment + 1}, {when}"
    bar = "none" if np.isnan(stretch.bar) else length(stretch.bar)
    reasons = stretch.reasons(reader, trust.stride, seen, trust.limit)
    return where, f"{stretch.gaps}", bar, "; ".join(reasons)


def _caption(stretches: int, rows: int, segments: int) -> str:
    told = ["Consecutive gaps with the same flags are one line."]
    if rows < stretches:
        told.append(f"These are the {rows} longest of {stretches} stretches.")
    if segments > 1:
        told.append("Times count from the beginning of a segment.")
    told.append(
        "Atoms are counted from 0; distances and temperatures are those farthest outside, in the first 64 gaps."
    )
    return " ".join(told)


def _chart_text(trust: GapTrust, *, whole: bool) -> str:
    parts = ["the largest error bar of each gap"] if np.isfinite(trust.bars).any() else []
    parts += ["the gaps that carry a flag"] if trust.flagged else []
    told = f"{', and below it '.join(parts)}, over the whole file"
    shaded = "" if whole else "; the shaded stretch is what the 3-D view above shows"
    return f"{told[:1].upper()}{told[1:]}{shaded}."


def _alt(trust: GapTrust) -> str:
    lanes = [f"{label} {trust.count(flag)}" for flag, (label, _) in LANES.items() if trust.count(flag)]
    told = f"{len(trust)} gaps over time, and their flags: {', '.join(lanes) or 'none'}"
    known = trust.bars[np.isfinite(trust.bars)]
    return (
        f"{told}; error bars from {length(float(known.min()))} to {length(float(known.max()))}" if len(known) else told
    )
