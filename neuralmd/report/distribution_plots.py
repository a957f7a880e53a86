"""Figures of the distributions of bond lengths, angles between bonds, and distances."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from jaxtyping import Float

from neuralmd.errors import DataError
from neuralmd.evaluation.distributions import Samples
from neuralmd.evaluation.radial import RadialDistribution
from neuralmd.report.families import family_styles
from neuralmd.report.style import clear, draw, new_figure, save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BINS: Final = 50
_MARGIN: Final = 0.08
_COLUMNS: Final = 4
_TRUTH: Final = "0.82"

Curve = tuple[Float[np.ndarray, " _"], Float[np.ndarray, " _"]]
"""Abscissae and densities."""

Families = Mapping[str, str | None]
"""The family of each line; see `neuralmd.report.families`."""


def plot_samples(samples: Mapping[str, Samples], title: str, unit: str, families: Families, path: Path) -> None:
    """The distribution of each kind of bond length or angle; the first of the samples is the reference, an area.

    Args:
        samples: By name, then by kind.
        title: The figure's title.
        unit: Of the samples.
        families: The family of each name.
        path: The PNG to write.

    Raises:
        DataError: If there is no sample.
    """
    reference = next(iter(samples.values()), {})
    if not reference:
        raise DataError("a figure of bonds or angles needs one at least")

    def curve(name: str, kind: str) -> Curve:
        true = reference[kind]
        margin = _MARGIN * float(np.ptp(true))
        edges = np.linspace(true.min() - margin, true.max() + margin, _BINS + 1)
        density = np.histogram(samples[name][kind], edges)[0] / (len(samples[name][kind]) * np.diff(edges))
        return (edges[1:] + edges[:-1]) / 2, density

    _plot(list(samples), list(reference), curve, (title, unit, f"density [1/{unit}]"), families, path)


def plot_radial_distributions(
    distributions: Mapping[str, RadialDistribution], title: str, families: Families, path: Path
) -> None:
    """g(r) of each pair of elements; the first is the reference, an area.

    Raises:
        DataError: If there is no distribution.
    """
    reference = next(iter(distributions.values()), None)
    if reference is None:
        raise DataError("a figure of radial distribution functions needs one at least")

    def curve(name: str, pair: str) -> Curve:
        return distributions[name].radii, distributions[name].g(pair)

    label = "g(r)" if reference.periodic else "g(r) [Å$^{-3}$]"
    _plot(list(distributions), list(reference.counts), curve, (title, "Å", label), families, path)


def _plot(
    names: Sequence[str],
    kinds: Sequence[str],
    curve: Callable[[str, str], Curve],
    texts: tuple[str, str, str],
    families: Families,
    path: Path,
) -> None:
    """One panel for each kind, at most four in a row, and the legend beside them."""
    title, unit, label = texts
    columns = min(_COLUMNS, len(kinds))
    rows = -(-len(kinds) // columns)
    figure = new_figure(2.2 + 2.9 * columns, 0.6 + 2.5 * rows)
    axes = figure.subplots(rows, columns, squeeze=False)
    styles = family_styles({name: families.get(name) for name in names[1:]})
    for axis, kind in zip(axes.flat, kinds, strict=False):
        clear(axis)
        for name in names:
            abscissae, density = curve(name, kind)
            if name in styles:
                draw(axis, abscissae, density, styles[name])
            else:
                axis.fill_between(abscissae, density, color=_TRUTH, lw=0, label=name)
        _frame(axis, *curve(names[0], kind))
        axis.set_xlabel(f"{kind} [{unit}]")
    for axis in axes.flat[len(kinds) :]:
        axis.set_axis_off()
    for row in axes:
        row[0].set_ylabel(label)
    handles, labels = axes.flat[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False, fontsize=9)
    figure.suptitle(title, x=0.01, ha="left", fontsize=11)
    save(figure, path)


def _frame(axis: Axes, abscissae: Float[np.ndarray, " _"], density: Float[np.ndarray, " _"]) -> None:
    """Show where the reference is, with room for a line that is somewhat higher."""
    there = np.flatnonzero(density)
    if len(there):
        margin = _MARGIN * float(abscissae[there[-1]] - abscissae[there[0]]) + float(abscissae[1] - abscissae[0])
        axis.set_xlim(float(abscissae[there[0]]) - margin, float(abscissae[there[-1]]) + margin)
        axis.set_ylim(0.0, 1.35 * float(density.max()))
    axis.locator_params(axis="x", nbins=5)
