"""What the equivariant field costs: against plain e3nn modules with the same weights, and against the machine's limits.

All times are of the processor, the least of many rounds in which all contestants take turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import e3nn
import pytest
import torch
from plain_e3nn import PlainE3NN
from pytest_benchmark.fixture import BenchmarkFixture
from spring_benzene import SYSTEM, thermal
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode
from turns import least

from neuralmd.fields.equivariant import EquivariantField
from neuralmd.fields.network import MessageSettings
from neuralmd.fields.packed import Shape, pack
from neuralmd.fields.tabulated import tabulate
from neuralmd.system import PhaseState

MODES = ("eager", "script")
"""e3nn's default and TorchScript: the faster of the two is what the field is measured against."""

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")


@pytest.fixture(scope="module", params=[2, 1], ids=["many-body messages", "plain messages"])
def field(request: pytest.FixtureRequest) -> EquivariantField:
    torch.manual_seed(0)
    field = EquivariantField(SYSTEM, messages=MessageSettings(correlation=request.param))
    field.readout.scale.fill_(0.01)
    return field


@pytest.fixture(scope="module")
def tabulated(field: EquivariantField) -> EquivariantField:
    copy = deepcopy(field).eval().requires_grad_(requires_grad=False)
    tabulate(copy)
    copy.network.compiled = None
    return copy


@pytest.fixture(scope="module")
def compiled(field: EquivariantField) -> EquivariantField:
    copy = deepcopy(field).eval().requires_grad_(requires_grad=False)
    tabulate(copy)
    if copy.network.compiled is None:
        pytest.skip("numba is not installed: pip install neuralmd[fast]")
    return copy


@pytest.fixture(scope="module")
def plain(field: EquivariantField) -> Iterator[dict[str, PlainE3NN]]:
    usual, made = e3nn.get_optimization_defaults()["jit_mode"], {}
    for mode in MODES:
        e3nn.set_optimization_defaults(jit_mode=mode)
        made[mode] = PlainE3NN(field, SYSTEM)
    yield made
    e3nn.set_optimization_defaults(jit_mode=usual)


def tell(benchmark: BenchmarkFixture, times: dict[str, float], batch: int) -> None:
    """Print and keep microseconds for each configuration, and how many times faster than plain e3nn each is."""
    reference = min(times.pop(mode) for mode in MODES)
    print(f"\nbatch {batch}: plain e3nn {1e6 * reference / batch:.0f} us for each configuration", end="")
    for name, seconds in times.items():
        benchmark.extra_info[name] = {"us": 1e6 * seconds / batch, "times_faster_than_e3nn": reference / seconds}
        print(f"; {name} {1e6 * seconds / batch:.0f} us, {reference / seconds:.1f} times faster", end="")
    print()


def gradients(model: nn.Module, *inputs: object) -> None:
    """A forward and a backward pass."""
    model.zero_grad()
    model(*inputs).square().sum().backward()


@pytest.mark.parametrize("batch", [1, 8, 64])
def test_forward(
    benchmark: BenchmarkFixture,
    field: EquivariantField,
    tabulated: EquivariantField,
    compiled: EquivariantField,
    plain: dict[str, PlainE3NN],
    batch: int,
) -> None:
    state = thermal(batch)
    edges = plain["eager"].edges(batch)
    with torch.no_grad():
        expected = plain["eager"](state.positions, edges)
        for each in (field, tabulated, compiled):
            assert (each(state) - expected).abs().max() < 1e-5 * expected.abs().max()
        works = {mode: lambda mode=mode: plain[mode](state.positions, edges) for mode in MODES}
        works |= {"network": lambda: field(state), "table": lambda: tabulated(state)}
        works["compiled"] = lambda: compiled(state)
        times = least(works)
        benchmark(compiled, state)
    tell(benchmark, times, batch)


@pytest.mark.parametrize("of", ["weights", "weights and positions"])
@pytest.mark.parametrize("batch", [8, 64])
def test_forward_and_backward(
    benchmark: BenchmarkFixture, field: EquivariantField, plain: dict[str, PlainE3NN], batch: int, of: str
) -> None:
    positions = thermal(batch).positions.clone().requires_grad_(of != "weights")
    state, edges = PhaseState(positions, torch.zeros_like(positions)), plain["eager"].edges(batch)
    works = {mode: lambda mode=mode: gradients(plain[mode], positions, edges) for mode in MODES}
    works["network"] = lambda: gradients(field, state)
    times = least(works)
    benchmark.pedantic(gradients, args=(field, state), rounds=10)
    print(f"\ngradients of {of},", end="")
    tell(benchmark, times, batch)


class Traffic(TorchDispatchMode):
    """Counts the bytes that operations read and write; views move none."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        result = operation(*args, **(kwargs or {}))
        if not operation.is_view:
            found = [each for each in torch.utils._pytree.tree_leaves((args, result)) if isinstance(each, Tensor)]
            self.bytes += sum(each.numel() * each.element_size() for each in found)
        return result


def limits() -> tuple[float, float]:
    """Floating-point operations and bytes a second that the machine reaches: a product of large matrices, and a copy
    within the second-level cache."""
    matrix, source = torch.randn(1024, 1024), torch.randn(1 << 16)
    target = torch.empty_like(source)
    times = least({"product": lambda: matrix @ matrix, "copy": lambda: [target.copy_(source) for _ in range(100)]})
    return 2 * 1024**3 / times["product"], 100 * 2 * 4 * len(source) / times["copy"]


@pytest.mark.parametrize("name", ["network", "table"])
def test_distance_from_the_roofline(
    benchmark: BenchmarkFixture, field: EquivariantField, tabulated: EquivariantField, name: str
) -> None:
    """Counted operations and bytes over measured limits, against the measured time; on one thread."""
    chosen, batch, threads = {"network": field, "table": tabulated}[name], 32, torch.get_num_threads()
    torch.set_num_threads(1)
    state = thermal(batch)
    try:
        with torch.no_grad():
            with FlopCounterMode(display=False) as products:
                chosen(state)
            with Traffic() as traffic:
                chosen(state)
            seconds = least({name: lambda: chosen(state)})[name]
        operations, bandwidth = limits()
        benchmark.pedantic(chosen, args=(state,), rounds=5)
    finally:
        torch.set_num_threads(threads)
    compute, memory = products.get_total_flops() / operations, traffic.bytes / bandwidth
    figures = {
        "flops": products.get_total_flops() / batch,
        "bytes": traffic.bytes / batch,
        "us_compute": 1e6 * compute / batch,
        "us_memory": 1e6 * memory / batch,
        "us_measured": 1e6 * seconds / batch,
    }
    benchmark.extra_info.update(figures)
    print(
        f"\n{name}: {figures['flops'] / 1e6:.2f} MFLOP of matrix products at {operations / 1e9:.0f} GFLOP/s and "
        f"{figures['bytes'] / 1e6:.2f} MB at {bandwidth / 1e9:.0f} GB/s would take {figures['us_compute']:.0f} + "
        f"{figures['us_memory']:.0f} us for each configuration; measured {figures['us_measured']:.0f} us, "
        f"{seconds / (compute + memory):.1f} times as long"
    )


def work_of(shape: Shape, channels: int) -> tuple[int, int]:
    """Floating-point operations and bytes of the compiled network for one configuration in single precision.

    For each pair of atoms: four rows of the radial table, the couplings that do not vanish, and the messages. For each
    atom: the matrices, and the products of messages. Only the table does not fit the first-level cache, so that only
    its bytes count.
    """
    atoms, operations, table = len(shape.knots), 0, 0
    pairs = atoms * (atoms - 1)
    for first, last, entry, entries, l_in, l_out, _, rows, _, power, powers, _ in shape.layers.tolist():
        read = 4 * (last - first) * channels
        degrees = shape.paths[first:last].tolist()
        messages = sum((2 * l3 + 1) * (2 * (2 * l1 + 1) + 1) for l1, l3 in degrees) * channels
        kept = (min(l_in, l_out) + 1) ** 2
        operations += pairs * (2 * read + messages + 2 * (entries - entry))
        mixed = rows
        for path, paths, product, products in shape.powers[power:powers].tolist():
            operations += atoms * 3 * (products - product) * channels
            mixed += int((2 * shape.outputs[path:paths] + 1).sum())
        operations += atoms * 2 * (mixed + kept + l_out) * channels**2
        table += 4 * read * pairs
    return operations, table


def test_distance_of_compiled_code_from_the_roofline(benchmark: BenchmarkFixture, compiled: EquivariantField) -> None:
    """Operations and bytes that the sums need, over measured limits, against the measured time; on one thread."""
    batch, network, threads = 64, compiled.network, torch.get_num_threads()
    assert network.coupling is not None
    packed = pack(network.interactions, network.radials, network.coupling, torch.float32)
    operations, table = work_of(packed.shape, packed.weights.linear.shape[1])
    torch.set_num_threads(1)
    try:
        state = thermal(batch)
        seconds = least({"compiled": lambda: compiled(state)})["compiled"] / batch
        speed, bandwidth = limits()
        benchmark.pedantic(compiled, args=(state,), rounds=5)
    finally:
        torch.set_num_threads(threads)
    figures = {
        "flops": operations,
        "bytes": table,
        "us_compute": 1e6 * operations / speed,
        "us_memory": 1e6 * table / bandwidth,
        "us_measured": 1e6 * seconds,
    }
    benchmark.extra_info.update(figures)
    print(
        f"\ncompiled: {operations / 1e6:.2f} MFLOP at {speed / 1e9:.0f} GFLOP/s and {table / 1e6:.2f} MB of tables at "
        f"{bandwidth / 1e9:.0f} GB/s would take {figures['us_compute']:.0f} + {figures['us_memory']:.0f} us for each "
        f"configuration; measured {figures['us_measured']:.0f} us"
    )
