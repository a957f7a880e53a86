"""`Packed`: the weights and couplings of an equivariant network as a few plain arrays, as compiled code wants them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from e3nn import o3
from jaxtyping import Float, Int
from numpy import ndarray
from torch import nn

from neuralmd.fields.interaction import Interaction
from neuralmd.fields.many_body import ManyBody, coupling_of_features
from neuralmd.fields.radial import RadialNetworks
from neuralmd.fields.tensor_product import Coupling, TensorPath

_NOTHING = 1e-10
"""What is smaller than this part of one is the rounding error of a coefficient that vanishes."""


class Shape(NamedTuple):
    """What is to be added to what, in integers.

    Attributes:
        knots: For each pair of atoms, the row of the radial table where its two elements begin.
        last: The last interval of a table, which lies beyond the cutoff and where all is zero.
        products: For each monomial of a direction after 1, x, y, z, the two earlier ones whose product it is.
        harmonics: Each spherical harmonic and one of its monomials.
        couplings: Each row (path, m3, m1) of a layer's G and one of its harmonics.
        paths: Degrees of the feature and of the output of each path, layer by layer.
        outputs: Degree of the output of each path of all powers of messages.
        pairs: Each row (path, m3) of a power, and two components whose product is added to it.
        powers: For each power of each layer: its first path and the one after its last; its first pair and the one
            after its last.
        layers: For each layer: its first path and the one after its last; its first coupling and the one after its
            last; the highest degree of its features and of its output; its rows of G; its rows of messages; the highest
            degree of these; its first power and the one after its last; the most rows of one of these.
        most: The largest of each of these over all layers.
    """

    knots: Int[ndarray, "atoms atoms"]
    last: int
    products: Int[ndarray, "monomials 2"]
    harmonics: Int[ndarray, "terms 2"]
    couplings: Int[ndarray, "entries 2"]
    paths: Int[ndarray, "paths 2"]
    outputs: Int[ndarray, " power_paths"]
    pairs: Int[ndarray, "products 3"]
    powers: Int[ndarray, "powers 4"]
    layers: Int[ndarray, "layers 12"]
    most: Int[ndarray, " 12"]


class Weights(NamedTuple):
    """The numbers that belong to a `Shape`.

    Attributes:
        intervals: Intervals of the radial table in one angstrom.
        spline: The four weights of a cubic spline, as polynomials of the place in an interval.
        radial: The radial table.
        harmonics: The coefficient of each entry of `Shape.harmonics`.
        couplings: The coefficient of each entry of `Shape.couplings`.
        pairs: The coefficient of each entry of `Shape.pairs`.
        linear: All linear maps, one below the other, in the order of their use: of each layer the mix of each path,
            that of each path of each power, what is kept of each degree, and for each higher degree the bias and the
            matrix of its gates.
    """

    intervals: Float[ndarray, " one"]
    spline: Float[ndarray, "powers 4"]
    radial: Float[ndarray, "knots paths channels"]
    harmonics: Float[ndarray, " terms"]
    couplings: Float[ndarray, " entries"]
    pairs: Float[ndarray, " products"]
    linear: Float[ndarray, "rows channels"]


class Packed(NamedTuple):
    """A network in which every atom sees every other, as plain arrays."""

    shape: Shape
    weights: Weights


class _Terms(NamedTuple):
    """A sparse matrix: target and source of each entry, and the entry."""

    places: list[tuple[int, int]]
    values: list[float]


class _Powers(NamedTuple):
    """The powers of all layers so far, as in `Shape` and `Weights`."""

    spans: list[tuple[int, ...]]
    outputs: list[int]
    places: list[tuple[int, ...]]
    values: list[float]


@torch.no_grad()
def pack(layers: nn.ModuleList, radials: RadialNetworks, coupling: Coupling, dtype: torch.dtype) -> Packed:
    """The network as it is now, in a precision.

    Args:
        layers: Its interactions.
        radials: Its radial functions, which must be tabulated.
        coupling: What its paths are multiplied by.
        dtype: The precision.

    Raises:
        ValueError: If there is no table.
    """
    table = radials.table
    if table is None:
        raise ValueError("only a network whose radial functions are tabulated can be packed")
    interactions = [each for each in layers if isinstance(each, Interaction)]
    products, harmonics = _harmonics(max(path.harmonic for each in interactions for path in each.paths))
    couplings, powers, spans = _Terms([], []), _Powers([], [], [], []), []
    for each in interactions:
        spans.append(_span(each, spans[-1][1] if spans else 0, coupling.neighbours, couplings, powers))
    shape = Shape(
        knots=_whole(radials.pairs.cpu().numpy() * table.knots),
        last=table.knots - 4,
        products=_whole(products),
        harmonics=_whole(harmonics.places),
        couplings=_whole(couplings.places),
        paths=_whole([(path.feature, path.output) for each in interactions for path in each.paths]),
        outputs=_whole(powers.outputs),
        pairs=_whole(powers.places).reshape(-1, 3),
        powers=_whole(powers.spans).reshape(-1, 4),
        layers=_whole(spans),
        most=_whole(np.max(spans, axis=0)),
    )
    exact = Weights(
        intervals=np.array([1.0 / table.spacing]),
        spline=table.polynomials().numpy(),
        radial=table.coefficients().numpy(),
        harmonics=np.array(harmonics.values),
        couplings=np.array(couplings.values),
        pairs=np.array(powers.values),
        linear=torch.cat([part.double().cpu() for each in interactions for part in _linear_maps(each)]).numpy(),
    )
    precision = np.float32 if dtype == torch.float32 else np.float64
    return Packed(shape, Weights(*(np.ascontiguousarray(each, dtype=precision) for each in exact)))


def _span(
    interaction: Interaction, first: int, neighbours: float, couplings: _Terms, powers: _Powers
) -> tuple[int, ...]:
    """Add a layer's couplings and powers; its row of `Shape.layers`, where its paths begin at `first`."""
    paths, entry, power = interaction.paths, len(couplings.places), len(powers.spans)
    rows = _couple(paths, neighbours, couplings)
    most = 0 if interaction.products is None else _multiply_out(interaction.products, powers)
    return (
        *(first, first + len(paths), entry, len(couplings.places)),
        *(max(path.feature for path in paths), interaction.l_out, rows, sum(2 * path.output + 1 for path in paths)),
        *(max(path.output for path in paths), power, len(powers.spans), most),
    )


def _multiply_out(products: ManyBody, powers: _Powers) -> int:
    """Add the powers of a layer; the most rows that one of them has."""
    most = 0
    for product in products.products():
        path, entry, row = len(powers.outputs), len(powers.places), 0
        for each in product.paths:
            for matrix in coupling_of_features(each, product.l_max).unflatten(1, (-1, (product.l_max + 1) ** 2)):
                for one, other in matrix.abs().gt(_NOTHING).nonzero().tolist():
                    powers.places.append((row, one, other))
                    powers.values.append(float(matrix[one, other]))
                row += 1
        powers.outputs.extend(each.output for each in product.paths)
        powers.spans.append((path, len(powers.outputs), entry, len(powers.places)))
        most = max(most, row)
    return most


def _whole(numbers: object) -> Int[ndarray, "..."]:
    return np.ascontiguousarray(numbers, dtype=np.intp)


def _linear_maps(interaction: Interaction) -> list[torch.Tensor]:
    """The linear maps of a layer in the order of `Weights.linear`, as matrices that multiply rows from the right."""
    products = [] if interaction.products is None else interaction.products.products()
    maps = [*interaction.mix, *(mix for product in products for mix in product.mix), *interaction.keep]
    gates = interaction.gate.gates
    if gates is not None:
        for bias, weight in zip(
            gates.bias.chunk(interaction.l_out), gates.weight.chunk(interaction.l_out), strict=True
        ):
            maps += [bias[None], weight.T]
    return maps


def _couple(paths: tuple[TensorPath, ...], neighbours: float, terms: _Terms) -> int:
    """Add the coefficients of G of a layer's paths, those of `Coupling`; the number of its rows."""
    row = 0
    for path in paths:
        factor = ((2 * path.output + 1) / neighbours) ** 0.5
        wigner = factor * o3.wigner_3j(path.feature, path.harmonic, path.output, dtype=torch.float64)
        for matrix in wigner.permute(2, 0, 1).flatten(0, 1):
            _add(terms, row, path.harmonic**2, matrix)
            row += 1
    return row


def _harmonics(l_max: int) -> tuple[Int[ndarray, "monomials 2"], _Terms]:
    """The monomials of a unit vector up to a degree, as products, and e3nn's spherical harmonics in terms of them."""
    powers: list[tuple[int, ...]] = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1)]
    products: list[tuple[int, int]] = []
    for degree in range(2, l_max + 1):
        for axis in range(3):
            for earlier in [place for place, power in enumerate(powers) if sum(power) == degree - 1]:
                power = tuple(one + (k == axis) for k, one in enumerate(powers[earlier]))
                if power not in powers:
                    powers.append(power)
                    products.append((earlier, 1 + axis))
    generator = torch.Generator().manual_seed(0)
    points = torch.randn((8 * (l_max + 1) ** 2, 3), dtype=torch.float64, generator=generator)
    points = points / points.norm(dim=1, keepdim=True)
    terms = _Terms([], [])
    for degree in range(l_max + 1):
        start = next(place for place, power in enumerate(powers) if sum(power) == degree)
        same = [torch.tensor(power, dtype=torch.float64) for power in powers if sum(power) == degree]
        values = torch.stack([(points**power).prod(dim=1) for power in same], dim=1)
        wanted = o3.spherical_harmonics(degree, points, normalize=True, normalization="component")
        for order, found in enumerate(torch.linalg.lstsq(values, wanted).solution.T):
            _add(terms, degree**2 + order, start, found)
    return np.array(products, dtype=np.intp).reshape(-1, 2), terms


def _add(terms: _Terms, target: int, first: int, values: Float[torch.Tensor, " sources"]) -> None:
    """Add what does not vanish of one row of a matrix, whose sources are numbered from `first`."""
    for source, value in enumerate(values.tolist()):
        if abs(value) > _NOTHING:
            terms.places.append((target, first + source))
            terms.values.append(value)
