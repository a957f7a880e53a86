"""Vibrational density of states: at which wavenumbers the atoms of a trajectory move, and how hot each is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Float

from neuralmd.data.tally import temperatures, without_drift
from neuralmd.data.trajectory import Trajectory, VelocitySource, with_central_velocities
from neuralmd.errors import DataError
from neuralmd.units import WAVENUMBER_PERIOD

CH_STRETCH: Final = (2850.0, 3250.0)
"""Where C-H stretches lie [cm^-1]."""

_FEWEST_FRAMES: Final = 16
_PROMINENCE: Final = 0.03
"""Part of the highest peak by which a peak must stand out to be listed."""


@dataclass(frozen=True, eq=False)
class VibrationalSpectrum:
    """The vibrational density of states D of a trajectory, as a density of temperature.

    integral of D(n) dn = T: the mean kinetic temperature of the trajectory, so that a mode that a method has lost, or
    has heated up, is missing or too high. A mode that is as warm as the rest adds T / f, with f degrees of freedom.

    Attributes:
        wavenumbers: Uniform, from 0 to the Nyquist wavenumber [cm^-1].
        per_atom: Share of each atom in the density [K cm].
        resolution: Spacing of the wavenumbers, one over the length of Welch's window; a sharp line comes out 1.44
            times as wide (full width at half height of a Hann window) [cm^-1].
        symbols: Chemical symbol of each atom.
        timestep: Time from frame to frame [fs].
        velocity_source: Where the velocities come from. Central differences weaken high wavenumbers by
            `central_difference_attenuation`, which is not undone: those of a velocity-Verlet run are the integrator's.
    """

    wavenumbers: Float[np.ndarray, " bin"]
    per_atom: Float[np.ndarray, "atoms bin"]
    resolution: float
    symbols: tuple[str, ...]
    timestep: float
    velocity_source: VelocitySource | None

    @property
    def density(self) -> Float[np.ndarray, " bin"]:
        """D [K cm], the sum over all atoms."""
        return self.per_atom.sum(axis=0)

    @property
    def elements(self) -> dict[str, Float[np.ndarray, " bin"]]:
        """Share of each element in the density [K cm]."""
        symbols = np.asarray(self.symbols)
        return {symbol: self.per_atom[symbols == symbol].sum(axis=0) for symbol in sorted(set(self.symbols))}

    @property
    def temperature(self) -> float:
        """The integral of the density [K]."""
        return float(self.density.sum() * self.resolution)

    @property
    def nyquist(self) -> float:
        """The highest wavenumber that the spacing of the frames resolves; what is above is folded below it [cm^-1]."""
        return nyquist_wavenumber(self.timestep)


@dataclass(frozen=True)
class Peak:
    """The highest peak of a spectrum within a band.

    Attributes:
        position: Of the top, by a parabola through it and its neighbours [cm^-1].
        height: Of that parabola [K cm]; it depends on the resolution.
        area: Integral over the whole band, which does not [K].
        centre: Mean wavenumber of the band, weighted by the density [cm^-1].
    """

    position: float
    height: float
    area: float
    centre: float


def nyquist_wavenumber(timestep: float) -> float:
    """1 / (2 c dt) [cm^-1], the highest wavenumber that frames dt apart [fs] resolve."""
    return WAVENUMBER_PERIOD / (2 * timestep)


def seam_wavenumber(gap: float) -> float:
    """1 / (c gap) [cm^-1]: where kinks at anchors `gap` [fs] apart put a false line; more are at its multiples."""
    return WAVENUMBER_PERIOD / gap


def central_difference_attenuation(
    wavenumbers: Float[np.ndarray, " bin"], timestep: float
) -> Float[np.ndarray, " bin"]:
    """(sin w dt / w dt)^2: what is left of the density if velocities are (x(t + dt) - x(t - dt)) / (2 dt)."""
    return np.sinc(2 * wavenumbers * timestep / WAVENUMBER_PERIOD) ** 2


def with_velocities(trajectory: Trajectory) -> Trajectory:
    """The segments that a spectrum can be taken of, with velocities: stored ones, or else central differences.

    Raises:
        DataError: If all segments have fewer than 16 frames with velocities, or a stored velocity is not finite.
    """
    needed = _FEWEST_FRAMES if trajectory.velocities is not None else _FEWEST_FRAMES + 2
    long = tuple(index for index, segment in enumerate(trajectory.segments) if segment.length >= needed)
    if not long:
        most = max(segment.length for segment in trajectory.segments)
        raise DataError(f"a spectrum needs {needed} frames in a row, but the longest segment has {most}: give more")
    if trajectory.velocities is None:
        return with_central_velocities(trajectory.select(long))
    bad = ~np.isfinite(trajectory.velocities).all(axis=(1, 2))
    if bad.any():
        raise DataError(f"a spectrum needs finite velocities, but those of frame {int(bad.argmax())} are not")
    return trajectory.select(long)


def vibrational_spectrum(trajectory: Trajectory, resolution: float = 10.0) -> VibrationalSpectrum:
    """The vibrational density of states of a trajectory.

    D(n) = 1 / (f k_B) sum_i m_i S_i(n),  integral of S_i(n) dn = <|v_i - v_com|^2>

    S_i is the one-sided power spectrum of an atom's velocity by Welch's method: Hann windows that overlap by half or
    more, so that they cover the whole segment. The mean over segments is weighted by their frames. Each atom's share is
    scaled, by some percent, to the atom's kinetic energy over all frames, to which Hann windows give unequal weights.
    f is that of `neuralmd.data.tally.temperatures`.

    Args:
        trajectory: Its velocities are taken; if it has none, central differences are. Segments with fewer than 16
            frames are left out.
        resolution: Spacing of wavenumbers asked for [cm^-1]. A trajectory whose longest segment is shorter than
            33356 / resolution fs has a coarser one, which the result states; shorter segments are padded with zeros.

    Raises:
        DataError: If all segments are too short, the segments differ in their time step, a velocity is not finite, or
            the resolution is so coarse that it leaves no spectrum.

    Reference:
        Welch, IEEE Trans. Audio Electroacoust. 15, 70 (1967).
    """
    if not 0 < resolution < float("inf"):
        raise DataError(f"the resolution must be positive and finite [cm^-1], but is {resolution}")
    used = with_velocities(trajectory)
    window = round(WAVENUMBER_PERIOD / (resolution * used.timestep))
    if window < _FEWEST_FRAMES:
        raise DataError(
            f"a resolution of {resolution:g} cm^-1 leaves {window // 2} points up to "
            f"{nyquist_wavenumber(used.timestep):.0f} cm^-1, the highest that {used.timestep:g} fs from frame to frame "
            f"resolve: ask for one of {2 * nyquist_wavenumber(used.timestep) / _FEWEST_FRAMES:.0f} at most"
        )
    window = min(window, max(segment.length for segment in used.segments))
    return VibrationalSpectrum(
        wavenumbers=np.fft.rfftfreq(window, used.timestep / WAVENUMBER_PERIOD),
        per_atom=_densities(used, window),
        resolution=WAVENUMBER_PERIOD / (window * used.timestep),
        symbols=tuple(used.system.symbols),
        timestep=used.timestep,
        velocity_source=used.velocity_source,
    )


def spectrum_difference(
    spectrum: VibrationalSpectrum, truth: VibrationalSpectrum, band: tuple[float, float] | None = None
) -> float:
    """The integral of |D - D_true| over the integral of D_true, within a band [cm^-1].

    0 for equal spectra, 1 where nothing of the truth is left, 2 if as much is elsewhere. It is taken at the truth's
    wavenumbers; above its Nyquist wavenumber, a spectrum is nothing.

    Raises:
        DataError: If the truth has nothing in the band.
    """
    inside = _inside(truth, band)
    grid, true = truth.wavenumbers[inside], truth.density[inside]
    if true.sum() == 0:
        raise DataError("spectra cannot be compared where the true one is zero: choose another band")
    density = np.interp(grid, spectrum.wavenumbers, spectrum.density, right=0.0)
    return float(np.abs(density - true).sum() / true.sum())


def peak(spectrum: VibrationalSpectrum, band: tuple[float, float]) -> Peak:
    """The highest peak within a band [cm^-1].

    Raises:
        DataError: If the spectrum does not reach into the band.
    """
    inside = np.flatnonzero(_inside(spectrum, band))
    density = spectrum.density
    area = float(density[inside].sum() * spectrum.resolution)
    middle = float(np.mean(band))
    centre = float(density[inside] @ spectrum.wavenumbers[inside] / density[inside].sum()) if area else middle
    position, height = _vertex(spectrum, int(inside[density[inside].argmax()]))
    return Peak(position, height, area, centre)


def strongest_peaks(spectrum: VibrationalSpectrum, most: int = 6) -> Sequence[float]:
    """The positions of the peaks that stand out most [cm^-1], in increasing order."""
    from scipy.signal import find_peaks

    density = spectrum.density
    found, properties = find_peaks(density, prominence=_PROMINENCE * density.max(initial=np.finfo(float).tiny))
    order = np.argsort(properties["prominences"])[::-1][:most]
    return [_vertex(spectrum, int(index))[0] for index in sorted(found[order])]


def _densities(trajectory: Trajectory, window: int) -> Float[np.ndarray, "atoms bin"]:
    system = trajectory.system
    masses = system.masses[:, None]
    power, squares, kelvin = np.zeros((system.atoms, window // 2 + 1)), np.zeros(system.atoms), 0.0
    for part in trajectory.split():
        share = len(part) / len(trajectory)
        velocities = without_drift(_velocities(part), system)
        power += share * masses * _power(velocities, window, part.timestep)
        squares += share * (masses * (velocities**2).mean(axis=0)).sum(axis=1)
        kelvin += share * float(temperatures(part.positions, velocities, system).mean())
    spacing = WAVENUMBER_PERIOD / (window * trajectory.timestep)
    scale = squares / np.maximum(power.sum(axis=1) * spacing, np.finfo(float).tiny)
    return power * scale[:, None] * (kelvin / max(squares.sum(), np.finfo(float).tiny))


def _velocities(part: Trajectory) -> Float[np.ndarray, "frames atoms 3"]:
    if part.velocities is None:
        raise DataError("a spectrum needs velocities")
    return part.velocities


def _power(
    velocities: Float[np.ndarray, "frames atoms 3"], window: int, timestep: float
) -> Float[np.ndarray, "atoms bin"]:
    """The power spectrum of each atom, the sum over x, y and z [A^2/fs^2 cm]."""
    from scipy.signal import welch

    length = min(window, len(velocities))
    rest = len(velocities) - length
    steps = -(-2 * rest // length)
    overlap = length - rest // steps if steps else 0
    rate = WAVENUMBER_PERIOD / timestep
    spectra = []
    for one in np.moveaxis(velocities, 1, 0):  # atom by atom, because all windows of an array are held at once
        _, density = welch(
            one,
            rate,
            "hann",
            length,
            overlap,
            window,
            detrend=False,  # pyright: ignore[reportArgumentType] - the stubs know strings only
            axis=0,
        )
        spectra.append(density.sum(axis=1))
    return np.stack(spectra)


def _inside(spectrum: VibrationalSpectrum, band: tuple[float, float] | None) -> np.ndarray:
    low, high = band or (0.0, np.inf)
    inside = (spectrum.wavenumbers >= low) & (spectrum.wavenumbers <= high)
    if not inside.any():
        raise DataError(
            f"the band {low:g}..{high:g} cm^-1 holds no point of a spectrum that reaches {spectrum.nyquist:.0f} cm^-1 "
            f"in steps of {spectrum.resolution:.0f} cm^-1: are its frames too few, or is its time step another?"
        )
    return inside


def _vertex(spectrum: VibrationalSpectrum, index: int) -> tuple[float, float]:
    """Position and height of the parabola through a point and its neighbours; the point itself if it is no maximum."""
    density, wavenumbers = spectrum.density, spectrum.wavenumbers
    here = float(wavenumbers[index]), float(density[index])
    if not 0 < index < len(density) - 1:
        return here
    before, top, after = density[index - 1 : index + 2]
    bend = before - 2 * top + after
    if top < max(before, after) or bend >= 0:
        return here
    shift = (before - after) / (2 * bend)
    return here[0] + float(shift) * spectrum.resolution, float(top - (before - after) * shift / 4)
