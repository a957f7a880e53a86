"""`Seen`: what a model was trained on, so that it can say where it is asked for something else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from neuralmd.data.pair_classes import PairClasses
from neuralmd.data.tally import temperatures
from neuralmd.errors import DataError
from neuralmd.system import System

_MARGIN, _MOST_MARGIN = 0.1, 0.5
"""Part of its width by which a range of distances is widened on either side: at least, and at most."""

_BEYOND = 1.2
"""Times what the validation part lies outside that its margin is."""

_TAIL = 1e-4
"""Probability that a temperature of the training ensemble lies beyond one of the limits."""

_SAME_HEAT, _CHANCE = 1.3, 4.0
"""Factor, and number of standard errors, by which mean temperatures differ that are those of other ensembles."""

_MOST_FREEDOM = 1e6
_SAMPLE = 200
_BYTES_AT_ONCE = 2**24


@dataclass(frozen=True, eq=False)
class Strange:
    """What lies farthest outside the training data.

    Attributes:
        first: One atom.
        second: Another.
        distance: Their distance [A].
        lowest: The shortest that such atoms had in the training data [A].
        highest: The longest [A].
        excess: How far outside, in widths of that range.
    """

    first: int
    second: int
    distance: float
    lowest: float
    highest: float
    excess: float


@dataclass(frozen=True, eq=False)
class Seen:
    """What there was in the training data: distances by kind of pair, and temperatures.

    A distance is strange if it is outside [a - m, b + m], where a and b are the shortest and the longest of its class
    (see `PairClasses`) in any training frame, and m is a part of b - a: 0.1, or more, up to 0.5, where the training
    part is so short that the frames of the validation part, which follow it, go farther (see `widened`). A frame is too
    fast or too slow if its kinetic temperature is outside those of all training frames and outside the quantiles 1e-4
    and 1 - 1e-4 of a chi-squared distribution with their mean and variance.

    Attributes:
        system: The atoms.
        pairs: Their pairs.
        lowest: Shortest distance of each class [A].
        highest: Longest distance of each class [A].
        coldest: Lowest usual temperature [K].
        hottest: Highest usual temperature [K].
        frames: How many frames these come from.
        margin: m / (b - a).
        mean: Mean temperature [K]; not a number where it is not known.
        spread: Standard deviation of the temperature from frame to frame [K]; the same.
    """

    system: System
    pairs: PairClasses
    lowest: Float[np.ndarray, " classes"]
    highest: Float[np.ndarray, " classes"]
    coldest: float
    hottest: float
    frames: int
    margin: float = _MARGIN
    mean: float = np.nan
    spread: float = np.nan

    @classmethod
    def of(
        cls,
        system: System,
        positions: Float[np.ndarray, "frames atoms 3"],
        velocities: Float[np.ndarray, "frames atoms 3"] | None,
    ) -> Seen:
        """The statistics of training frames; their temperature is not known without velocities.

        Raises:
            DataError: If there is no frame.
        """
        if len(positions) == 0:
            raise DataError("there is no training frame to take distances from")
        few, atoms = positions[:: max(1, len(positions) // _SAMPLE)], system.atoms
        first, second = np.triu_indices(atoms, 1)
        mean = np.zeros((atoms, atoms))
        mean[first, second] = distances(few, system, first, second).mean(0)
        pairs = PairClasses.of(system, mean + mean.T)
        lowest, highest = np.full(pairs.count, np.inf), np.zeros(pairs.count)
        for block in _blocks(positions, len(first)):
            found = distances(block, system, first, second)
            np.minimum.at(lowest, pairs.index, found.min(0))
            np.maximum.at(highest, pairs.index, found.max(0))
        kelvin = np.zeros(0) if velocities is None else temperatures(positions, velocities, system)
        kelvin = kelvin[np.isfinite(kelvin)]
        mean, spread = (float(kelvin.mean()), float(kelvin.std())) if len(kelvin) else (np.nan, np.nan)
        return cls(system, pairs, lowest, highest, *_usual(kelvin), len(positions), mean=mean, spread=spread)

    def widened(
        self,
        positions: Float[np.ndarray, "frames atoms 3"],
        velocities: Float[np.ndarray, "frames atoms 3"] | None,
    ) -> Seen:
        """The same with limits within which frames lie that are like the training's, as those of a validation part.

        m / (b - a) = 1.2 max excess, within 0.1 .. 0.5
        """
        beyond = max(
            (float(self.excess(block).max(initial=0.0)) for block in _blocks(positions, self._pairs)), default=0
        )
        kelvin = np.zeros(0) if velocities is None else temperatures(positions, velocities, self.system)
        kelvin = kelvin[np.isfinite(kelvin)]
        return replace(
            self,
            margin=min(max(_MARGIN, _BEYOND * beyond), _MOST_MARGIN),
            coldest=float(kelvin.min(initial=self.coldest)),
            hottest=float(kelvin.max(initial=self.hottest)),
        )

    @property
    def _pairs(self) -> int:
        return len(self.pairs.index)

    def excess(self, positions: Float[np.ndarray, "frames atoms 3"]) -> Float[np.ndarray, "frames pairs"]:
        """How far each distance is outside the range of its class, in widths of that range; negative inside.

        A distance is strange where that is above `margin`.
        """
        found = distances(positions, self.system, self.pairs.first, self.pairs.second)
        lowest, highest = self.lowest[self.pairs.index], self.highest[self.pairs.index]
        width = np.maximum(highest - lowest, np.finfo(np.float32).tiny)
        return np.maximum(lowest - found, found - highest) / width

    def strange(
        self, positions: Float[np.ndarray, "frames atoms 3"]
    ) -> tuple[Bool[np.ndarray, " frames"], Strange | None]:
        """Which frames have a strange distance, and the strangest of all."""
        flags: list[Bool[np.ndarray, " frames"]] = [np.zeros(0, dtype=bool)]
        worst: Strange | None = None
        for block in _blocks(positions, self._pairs):
            excess = np.nan_to_num(self.excess(block), nan=np.inf)
            odd = np.asarray((excess > self.margin).any(axis=1))
            flags.append(odd)
            if odd.any() and (worst is None or excess.max() > worst.excess):
                frame, pair = np.unravel_index(int(excess.argmax()), excess.shape)
                worst = self._strange(block[frame], int(pair), float(excess[frame, pair]))
        return np.concatenate(flags), worst

    def _strange(self, positions: Float[np.ndarray, "atoms 3"], pair: int, excess: float) -> Strange:
        i, j, kind = (int(each[pair]) for each in (self.pairs.first, self.pairs.second, self.pairs.index))
        distance = float(distances(positions[None], self.system, np.array([i]), np.array([j]))[0, 0])
        return Strange(i, j, distance, float(self.lowest[kind]), float(self.highest[kind]), excess)

    def unusual(self, kelvin: Float[np.ndarray, " frames"]) -> Bool[np.ndarray, " frames"]:
        """Which temperatures [K] are above or below those of the training data."""
        return ~((kelvin >= self.coldest) & (kelvin <= self.hottest))

    def temperature_excess(self, kelvin: float) -> float:
        """By which factor a temperature [K] is outside the usual ones; at most 1 inside."""
        return max(kelvin / self.hottest, self.coldest / max(kelvin, np.finfo(np.float64).tiny))

    def another_ensemble(self, kelvin: float, frames: int) -> bool:
        """Whether the mean temperature of so many frames [K] is another than that of the training data.

        It is if it differs by a factor of more than 1.3, and by more than 4 spread / sqrt(frames), which is chance.
        """
        if not np.isfinite([kelvin, self.mean, self.spread]).all() or frames < 1:
            return False
        apart = max(kelvin, self.mean) > _SAME_HEAT * min(kelvin, self.mean)
        return apart and abs(kelvin - self.mean) > _CHANCE * self.spread / frames**0.5

    def pack(self) -> dict[str, Tensor]:
        """All of it but the system, as tensors."""
        return {
            "classes": torch.as_tensor(self.pairs.index),
            "lowest": torch.as_tensor(self.lowest),
            "highest": torch.as_tensor(self.highest),
            "temperatures": torch.tensor([self.coldest, self.hottest], dtype=torch.float64),
            "ensemble": torch.tensor([self.mean, self.spread], dtype=torch.float64),
            "frames": torch.tensor(self.frames),
            "margin": torch.tensor(self.margin, dtype=torch.float64),
        }

    @classmethod
    def unpack(cls, packed: Mapping[str, Tensor], system: System) -> Seen:
        """What `pack` packed.

        Raises:
            DataError: If something is missing or is of other atoms.
        """
        first, second = np.triu_indices(system.atoms, 1)
        try:
            classes = np.asarray(packed["classes"], dtype=np.int64)
            lowest, highest = (np.asarray(packed[name], dtype=np.float64) for name in ("lowest", "highest"))
            coldest, hottest = (float(kelvin) for kelvin in packed["temperatures"])
            frames, margin = int(packed["frames"]), float(packed["margin"])
            # A run of an earlier version does not tell them.
            mean, spread = (float(kelvin) for kelvin in packed.get("ensemble", (np.nan, np.nan)))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError("what a model was trained on is not told as expected") from error
        if len(classes) != len(first) or not len(lowest) == len(highest) == classes.max(initial=-1) + 1:
            raise DataError("what a model was trained on is told of other atoms")
        pairs = PairClasses(first, second, classes)
        return cls(system, pairs, lowest, highest, coldest, hottest, frames, margin, mean, spread)


def distances(
    positions: Float[np.ndarray, "frames atoms 3"],
    system: System,
    first: Int[np.ndarray, " pairs"],
    second: Int[np.ndarray, " pairs"],
) -> Float[np.ndarray, "frames pairs"]:
    """|x_j - x_i| [A]; of the nearest images in a periodic cell that is not too skewed."""
    apart = positions[:, second] - positions[:, first]
    if system.pbc.any():
        from neuralmd.data.periodic import inverse_cell

        turns = np.rint(apart @ inverse_cell(system)) * system.pbc
        apart = apart - turns @ system.cell
    return np.linalg.norm(apart, axis=-1)


def _usual(kelvin: Float[np.ndarray, " frames"]) -> tuple[float, float]:
    """The limits of `Seen.unusual`; no limits where no temperatures are known."""
    if len(kelvin) < 2:
        return -np.inf, np.inf
    from scipy.special import gammaincinv

    mean = float(kelvin.mean())
    freedom = min(2.0 * mean**2 / max(float(kelvin.var()), np.finfo(np.float64).tiny), _MOST_FREEDOM)
    low, high = (mean * 2.0 * float(gammaincinv(freedom / 2.0, p)) / freedom for p in (_TAIL, 1.0 - _TAIL))
    return min(low, float(kelvin.min())), max(high, float(kelvin.max()))


def _blocks(positions: Float[np.ndarray, "frames atoms 3"], pairs: int) -> list[np.ndarray]:
    most = max(1, _BYTES_AT_ONCE // (24 * max(pairs, 1)))
    return [positions[start : start + most] for start in range(0, len(positions), most)]
