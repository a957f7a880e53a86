"""What one atom makes of its messages in a layer of the equivariant network, compiled by numba.

numba keeps the code of `compiled_kernel`, which calls this, until that file changes: after a change here alone, change
it too, or clear the cache.
"""

from __future__ import annotations

from typing import NamedTuple, no_type_check

import numpy as np

from neuralmd.fields.machine_code import compiled


class Update(NamedTuple):
    """What the update of one atom needs: its features after the mix, one row, the couplings of a power, and powers."""

    mixed: np.ndarray
    gates: np.ndarray
    coupled: np.ndarray
    powers: np.ndarray


@compiled
@no_type_check
def clear(rows, count):
    """Set the first rows to zero."""
    for k in range(count):
        for place in range(rows.shape[1]):
            rows[k, place] = 0


@compiled
@no_type_check
def _multiply(source, row, linear, first, target, into):
    """Add the product of a row of the source with the matrix that begins at a row of the linear maps."""
    channels = source.shape[1]
    fours = channels - channels % 4
    for k in range(0, fours, 4):
        s0, s1, s2, s3 = source[row, k], source[row, k + 1], source[row, k + 2], source[row, k + 3]
        line = first + k
        for c in range(channels):
            target[into, c] += (
                s0 * linear[line, c] + s1 * linear[line + 1, c] + s2 * linear[line + 2, c] + s3 * linear[line + 3, c]
            )
    for k in range(fours, channels):
        s0 = source[row, k]
        for c in range(channels):
            target[into, c] += s0 * linear[first + k, c]


@compiled
@no_type_check
def _mix(messages, outputs, begin, linear, target):
    """Mix rows of paths, to whose outputs they are added; the row after the last linear map used."""
    row = 0
    for output in outputs:
        for m in range(output * output, (output + 1) * (output + 1)):
            _multiply(messages, row, linear, begin, target, m)
            row += 1
        begin += messages.shape[1]
    return begin


@compiled
@no_type_check
def _couple(entries, values, one, other, coupled):
    """Couple two sets of features channel by channel."""
    for entry in range(len(values)):
        row, first, second, value = entries[entry, 0], entries[entry, 1], entries[entry, 2], values[entry]
        for c in range(coupled.shape[1]):
            coupled[row, c] += value * one[first, c] * other[second, c]


@compiled
@no_type_check
def _multiply_out(k, begin, network, scratch):
    """Add powers of the messages of layer k to them; the row after the last linear map used."""
    shape, weights = network
    mixed, first, last = scratch.mixed, shape.layers[k, 9], shape.layers[k, 10]
    if first == last:
        return begin
    messages = scratch.powers[2]
    told, kept = shape.layers[k, 8] + 1, shape.layers[k, 5] + 1
    for m in range(told * told):
        for c in range(mixed.shape[1]):
            messages[m, c] = mixed[m, c]
    before = messages
    for power in range(first, last):
        after = scratch.powers[(power - first) % 2]
        clear(scratch.coupled, len(scratch.coupled))
        clear(after, len(after))
        begun, ended = shape.powers[power, 2], shape.powers[power, 3]
        _couple(shape.pairs[begun:ended], weights.pairs[begun:ended], before, messages, scratch.coupled)
        outputs = shape.outputs[shape.powers[power, 0] : shape.powers[power, 1]]
        begin = _mix(scratch.coupled, outputs, begin, weights.linear, after)
        for m in range(kept * kept):
            for c in range(mixed.shape[1]):
                mixed[m, c] += after[m, c]
        before = after
    factor = 1 / np.sqrt(mixed.dtype.type(1 + last - first))
    for m in range(kept * kept):
        for c in range(mixed.shape[1]):
            mixed[m, c] *= factor
    return begin


@compiled
@no_type_check
def _keep(i, features, highest, begin, linear, scratch):
    """Add what is kept of the features of atom i; the row after the last linear map used."""
    gates, channels = scratch.gates, features.shape[2]
    for degree in range(highest + 1):
        for m in range(degree * degree, (degree + 1) * (degree + 1)):
            for c in range(channels):
                gates[0, c] = features[m, i, c]
            _multiply(gates, 0, linear, begin, scratch.mixed, m)
        begin += channels
    return begin


@compiled
@no_type_check
def _gate(i, highest, begin, linear, scratch, target):
    """Gate the features of atom i; the row after the last linear map used."""
    mixed, gates, channels, one = scratch.mixed, scratch.gates, linear.shape[1], linear.dtype.type(1)
    for c in range(channels):
        target[0, i, c] = mixed[0, c] / (one + np.exp(-mixed[0, c]))
    for degree in range(1, highest + 1):
        for c in range(channels):
            gates[0, c] = linear[begin, c]
        _multiply(mixed, 0, linear, begin + 1, gates, 0)
        for c in range(channels):
            gates[0, c] = one / (one + np.exp(-gates[0, c]))
        for m in range(degree * degree, (degree + 1) * (degree + 1)):
            for c in range(channels):
                target[m, i, c] = mixed[m, c] * gates[0, c]
        begin += channels + 1
    return begin


@compiled
@no_type_check
def update(i, features, k, begin, network, messages, scratch):
    """The features of atom i after layer k, from all before it and its messages.

    Args:
        i: The atom.
        features: All before the layer, and where those after it are written to.
        k: The layer.
        begin: The row of its first linear map.
        network: `Shape` and `Weights`.
        messages: The messages to the atom, row by row.
        scratch: `Update`.

    Returns:
        The row after its last linear map.
    """
    shape, weights = network
    linear, l_out = weights.linear, shape.layers[k, 5]
    clear(scratch.mixed, len(scratch.mixed))
    end = _mix(messages, shape.paths[shape.layers[k, 0] : shape.layers[k, 1], 1], begin, linear, scratch.mixed)
    end = _multiply_out(k, end, network, scratch)
    end = _keep(i, features[0], min(shape.layers[k, 4], l_out), end, linear, scratch)
    return _gate(i, l_out, end, linear, scratch, features[1])
