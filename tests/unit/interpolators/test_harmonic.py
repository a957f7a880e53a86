"""The harmonic flow: the matrix exponential, its noise by quadrature, and the stiffness of known fields."""

from __future__ import annotations

import pytest
import torch
from analytic import HarmonicField, MorseField, triangle

from neuralmd.interpolators.harmonic import harmonic_flow, stiffness, unweighted, weighted
from neuralmd.system import PhaseState

MASSES = torch.tensor([1.0, 12.0, 16.0], dtype=torch.float64)


def matrix(*squares: float, seed: int = 0) -> torch.Tensor:
    """A stiffness with these squared frequencies along directions at random."""
    generator = torch.Generator().manual_seed(seed)
    size = len(squares)
    modes, _ = torch.linalg.qr(torch.randn((size, size), generator=generator, dtype=torch.float64))
    return (modes * torch.tensor(squares, dtype=torch.float64)) @ modes.T


def generator_of(stiff: torch.Tensor) -> torch.Tensor:
    size = len(stiff)
    nothing, one = torch.zeros_like(stiff), torch.eye(size, dtype=torch.float64)
    return torch.cat((torch.cat((nothing, one), 1), torch.cat((-stiff, nothing), 1)))


SPECTRA = [(0.3, 0.1, 0.02), (0.3, -0.05, 0.0), (0.0, 0.0, 0.0), (1e-9, -1e-9, 1e-3), (0.4, 1e-5, -1e-5)]


@pytest.mark.parametrize("squares", SPECTRA)
@pytest.mark.parametrize("time", [0.1, 2.0, 10.0])
def test_the_transition_is_the_matrix_exponential(squares, time):
    stiff = matrix(*squares)
    flow = harmonic_flow(stiff[None], time)
    torch.testing.assert_close(flow.transition[0], torch.linalg.matrix_exp(generator_of(stiff) * time))


@pytest.mark.parametrize("squares", SPECTRA)
@pytest.mark.parametrize("time", [0.1, 2.0, 10.0])
def test_the_noise_is_what_its_definition_says(squares, time):
    stiff, size = matrix(*squares), len(squares)
    count = 4000
    middle = (torch.arange(count, dtype=torch.float64) + 0.5) * (time / count)
    response = torch.linalg.matrix_exp(generator_of(stiff) * middle[:, None, None])[:, :, size:]
    expected = (response @ response.mT).sum(0) * (time / count)
    torch.testing.assert_close(harmonic_flow(stiff[None], time).noise[0], expected, rtol=1e-5, atol=1e-6 * time**3)


def test_two_flows_one_after_the_other_are_the_longer_one():
    stiff = matrix(0.3, -0.02, 0.0)[None]
    both, whole = harmonic_flow(stiff, 1.5).then(harmonic_flow(stiff, 2.5)), harmonic_flow(stiff, 4.0)
    torch.testing.assert_close(both.transition, whole.transition)
    torch.testing.assert_close(both.noise, whole.noise)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_stiffness_of_a_spring_is_its_constant_whatever_the_masses(dtype):
    found = stiffness(HarmonicField(0.6, dtype), triangle(dtype=dtype), MASSES)
    expected = 0.36 * torch.eye(9, dtype=torch.float64).repeat(2, 1, 1)
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-4 if dtype == torch.float32 else 1e-10)


def test_the_stiffness_is_the_derivative_of_the_field():
    field, state = MorseField(), triangle(batch=1)
    ones = torch.ones(3, dtype=torch.float64)

    def force(x: torch.Tensor) -> torch.Tensor:
        return field(PhaseState(x.reshape(1, 3, 3), state.velocities)).flatten()

    exact = -torch.autograd.functional.jacobian(force, state.positions.flatten())
    torch.testing.assert_close(stiffness(field, state, ones)[0], exact, rtol=0.0, atol=0.02 * float(exact.abs().max()))


def test_mass_weighting_goes_back():
    x = triangle().positions
    torch.testing.assert_close(unweighted(weighted(x, MASSES), MASSES), x)
    assert weighted(x, MASSES)[0, 3] == x[0, 1, 0] * 12.0**0.5
