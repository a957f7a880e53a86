"""The posterior of the kicks against plain conditioning of a Gaussian, and the modes of a force that is linear."""

from __future__ import annotations

import pytest
import torch

from neuralmd.data.samples import DerivativeSamples
from neuralmd.interpolators.modes import NormalModes
from neuralmd.interpolators.smoothing import Mismatch, Noise, infer, remaining, response
from neuralmd.system import System

WATER = System.from_atomic_numbers([8, 1, 1])


def doubles(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_posterior_is_that_of_a_gaussian() -> None:
    """All kicks as one vector with its covariance, conditioned on the mismatch by the textbook's formula."""
    rng = torch.Generator().manual_seed(0)
    omegas, times, middle = doubles(1e-4, 0.2, 0.5), 0.5 * torch.arange(6, dtype=torch.float64), 1.5
    noise = Noise(
        doubles(0.02)[0], doubles(0.01)[0], doubles(1e-3, 2e-3, 3e-3), doubles(2e-3, 1e-3, 1e-3), doubles(1.0)[0]
    )
    x, v = torch.randn(2, 1, 3, generator=rng, dtype=torch.float64) * 1e-2
    along = torch.randn(6, 1, 3, generator=rng, dtype=torch.float64)
    mismatch = Mismatch(middle, x, v, times, along)
    found = infer(mismatch, omegas, noise)

    root = noise.root_of_factors(6)
    of_factors = root @ root.T
    of_kicks = torch.block_diag(*noise.of_rest(times))  # (mode, kick)
    same = torch.arange(3).repeat_interleave(6)
    alike = along[:, 0].T.flatten()
    of_kicks = of_kicks + (alike[:, None] * of_factors.repeat(3, 3) * alike)
    shift, turn = (part.T for part in response(omegas, middle - times))
    onto = torch.zeros(6, 18, dtype=torch.float64)
    for k in range(3):
        onto[k, same == k], onto[3 + k, same == k] = shift[k], turn[k]
    z = torch.cat((x[0], v[0]))
    rounding = 1e-16 * torch.diag(torch.cat((torch.ones(3, dtype=torch.float64), omegas**2)))
    covariance = onto @ of_kicks @ onto.T + rounding
    kicks = of_kicks @ onto.T @ torch.linalg.solve(covariance, z)
    torch.testing.assert_close(found.kicks[:, 0].T.flatten(), kicks, rtol=1e-6, atol=1e-10)
    cross = of_factors.repeat(1, 3) * alike @ onto.T
    torch.testing.assert_close(found.factors[0], cross @ torch.linalg.solve(covariance, z), rtol=1e-6, atol=1e-10)
    left = of_factors - cross @ torch.linalg.solve(covariance, cross.T)
    torch.testing.assert_close(found.spread[0], left.diagonal().sqrt(), rtol=1e-6, atol=1e-10)
    surprise = z @ torch.linalg.solve(covariance, z) / 6
    torch.testing.assert_close(found.surprise[0], surprise, rtol=1e-6, atol=0.0)
    few = infer(mismatch, omegas, noise, free=1)
    assert float(few.surprise[0]) == pytest.approx(float((6 * surprise - 2 * found.surprises[0, 0]) / 4), rel=1e-6)
    torch.testing.assert_close(few.kicks, found.kicks, rtol=0.0, atol=0.0)
    effect = torch.randn(2, 6, 3, generator=rng, dtype=torch.float64)
    left_open = of_kicks - of_kicks @ onto.T @ torch.linalg.solve(covariance, onto @ of_kicks)
    blocks = left_open.unflatten(0, (3, 6)).unflatten(2, (3, 6))
    expected = torch.stack(
        [torch.einsum("tj,jl,tl->t", effect[:, :, k], blocks[k, :, k], effect[:, :, k]) for k in range(3)], 1
    )
    rest = remaining(mismatch, omegas, noise, effect)
    by_factors = torch.einsum("mj,tjk,jk->tmk", found.root[0], rest.common, along[:, 0]).square().sum(1)
    torch.testing.assert_close(rest.variance + by_factors, expected, rtol=1e-6, atol=1e-14)


def test_modes_that_are_as_expected_do_not_surprise() -> None:
    """z drawn from the prior: what the thermostat leaves over is a chi-squared variable for each mode."""
    rng = torch.Generator().manual_seed(1)
    omegas, times, windows = doubles(0.1, 0.2, 0.3, 0.4), 0.5 * torch.arange(8, dtype=torch.float64), 4000
    size = doubles(1e-3, 2e-3, 3e-3, 4e-3)
    noise = Noise(doubles(1e-3)[0], doubles(0.0)[0], size, 0 * size, doubles(1.0)[0])
    along = torch.randn(8, windows, 4, generator=rng, dtype=torch.float64) * 0.1
    draws = torch.randn(8, windows, 4, generator=rng, dtype=torch.float64)
    shared = torch.randn(8, windows, 1, generator=rng, dtype=torch.float64)
    kicks = size * draws + 1e-3 * shared * along
    shift, turn = response(omegas, 2.0 - times)
    x, v = (torch.einsum("jk,jbk->bk", part, kicks) for part in (shift, turn))
    for scale in (1.0, 2.0):
        found = infer(Mismatch(2.0, scale * x, scale * v, times, along), omegas, noise)
        assert float(found.surprise.mean()) == pytest.approx(scale**2, rel=0.05)
        assert found.surprises.mean(0).tolist() == pytest.approx([scale**2] * 4, rel=0.06)


def test_no_thermostat_is_no_friction() -> None:
    nothing, some = doubles(0.0)[0], doubles(1e-3, 1e-3)
    noise = Noise(nothing, nothing, some, 0 * some, doubles(1.0)[0])
    one = torch.ones(1, 2, dtype=torch.float64)
    along = torch.ones(4, 1, 2, dtype=torch.float64)
    found = infer(Mismatch(1.0, one, one, doubles(0.0, 0.5, 1.0, 1.5), along), doubles(0.3, 0.4), noise)
    assert not found.factors.any()
    assert not found.spread.any()


def test_modes_are_those_of_the_force() -> None:
    """Three masses on springs between them, in any position and orientation: three vibrations, six free motions."""
    rng, step = torch.Generator().manual_seed(0), 0.5
    rest = torch.tensor([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]], dtype=torch.float64)
    masses = torch.as_tensor(WATER.masses)[:, None]
    stiffness = 0.5
    bonds = rest[:, None] - rest
    lengths = bonds.norm(dim=-1) + torch.eye(3)
    units = bonds / lengths[..., None]
    hessian = torch.zeros(3, 3, 3, 3, dtype=torch.float64)
    for i in range(3):
        for j in range(3):
            if i != j:
                block = stiffness * units[i, j, :, None] * units[i, j]
                hessian[i, :, i] += block
                hessian[i, :, j] -= block
    flat = hessian.reshape(9, 9)
    root = masses.sqrt().expand(3, 3).flatten()
    true = torch.linalg.eigvalsh(flat / root / root[:, None])[6:]

    moved = 1e-4 * torch.randn(400, 3, 3, generator=rng, dtype=torch.float64)
    forces = -(moved.flatten(1) @ flat).unflatten(1, (3, 3)) / masses
    turns = torch.linalg.qr(torch.randn(400, 3, 3, generator=rng, dtype=torch.float64))[0]
    turns = turns * torch.linalg.det(turns)[:, None, None]
    shift = torch.randn(400, 1, 3, generator=rng, dtype=torch.float64)
    modes = NormalModes(WATER)
    x, a = (rest + moved) @ turns + shift, forces @ turns
    modes.fit(DerivativeSamples(x, torch.zeros_like(x), a), step)
    expected = torch.arccos(1 - 0.5 * true * step**2) / step
    torch.testing.assert_close(modes.omegas[6:], expected, rtol=1e-2, atol=0.0)
    assert (modes.omegas[:6] < 1e-3).all()
    turn = modes.rotations(x, x)
    back = modes.vectors(modes.along(x[None], turn), turn)
    torch.testing.assert_close(back[0], x, rtol=0, atol=1e-12)
