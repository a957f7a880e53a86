"""`Doubts`: how many gaps of a reconstruction are not to be trusted, and why."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from typing import Any

from neuralmd.data.seen import Seen, Strange


@dataclass(frozen=True)
class Doubts:
    """Counts of gaps, which add up over blocks.

    Attributes:
        gaps: All of them.
        uncertain: Those whose largest error bar is above the limit.
        splined: Those that a spline filled in place of the model.
        strange: Those outside the training data, for whatever reason.
        by_distance: Those where two atoms are at a distance that was not in the training data.
        by_temperature: Those with an anchor faster or slower than the training data.
        bars: Number of rebuilt frames that have an error bar.
        bar_sum: Sum of the error bars of these frames [A].
        largest_bar: The largest of them [A].
        farthest: The distance that is farthest outside.
        kelvin: The temperature that is farthest outside [K].
        anchors: Number of anchors that have a usual temperature.
        kelvin_sum: Sum of their temperatures [K].
    """

    gaps: int = 0
    uncertain: int = 0
    splined: int = 0
    strange: int = 0
    by_distance: int = 0
    by_temperature: int = 0
    bars: int = 0
    bar_sum: float = 0.0
    largest_bar: float = 0.0
    farthest: Strange | None = None
    kelvin: float | None = None
    anchors: int = 0
    kelvin_sum: float = 0.0

    def plus(self, other: Doubts, seen: Seen | None) -> Doubts:
        """Those of both."""
        both = [one.farthest for one in (self, other) if one.farthest is not None]
        heat = [one.kelvin for one in (self, other) if one.kelvin is not None]
        return Doubts(
            gaps=self.gaps + other.gaps,
            uncertain=self.uncertain + other.uncertain,
            splined=self.splined + other.splined,
            strange=self.strange + other.strange,
            by_distance=self.by_distance + other.by_distance,
            by_temperature=self.by_temperature + other.by_temperature,
            bars=self.bars + other.bars,
            bar_sum=self.bar_sum + other.bar_sum,
            largest_bar=max(self.largest_bar, other.largest_bar),
            farthest=max(both, key=lambda one: one.excess, default=None),
            kelvin=max(heat, key=lambda one: 0.0 if seen is None else seen.temperature_excess(one), default=None),
            anchors=self.anchors + other.anchors,
            kelvin_sum=self.kelvin_sum + other.kelvin_sum,
        )

    def unlike(self, seen: Seen) -> bool:
        """Whether there is something that the model has not seen: a gap, or the temperature of all together."""
        return bool(self.strange) or self._another_ensemble(seen)

    def _another_ensemble(self, seen: Seen) -> bool:
        return self.anchors > 0 and seen.another_ensemble(self.kelvin_sum / self.anchors, self.anchors)

    def to_json(self) -> str:
        """All of it as text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Doubts:
        """What `to_json` wrote.

        Raises:
            ValueError: If it is something else.
            TypeError: The same.
            KeyError: The same.
        """
        content: dict[str, Any] = json.loads(text)
        farthest = content["farthest"]
        return cls(**{**content, "farthest": None if farthest is None else Strange(**farthest)})

    def about_bars(self, level: float | None, limit: float | None) -> str | None:
        """The error bars in words; none without them.

        Args:
            level: The part of all components that bars are for.
            limit: What bars should not exceed [A].
        """
        if level is None or not self.bars:
            return None
        mean = self.bar_sum / self.bars
        told = f"error bars ({level:.0%}): {mean:.2e} A on average, {self.largest_bar:.2e} A at most"
        if limit is None:
            return told
        done = f", {self.splined} of them filled by a spline" if self.splined else ", marked"
        return f"{told}; {self.uncertain} of {self.gaps} gaps exceed {limit:g} A{done if self.uncertain else ''}"

    def about_training(self, seen: Seen) -> str:
        """Whether the gaps are like what the model was trained on, in words."""
        ensemble = ""
        if self._another_ensemble(seen):
            ensemble = f"; known frames are at {self.kelvin_sum / self.anchors:.0f} K on average, training data at "
            ensemble += f"{seen.mean:.0f} K: error bars, which are calibrated there, may be wrong"
        if not self.strange:
            return f"training data: all {self.gaps} gaps are within what the model has seen{ensemble}"
        reasons = []
        if self.farthest is not None:
            reasons.append(f"{self.by_distance} by a distance ({describe(self.farthest, seen)})")
        if self.kelvin is not None:
            usual = f"{seen.coldest:.0f} to {seen.hottest:.0f} K"
            reasons.append(f"{self.by_temperature} by the motion of an anchor ({self.kelvin:.0f} K, seen {usual})")
        told = f"training data: {self.strange} of {self.gaps} gaps are outside what the model has seen"
        return f"{told}, {' and '.join(reasons)}{ensemble}"


def describe(strange: Strange, seen: Seen) -> str:
    """A distance outside the training data, in words; atoms are counted from 0."""
    pair = "-".join(f"{seen.system.symbols[atom]}{atom}" for atom in (strange.first, strange.second))
    distance = f"{strange.distance:.2f} A" if math.isfinite(strange.distance) else "no finite distance"
    known = f"{strange.lowest:.2f} to {strange.highest:.2f} A"
    return f"{pair} at {distance}, seen {known}, {seen.margin:.0%} of that range allowed on either side"
