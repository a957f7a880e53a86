"""The equivariant network of all pairs of a small molecule, compiled by numba: one molecule at a time, in the cache.

It does the sums of `EquivariantNetwork` in another order: nothing of what belongs to a pair of atoms is ever written to
memory, radial functions are read and used at once, and only Clebsch-Gordan coefficients that do not vanish count.
"""

from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np

from neuralmd.fields.compiled_update import Update, clear, update
from neuralmd.fields.machine_code import compiled, kept
from neuralmd.fields.packed import Shape, Weights

_PAIRS_AT_ONCE = 192
"""Pairs of atoms whose geometry is computed at once: long loops, which still stay in the first-level cache."""


class _Scratch(NamedTuple):
    """What a block of pairs (first part) and one atom (second part) need, made once for all molecules."""

    monomials: np.ndarray
    distances: np.ndarray
    intervals: np.ndarray
    spline: np.ndarray
    harmonics: np.ndarray
    couplings: np.ndarray
    radial: np.ndarray
    messages: np.ndarray
    update: Update


@compiled
@no_type_check
def _copy(source, target, rows):
    """Copy the first rows of features."""
    for k in range(rows):
        for i in range(source.shape[1]):
            for c in range(source.shape[2]):
                target[k, i, c] = source[k, i, c]


@compiled
@no_type_check
def _directions(x, first, last, distances, monomials):
    """Distances of all pairs of the atoms from first to last, and unit vectors; an atom is at 1 from itself."""
    atoms, one, u = len(x), x.dtype.type(1), monomials
    for i in range(first, last):
        for j in range(atoms):
            for axis in range(3):
                u[1 + axis, (i - first) * atoms + j] = x[j, axis] - x[i, axis]
    pairs = (last - first) * atoms
    for pair in range(pairs):
        distances[pair] = np.sqrt(u[1, pair] * u[1, pair] + u[2, pair] * u[2, pair] + u[3, pair] * u[3, pair])
    for i in range(first, last):
        distances[(i - first) * atoms + i] = one
    for pair in range(pairs):
        inverse = one / distances[pair]
        u[0, pair] = distances[pair] * inverse  # 1, or not a number where there is no direction
        u[1, pair] *= inverse
        u[2, pair] *= inverse
        u[3, pair] *= inverse


@compiled
@no_type_check
def _places(pairs, last, weights, distances, intervals, spline):
    """The interval of the radial table in which each distance lies, and the weights of its spline there."""
    end = distances.dtype.type(last)
    for pair in range(pairs):
        distances[pair] = min(distances[pair] * weights.intervals[0], end)
        intervals[pair] = int(distances[pair]) if distances[pair] >= 0 else 0
        distances[pair] -= distances.dtype.type(intervals[pair])
    for k in range(4):
        w0, w1, w2, w3 = weights.spline[0, k], weights.spline[1, k], weights.spline[2, k], weights.spline[3, k]
        for pair in range(pairs):
            place = distances[pair]
            spline[k, pair] = w0 + place * (w1 + place * (w2 + place * w3))


@compiled
@no_type_check
def _harmonics(pairs, shape, weights, monomials, harmonics):
    """Spherical harmonics of all pairs of a block, from their unit vectors."""
    for k in range(len(shape.products)):
        for pair in range(pairs):
            monomials[4 + k, pair] = monomials[shape.products[k, 0], pair] * monomials[shape.products[k, 1], pair]
    clear(harmonics, len(harmonics))
    for k in range(len(shape.harmonics)):
        row, source, value = shape.harmonics[k, 0], shape.harmonics[k, 1], weights.harmonics[k]
        for pair in range(pairs):
            harmonics[row, pair] += value * monomials[source, pair]


@compiled
@no_type_check
def _couple(pairs, k, shape, weights, scratch):
    """G of each path of layer k for all pairs of a block."""
    g, y = scratch.couplings, scratch.harmonics
    clear(g, shape.layers[k, 6])
    for entry in range(shape.layers[k, 2], shape.layers[k, 3]):
        row, source, value = shape.couplings[entry, 0], shape.couplings[entry, 1], weights.couplings[entry]
        for pair in range(pairs):
            g[row, pair] += value * y[source, pair]


@compiled
@no_type_check
def _gather(i, before, features, k, shape, weights, scratch):  # noqa: C901, PLR0912 - one nest of loops runs fastest
    """Sum the messages of layer k to atom i over all others; `before` pairs of the block come before its own."""
    t, u, w, g = weights.radial, scratch.monomials, scratch.spline, scratch.couplings
    radial, messages, channels = scratch.radial, scratch.messages, features.shape[2]
    clear(messages, shape.layers[k, 7])
    for j in range(features.shape[1]):
        pair = before + j
        n = scratch.intervals[pair]
        # What is not a number must not vanish behind the cutoff.
        if j == i or (n == shape.last and u[0, pair] == u[0, pair]):
            continue
        n += shape.knots[i, j]
        w0, w1, w2, w3 = w[0, pair], w[1, pair], w[2, pair], w[3, pair]
        row = coupling = 0
        for path in range(shape.layers[k, 0], shape.layers[k, 1]):
            for c in range(channels):
                radial[c] = (
                    w0 * t[n, path, c] + w1 * t[n + 1, path, c] + w2 * t[n + 2, path, c] + w3 * t[n + 3, path, c]
                )
            feature = shape.paths[path, 0]
            f = feature * feature
            for _ in range(2 * shape.paths[path, 1] + 1):
                g0 = g[coupling, pair]
                if feature == 0:
                    for c in range(channels):
                        messages[row, c] += radial[c] * (g0 * features[0, j, c])
                elif feature == 1:
                    g1, g2 = g[coupling + 1, pair], g[coupling + 2, pair]
                    for c in range(channels):
                        messages[row, c] += radial[c] * (
                            g0 * features[1, j, c] + g1 * features[2, j, c] + g2 * features[3, j, c]
                        )
                else:
                    g1, g2 = g[coupling + 1, pair], g[coupling + 2, pair]
                    g3, g4 = g[coupling + 3, pair], g[coupling + 4, pair]
                    for c in range(channels):
                        messages[row, c] += radial[c] * (
                            g0 * features[f, j, c]
                            + g1 * features[f + 1, j, c]
                            + g2 * features[f + 2, j, c]
                            + g3 * features[f + 3, j, c]
                            + g4 * features[f + 4, j, c]
                        )
                for m in range(5, 2 * feature + 1):
                    g0 = g[coupling + m, pair]
                    for c in range(channels):
                        messages[row, c] += radial[c] * (g0 * features[f + m, j, c])
                row += 1
                coupling += 2 * feature + 1


@compiled
@no_type_check
def _room(atoms, block, shape, weights):
    """Scratch arrays for molecules of so many atoms, so many of which are centres of a block."""
    dtype, channels, pairs = weights.linear.dtype, weights.linear.shape[1], block * atoms
    highest = max(shape.most[4], shape.most[5], shape.most[8])
    components = (highest + 1) * (highest + 1)
    return _Scratch(
        np.empty((4 + len(shape.products), pairs), dtype),
        np.empty(pairs, dtype),
        np.empty(pairs, np.intp),
        np.empty((4, pairs), dtype),
        np.empty((shape.harmonics[-1, 0] + 1, pairs), dtype),
        np.empty((shape.most[6], pairs), dtype),
        np.empty(channels, dtype),
        np.empty((shape.most[7], channels), dtype),
        Update(
            np.empty((components, channels), dtype),
            np.empty((1, channels), dtype),
            np.empty((shape.most[11], channels), dtype),
            np.empty((3, components, channels), dtype),
        ),
    )


@kept
@no_type_check
def evaluate(positions, inputs, outputs, shape: Shape, weights: Weights):
    """The features of all atoms after the last layer.

    Args:
        positions: Of each molecule, `(batch, atoms, 3)` [A].
        inputs: Features that come in, `(batch, components, atoms, channels)`.
        outputs: Where those that go out are written to, likewise.
        shape: The network.
        weights: Its numbers.
    """
    atoms, linear = positions.shape[1], weights.linear
    block = min(atoms, max(1, _PAIRS_AT_ONCE // atoms))
    scratch = _room(atoms, block, shape, weights)
    r, u, y = scratch.distances, scratch.monomials, scratch.harmonics
    here = np.empty((len(scratch.update.mixed), atoms, linear.shape[1]), linear.dtype)
    there = np.empty_like(here)
    for b in range(len(positions)):
        _copy(inputs[b], here, inputs.shape[1])
        begin = end = 0
        for k in range(len(shape.layers)):
            for first in range(0, atoms, block):
                last = min(atoms, first + block)
                pairs = (last - first) * atoms
                if begin == 0 or block < atoms:
                    _directions(positions[b], first, last, r, u)
                    _places(pairs, shape.last, weights, r, scratch.intervals, scratch.spline)
                    _harmonics(pairs, shape, weights, u, y)
                _couple(pairs, k, shape, weights, scratch)
                for i in range(first, last):
                    _gather(i, (i - first) * atoms, here, k, shape, weights, scratch)
                    end = update(i, (here, there), k, begin, (shape, weights), scratch.messages, scratch.update)
            begin = end
            here, there = there, here
        _copy(here, outputs[b], outputs.shape[1])
