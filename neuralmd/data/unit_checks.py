"""Whether a file can be in the units that it is taken for: velocities, temperature and distances of neighbours."""

from __future__ import annotations

from typing import Final

import numpy as np

from neuralmd.data.declared import LengthUnit, VelocityUnit
from neuralmd.data.files import TrajectoryReader
from neuralmd.data.rounding import about_rounding
from neuralmd.data.tally import Tally
from neuralmd.data.trajectory import Segment

_HOT: Final = 1e4
_COLD: Final = 1.0
_USUAL_TEMPERATURE: Final = 400.0
"""A temperature as simulations have it [K]: of the units that would do, the one that comes nearest to it is named."""

_RESOLVED: Final = 0.5
"""Correlation of consecutive displacements above which central differences follow the velocities closely."""

_ROUGHLY_RESOLVED: Final = 0.3
"""The same, above which they still have the size of the velocities."""

_SAMPLE: Final = 256
_ATOMS: Final = 500
_NOBLE: Final = (2, 10, 18, 36, 54, 86)
_BOND_SPREAD: Final = 1.3
"""Factor by which the usual distance of neighbours differs from the sum of their covalent radii at most."""


def check_units(reader: TrajectoryReader) -> tuple[str, ...]:
    """What is suspicious about the units and the digits of a file, from its first frames, a sentence each.

    Raises:
        DataError: If a frame cannot be read.
    """
    segment = max(reader.segments, key=lambda one: one.length)
    sample = Segment(segment.start, min(segment.length, _SAMPLE), segment.timestep)
    tally = Tally(reader.system)
    tally.start(sample)
    tally.add(reader.read(sample.start, sample.stop), sample.start, sample.start, sample.stop)
    count, total, _ = tally.temperature[0]
    temperature = total / count if count else None
    return (
        *about_velocities(tally, temperature, reader.velocity_unit),
        *about_lengths(reader),
        *about_rounding(reader),
    )


def about_velocities(tally: Tally, temperature: float | None, taken: VelocityUnit) -> list[str]:
    """What is suspicious about velocities, in comparison with the positions and as a temperature.

    Args:
        tally: Sums over the frames.
        temperature: Mean over the frames [K]; none if unknown.
        taken: The unit that the file's numbers were taken to be in.
    """
    stored, _, central = tally.moments
    comparable = bool(np.isfinite(tally.moments).all() and stored > 0 and central > 0)
    found = _against_positions(tally, temperature, taken) if comparable else []
    if temperature is None or _COLD < temperature < _HOT:
        return found
    told = f"a temperature of {temperature:.3g} K: "
    if found or not comparable:
        return [f"{told}are velocities in A/fs, and is the time step right?", *found] if temperature > _HOT else found
    return [told + _plausible(temperature, taken)]


def _against_positions(tally: Tally, temperature: float | None, taken: VelocityUnit) -> list[str]:
    stored, mixed, central = tally.moments
    after, before_after = tally.products
    resolved, slope, correlation = before_after / after, mixed / central, mixed / np.sqrt(stored * central)
    if resolved > _RESOLVED and correlation < 0.7:
        told = f"the stored velocities do not follow the positions (correlation {correlation:.2f} with central"
        return [f"{told} differences): are they of the same frames and atoms?"]
    if resolved > _ROUGHLY_RESOLVED and correlation > 0.5:
        return [] if 2 / 3 < slope < 1.5 else [_about_factor(float(slope), taken)]
    if stored < 0.1 * central:
        # Where fast modes are not resolved, true velocities are larger than central differences, never much smaller.
        factor = float(np.sqrt(stored / central))
        if temperature is None:
            return [_about_factor(factor, taken)]
        return [f"the stored velocities are far too small for the positions: {_plausible(temperature, taken)}"]
    return []


def about_lengths(reader: TrajectoryReader) -> list[str]:
    """What is suspicious about distances: those of neighbours should be about the sum of their covalent radii."""
    from ase.data import covalent_radii

    system = reader.system
    chosen = np.flatnonzero(~np.isin(system.atomic_numbers, _NOBLE))[:_ATOMS]
    if len(chosen) < 2:
        return []
    start = reader.segments[0].start
    positions = reader.read(start, start + 1).positions[0][chosen]
    radii = covalent_radii[system.atomic_numbers[chosen]]
    ratios = np.linalg.norm(positions[:, None] - positions, axis=-1) / (radii[:, None] + radii)
    np.fill_diagonal(ratios, np.inf)
    ratio = float(np.median(ratios.min(axis=1)))
    taken = reader.length_unit
    for unit in LengthUnit:
        # Numbers that are in `unit` and were taken for `taken` come out longer by this factor.
        if unit is not taken and 1 / _BOND_SPREAD < ratio * unit.factor / taken.factor < _BOND_SPREAD:
            told = f"neighbours are {ratio:.2g} times as far apart as bonded atoms are: lengths are probably in {unit}"
            return [f"{told} (give --length-unit {unit}, or data.length_unit)"]
    return []


def _plausible(temperature: float, taken: VelocityUnit) -> str:
    """The unit that would make a temperature usual; T goes with the square of the velocities."""
    unit = min(
        VelocityUnit, key=lambda one: abs(np.log(temperature * (one.factor / taken.factor) ** 2 / _USUAL_TEMPERATURE))
    )
    if unit is taken:
        return "are velocities in A/fs, and is the time step right?"
    return f"velocities are probably in {unit.words} (give --velocity-unit {unit}, or data.velocity_unit)"


def _about_factor(factor: float, taken: VelocityUnit) -> str:
    unit = min(VelocityUnit, key=lambda one: abs(np.log(factor * one.factor / taken.factor)))
    likely = unit is not taken and abs(np.log(factor * unit.factor / taken.factor)) < np.log(1.5)
    hint = (
        f"they are probably in {unit.words} (give --velocity-unit {unit}, or data.velocity_unit)"
        if likely
        else f"check their unit; expected {taken.words}"
    )
    return (
        f"the stored velocities are {factor:.3g} times those of the positions: {hint} "
        "(or the time step is wrong by that factor)"
    )
