"""Figures of spectra and bond lengths are written, whatever is in them; methods keep their colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from neuralmd.data.trajectory import Trajectory, VelocitySource
from neuralmd.data.windows import Frames
from neuralmd.errors import DataError
from neuralmd.evaluation.evaluate import Windows
from neuralmd.evaluation.methods import NEURAL_ODE
from neuralmd.interpolators.splines import CubicHermite, Linear
from neuralmd.report.analysis import Analysis
from neuralmd.report.analysis_files import FILES, draw, write
from neuralmd.report.analysis_tables import tables, to_dict
from neuralmd.report.distribution_plots import plot_radial_distributions, plot_samples
from neuralmd.report.families import FAMILIES, family_styles
from neuralmd.report.spectra_plots import SpectrumMarks, plot_spectra
from neuralmd.report.style import STYLES, styles_of
from neuralmd.system import System
from neuralmd.units import WAVENUMBER_PERIOD


def stretching(frames: int = 4001, wavenumber: float = 3000.0) -> Trajectory:
    """C-H whose bond stretches and bends."""
    system = System.from_atomic_numbers([6, 1])
    omega = 2 * np.pi * np.array([wavenumber, 800.0]) / WAVENUMBER_PERIOD
    phase = omega * 0.5 * np.arange(frames)[:, None]
    bond = np.stack((1.1 + 0.05 * np.sin(phase[:, 0]), 0.1 * np.sin(phase[:, 1]), np.zeros(frames)), axis=1)
    rate = np.stack((0.05 * omega[0] * np.cos(phase[:, 0]), 0.1 * omega[1] * np.cos(phase[:, 1]), np.zeros(frames)), 1)
    shares = np.array([-system.masses[1], system.masses[0]])[:, None] / system.masses.sum()
    return Trajectory.uniform(system, shares * bond[:, None], 0.5, velocities=shares * rate[:, None])


def test_an_analysis_of_methods_finds_the_lost_stretch(tmp_path: Path) -> None:
    """Every 20th frame, 10 fs apart: a cubic keeps the slow bend and loses the stretch."""
    windows = Windows("C-H", Frames.of(stretching()), torch.arange(0, 3981, 20), 20, VelocitySource.STORED)
    found = Analysis.of_methods({"linear": Linear(), "cubic_hermite": CubicHermite()}, windows)
    assert list(found.spectra) == ["truth", "coarse", "linear", "cubic_hermite"]
    plain = to_dict(found)
    rows = plain["trajectories"]
    assert isinstance(rows, dict)
    assert plain["seam_line"] == pytest.approx(3335.6, abs=0.1)
    assert rows["truth"]["peaks"] == [pytest.approx(800, abs=3), pytest.approx(3000, abs=3)]
    assert rows["coarse"]["peaks"] == [pytest.approx(335.6, abs=5), pytest.approx(800, abs=5)]
    assert rows["linear"]["difference"] > rows["cubic_hermite"]["difference"] > 0.2
    assert rows["truth"]["difference"] == 0.0
    assert rows["cubic_hermite"]["bond_length_wasserstein"]["C-H"] > 0.001
    assert rows["truth"]["band_peak"] == pytest.approx(3000, abs=3)
    assert rows["coarse"]["band_peak"] is None
    assert rows["cubic_hermite"]["band_height_ratio"] < 0.5
    assert rows["truth"]["band_height_ratio"] == rows["truth"]["band_area_ratio"] == 1.0
    assert rows["cubic_hermite"]["radial_difference"]["C-H"] > 0.05
    written = write(found, tmp_path / "new")
    assert [path.name for path in written] == [name for name in FILES if name != "bond-angles.png"]
    figures = [path for path in written if path.suffix == ".png"]
    assert all(figure.read_bytes().startswith(b"\x89PNG") for figure in figures)


def test_trajectories_of_other_atoms_are_shown_but_not_compared(tmp_path: Path) -> None:
    alone = stretching().slice(0, 500)
    argon = Trajectory.uniform(System.from_atomic_numbers([18]), alone.positions[:, 1:], 0.5)
    both = Analysis.of({"argon": argon, "C-H": alone}, 50.0)
    assert list(both.bond_lengths) == ["argon"]
    assert [figure.name for figure in draw(both, tmp_path)] == ["spectrum.png"]
    first, *_ = tables(both)
    assert [row[0] for row in first.rows] == ["argon", "C-H"]
    assert "| C-H |" in first.markdown()
    assert first.rich().row_count == 2


def test_methods_keep_their_colours_and_files_get_free_ones() -> None:
    styles = styles_of([NEURAL_ODE, "a.h5", "b.h5"])
    assert styles[NEURAL_ODE] == STYLES[NEURAL_ODE]
    assert len({style.colour for style in styles.values()}) == 3
    assert len(styles_of([f"{number}.h5" for number in range(20)])) == 20


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="one spectrum"):
        plot_spectra({}, SpectrumMarks("none"), tmp_path / "none.png")
    with pytest.raises(DataError, match="bonds or angles"):
        plot_samples({}, "none", "Å", {}, tmp_path / "none.png")
    with pytest.raises(DataError, match="radial"):
        plot_radial_distributions({}, "none", {}, tmp_path / "none.png")


def test_families_keep_their_colours_and_the_second_of_a_family_gets_a_free_one() -> None:
    first = family_styles({"ours": "equivariant", "theirs": "lstm", "body": "lstm", "file.h5": None})
    second = family_styles({"theirs": "lstm", "alone": "equivariant"})
    assert first["ours"].colour == second["alone"].colour == FAMILIES["equivariant"].colour
    assert first["theirs"] == second["theirs"]
    assert first["ours"].label == "ours"
    assert len({style.colour for style in first.values()}) == 4
    lines = {(style.colour, style.dashes) for style in FAMILIES.values()}
    assert len(lines) == len(FAMILIES)
