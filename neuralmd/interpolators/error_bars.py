"""`ErrorBars`: how far a rebuilt atom may be from the truth, from what a model can guess of its own error."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.errors import ConfigError, DataError
from neuralmd.system import Curves, System, Times

_SAME_GAP = 1e-3
"""Part of a gap by which it may differ from one that was calibrated."""

_ROUNDING = 1e-9

_REWEIGHTINGS = 4
_FLOOR = 1e-4
_LEAST = 0.05
"""Part of the mean squared error below which no gap weighs more."""

Spreads = Float[Tensor, "time batch atoms"]
"""A number for each atom of each frame."""


@dataclass(frozen=True, eq=False)
class Guesses:
    """What a model says of its own errors, without the truth.

    Attributes:
        squares: g: guesses of the squared errors at each time [A^2].
        levels: L: how much larger than usual all squared errors of a gap are likely to be; the same at all times.
    """

    squares: Spreads
    levels: Float[Tensor, " batch"]

    @staticmethod
    def without_levels(squares: Spreads) -> Guesses:
        """Guesses of a model that has no opinion of a gap as a whole."""
        return Guesses(squares, squares.new_ones(squares.shape[1]))

    @staticmethod
    def joined(parts: Sequence[Guesses]) -> Guesses:
        """The guesses for some gaps and for others as one."""
        return Guesses(torch.cat([one.squares for one in parts], 1), torch.cat([one.levels for one in parts]))


@dataclass(frozen=True, eq=False)
class Residuals:
    """What a calibration looks at: windows whose hidden frames are known.

    Attributes:
        errors: x_hat - x at the hidden frames, which are evenly spaced in the gap [A].
        guesses: What was guessed of them at the same times.
        apart: How many of the windows share no frame with another.
    """

    errors: Curves
    guesses: Guesses
    apart: int


class ErrorBars(nn.Module):
    """Half-widths q such that |x_hat - x| <= q for a stated part of all components.

    q_i(t) = Q_e(s) sigma_i(t),  sigma_i(t)^2 = alpha_e(s) L + beta_e(s) g_i(t),  s = t / gap

    for an atom i of element e. g is a guess of the squared error that needs no truth: |x_bwd,i - x_fwd,i|^2 / 3, or
    what the bridge says (`ThermostatBridge.variances`), which looks at that disagreement more closely. alpha and beta
    are a regression of the squared error on it, and Q is the quantile of |x_hat - x| / sigma that conformal prediction
    takes, that of the part level (1 + rho / n) of all scores. What is exchangeable is a window with all its atoms, so n
    counts windows that share no frame. rho is the variance of the covered part from window to window over
    level (1 - level). It is 1 if the scores of a window are all covered or none is, where the quantile is that of the
    distribution-free guarantee, level (n + 1) / n; and 1 / m if the m scores of a window are independent, where it is
    that of m n scores.

    L is what the gap's own mismatch says of all its errors together (`ThermostatBridge.level`; 1 without a bridge), or,
    of an ensemble of fields, how much these disagree at both anchors (`EnsembleField.disagreement`).
    From one stretch of a trajectory to the next, a field errs more or less, and with it all errors of a gap. Within the
    calibration's stretch this hardly shows, so that the regression takes most of sigma^2 for constant; with L, that
    constant is one of the gap's errors relative to its mismatch, and bars widen where the field does worse.

    All are calibrated at each hidden frame on windows that were not trained on, and interpolated linearly in s between
    them; the bar is zero at both anchors. They belong to the length of the gap.

    The coverage holds for windows that are exchangeable with the calibration's: the same molecule and conditions, and
    anchors whose velocities are known as well. Inferred velocities err more than these bars say: where they are
    inferred, bars of their own hold (`BidirectionalODE.for_inferred_velocities`).

    Args:
        system: The molecule.
        strides: Frames from anchor to anchor of the gaps that it will be calibrated for.
        timestep: Time step of the calibration's frames [fs].
        level: The stated part, in (0, 1).

    Raises:
        ConfigError: If the level is not in (0, 1).

    Reference:
        Lei et al., Distribution-free predictive inference for regression, J. Am. Stat. Assoc. 113 (2018) 1094,
        arXiv 1604.04173, section 5.2 (locally weighted conformal inference); Dunn, Wasserman & Ramdas,
        Distribution-free prediction sets for two-layer hierarchical models, J. Am. Stat. Assoc. 118 (2023) 2491,
        arXiv 1809.07441 (pooling the distributions of groups).
    """

    gaps: Tensor
    calibrated: Tensor
    levelled: Tensor
    species: Tensor

    def __init__(self, system: System, strides: Sequence[int], timestep: float, level: float = 0.9) -> None:
        super().__init__()
        if not 0.0 < level < 1.0:
            raise ConfigError(f"the level of an error bar must be in (0, 1), but is {level}")
        self.level, self.strides = level, tuple(strides)
        elements, species = np.unique(system.atomic_numbers, return_inverse=True)
        self.register_buffer("species", torch.as_tensor(species), persistent=False)
        self.register_buffer("gaps", torch.tensor([k * timestep for k in strides], dtype=torch.float64))
        self.register_buffer("calibrated", torch.zeros(len(strides), dtype=torch.bool))
        self.register_buffer("levelled", torch.ones(len(strides), dtype=torch.bool))
        self.register_load_state_dict_pre_hook(_without_levels)
        for index, stride in enumerate(strides):
            # alpha, beta, Q for each element at all k / K; Q of whole frames is in the last row.
            self.register_buffer(f"table_{index}", torch.zeros(len(elements) + 1, 3, stride + 1))

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the bars."""
        return self._table(0).dtype

    @property
    def fewest_windows(self) -> int:
        """Windows that a calibration needs: with fewer, the quantile of its level is beyond all of them."""
        return math.ceil(self.level / (1.0 - self.level) - _ROUNDING)

    def known(self, gap: float) -> int | None:
        """Index of the calibration for gaps of this length [fs]; none if there is none."""
        close = ((self.gaps - gap).abs() < _SAME_GAP * gap) & self.calibrated
        found = torch.nonzero(close).flatten().tolist()
        return found[0] if found else None

    def forward(self, gap: float, s: Times, guesses: Guesses) -> Spreads:
        """The half-width q of each atom [A].

        Args:
            gap: Time from anchor to anchor [fs].
            s: Times as parts of the gap.
            guesses: g at these times, and L.

        Raises:
            DataError: If it was not calibrated for this gap.
        """
        index = self._index(gap)
        table = self._at(index, s.to(guesses.squares))[:-1][self.species]
        return table[:, 2].T[:, None] * self._sigma(index, table, guesses)

    def of_frames(self, gap: float, s: Times, guesses: Guesses) -> Float[Tensor, "time batch"]:
        """The bar of whole frames: the root mean square error over all components is below it for the stated part.

        Arguments and errors are those of `forward`.
        """
        index = self._index(gap)
        table = self._at(index, s.to(guesses.squares))
        sigma = self._sigma(index, table[:-1][self.species], guesses)
        return table[-1, 2][:, None] * sigma.square().mean(-1).sqrt()

    @torch.no_grad()
    def calibrate(self, stride: int, residuals: Residuals) -> None:
        """Take the errors of known windows as the measure, at one of its strides.

        Raises:
            DataError: If it is none of its strides, or the windows are too few for the level.
        """
        if stride not in self.strides:
            raise DataError(f"error bars are for strides {', '.join(map(str, self.strides))}, but {stride} came")
        if residuals.errors.shape[1] < self.fewest_windows:
            raise DataError(
                f"an error bar of level {self.level:g} needs at least {self.fewest_windows} windows to look at, "
                f"but {residuals.errors.shape[1]} of stride {stride} came"
            )
        index = self.strides.index(stride)
        table = torch.zeros_like(self._table(index))
        table[:, :, 1:-1] = self._fit(residuals).to(table)
        self._table(index).copy_(table)
        self.calibrated[index], self.levelled[index] = True, True

    def _fit(self, residuals: Residuals) -> Float[Tensor, "rows 3 hidden"]:
        errors, guesses = residuals.errors.double(), residuals.guesses.squares.double()
        levels = residuals.guesses.levels.double()[:, None]
        rows, sigma = [], torch.zeros_like(guesses)
        for element in range(int(self.species.max()) + 1):
            atoms = self.species == element
            squares, told = errors[:, :, atoms].square().mean(-1), guesses[:, :, atoms]
            alpha, beta = _regress(squares / levels, told / levels)
            sigma[:, :, atoms] = (alpha[:, None, None] * levels + beta[:, None, None] * told).sqrt()
            scores = errors[:, :, atoms].abs() / sigma[:, :, atoms, None]
            rows.append(torch.stack((alpha, beta, self._covering(scores.flatten(2), residuals.apart))))
        whole = errors.square().mean((-1, -2)).sqrt() / sigma.square().mean(-1).sqrt()
        nothing = torch.zeros(len(whole), dtype=whole.dtype, device=whole.device)
        rows.append(torch.stack((nothing, nothing, self._covering(whole[..., None], residuals.apart))))
        return torch.stack(rows)

    def _covering(self, scores: Float[Tensor, "time window scores"], apart: int) -> Float[Tensor, " time"]:
        """Q: the quantile of the scores for their level and a little more, for so many windows that share no frame."""
        count = scores[0].numel()
        covered = (scores.flatten(1) <= _quantile(scores.flatten(1), self.level)[:, None]).reshape(scores.shape)
        between = float(covered.double().mean(-1).var(1).mean() / (self.level * (1.0 - self.level)))
        rho = min(max(between, len(scores[0]) / count), 1.0)
        return _quantile(scores.flatten(1), self.level * (1.0 + rho / apart))

    def _index(self, gap: float) -> int:
        index = self.known(gap)
        if index is None:
            raise DataError(f"the error bars were not calibrated for gaps of {gap:g} fs")
        return index

    def _table(self, index: int) -> Tensor:
        return self.get_buffer(f"table_{index}")

    def _at(self, index: int, s: Times) -> Float[Tensor, "rows 3 time"]:
        """The table at any times, linear in s between hidden frames."""
        table = self._table(index).to(s)
        place = s * (table.shape[-1] - 1)
        left = place.floor().clamp(max=table.shape[-1] - 2)
        share = place - left
        return (1.0 - share) * table[..., left.long()] + share * table[..., left.long() + 1]

    def _sigma(self, index: int, table: Float[Tensor, "atoms 3 time"], guesses: Guesses) -> Spreads:
        levels = guesses.levels if bool(self.levelled[index]) else torch.ones_like(guesses.levels)
        alpha, beta = table[:, 0].T[:, None], table[:, 1].T[:, None]
        return (alpha * levels[:, None] + beta * guesses.squares).sqrt()


def _regress(
    squares: Float[Tensor, "time window atoms"], guesses: Float[Tensor, "time window atoms"]
) -> tuple[Float[Tensor, " time"], Float[Tensor, " time"]]:
    """alpha, beta >= 0 of squares ~ alpha + beta guesses at each time, by least squares weighted by the fit.

    A square scatters as its own mean does. Unweighted, the few gaps with the largest errors would decide everything.
    """
    y, x = squares.flatten(1), guesses.flatten(1)
    tiny = torch.finfo(y.dtype).tiny
    scale = y.mean(1).clamp(min=tiny)
    y, x = y / scale[:, None], x / x.mean(1, keepdim=True).clamp(min=tiny)
    weights = torch.ones_like(y)
    alpha, beta = torch.zeros_like(scale), torch.zeros_like(scale)
    for _ in range(_REWEIGHTINGS):
        weights = weights / weights.sum(1, keepdim=True)
        mean_x, mean_y = (weights * x).sum(1), (weights * y).sum(1)
        spread = (weights * (x - mean_x[:, None]).square()).sum(1)
        common = (weights * (x - mean_x[:, None]) * (y - mean_y[:, None])).sum(1)
        beta = torch.minimum((common / spread.clamp(min=tiny)).clamp(min=0.0), mean_y / mean_x.clamp(min=tiny))
        # A floor keeps sigma positive where the guess happens to vanish.
        alpha = (mean_y - beta * mean_x).clamp(min=_FLOOR)
        weights = (alpha[:, None] + beta[:, None] * x).clamp(min=_LEAST).square().reciprocal()
    return scale * alpha, scale * beta / guesses.flatten(1).mean(1).clamp(min=tiny)


def _quantile(scores: Float[Tensor, "time n"], level: float) -> Float[Tensor, " time"]:
    """The smallest score that is not below that part of all scores, at each time; the largest for 1 and more."""
    count = scores.shape[1]
    rank = min(math.ceil(count * level - _ROUNDING), count)
    return scores.kthvalue(rank, dim=1).values


def _without_levels(bars: ErrorBars, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Let a calibration of a version that knew no L load, and hold as it did."""
    state.setdefault(f"{prefix}levelled", torch.zeros_like(bars.levelled))
