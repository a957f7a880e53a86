"""`EquivariantCorrection`: a small equivariant network that reads the mismatch in the light of the path."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from jaxtyping import Float
from torch import Tensor, nn
from typing_extensions import override

from neuralmd.errors import DataError
from neuralmd.fields.geometry import PairGeometry
from neuralmd.fields.neighbour_list import typical_neighbours
from neuralmd.fields.network import Degrees, EquivariantNetwork, NetworkSettings, SpeciesEmbedding
from neuralmd.fields.radial import RADIAL, RadialNetworks
from neuralmd.fields.tensor_product import Coupling, TensorPath, aggregate
from neuralmd.interpolators.base import Path
from neuralmd.interpolators.mismatch import PROBES, Correction, Solutions, shapes
from neuralmd.system import Curves, Positions, System

FEATURES: Final = 2 * len(PROBES) + len(PROBES) ** 2
"""Vectors of each atom that the network reads."""

_MIDDLE: Final = len(PROBES) // 2
_CUTOFF: Final = 6.0
_DEGREE: Final = 2
_PATHS: Final = (TensorPath(1, 0, 1), TensorPath(1, 2, 1))
"""How vectors of neighbours become vectors of an atom: along their own direction, and along that of the bond."""


class MismatchNetwork(nn.Module):
    """Vectors of each atom to others, linear in them, with weights that depend on where the atoms are.

    s = Scene(x),   q_j = (1 + A s_j) V m_j,
    y_i = (1 + B s_i) [ L( sum_j R(r_ij) (x) Y(r_ij) (x) q_j / sqrt(atoms) ) + S q_i ] O

    Scene is one layer of message passing that gives invariants; V, L, S and O mix channels. Of order zero in the
    vectors nothing is left, so that there is no correction without a mismatch. O starts at zero.

    Args:
        system: The molecule.
        channels: Features of each atom.
        outputs: Vectors of each atom that come out.
    """

    def __init__(self, system: System, channels: int, outputs: int) -> None:
        super().__init__()
        self.embedding = SpeciesEmbedding(system, channels)
        settings = NetworkSettings(channels, _DEGREE, 1, _CUTOFF)
        self.scene = EquivariantNetwork(system, settings, Degrees(inputs=0, outputs=0))
        self.scene.use("all_pairs")
        self.geometry = PairGeometry(system.atoms, _DEGREE)
        self.coupling = Coupling(_PATHS, typical_neighbours(system, _CUTOFF), _DEGREE)
        self.radials = RadialNetworks(RADIAL, _CUTOFF, self.scene.radials.pairs, [len(_PATHS)], channels)
        self.enter = nn.Parameter(torch.randn(FEATURES, channels) / FEATURES**0.5)
        self.mix = nn.Parameter(torch.randn(len(_PATHS) * channels, channels) / (len(_PATHS) * channels) ** 0.5)
        self.keep = nn.Parameter(torch.randn(channels, channels) / channels**0.5)
        self.before, self.after = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.leave = nn.Parameter(torch.zeros(channels, outputs))

    def forward(
        self, positions: Positions, vectors: Float[Tensor, "batch 3 atoms features"]
    ) -> Float[Tensor, "batch 3 atoms outputs"]:
        """The vectors that come out."""
        scene = self.scene(positions, [self.embedding(len(positions))])[0]
        sent = (1.0 + self.before(scene)) * (vectors @ self.enter)
        pairs = self.geometry(positions)
        couplings, (weights,) = self.coupling(pairs.directions), self.radials(pairs.distances)
        seen = sent.unsqueeze(1)
        told = torch.cat(
            [aggregate(couplings[path], weight, seen) for path, weight in zip(_PATHS, weights, strict=True)], dim=-1
        )
        told = (told @ self.mix).unflatten(0, positions.shape[:2]).transpose(1, 2)
        return (1.0 + self.after(scene)) * (told + sent @ self.keep) @ self.leave


class EquivariantCorrection(Correction):
    """A correction that is linear in the mismatch, sees the path, and vanishes at both anchors.

    delta_i(t) = sum_n phi_n(s) y_in,   y = Network(x(gap / 2), m),   phi_n(s) = 16 s^2 (1 - s)^2 T_n(2 s - 1)

    with Chebyshev's polynomials T_n, `MismatchNetwork`, and for each atom, at the probes s_p = 0, 1/4, 1/2, 3/4 and 1,
    the vectors m: Dx(s_p), gap Dv(s_p), and gap c_p u(s_q), where D is the backward solution less the forward one, u
    their mean velocity and c_p = <Dv, u> / <u, u> at s_p with masses as weights, which tells what a global thermostat
    has done. The velocity is the derivative of the positions. It turns with the molecule.

    There is a network for each length of gap, fitted when the training ends (`fit_equivariant_correction`).

    Args:
        system: The molecule.
        gaps: Lengths of the gaps that it will be fitted for [fs].
        channels: Features of each atom.
        terms: Number of polynomials.

    Raises:
        DataError: If the system is periodic.
    """

    masses: Tensor

    def __init__(self, system: System, gaps: Sequence[float], channels: int = 16, terms: int = 8) -> None:
        super().__init__()
        if system.pbc.any():
            raise DataError(
                "model.correction.kind equivariant sees all pairs of a molecule, and a periodic system has no end of "
                "them: take kind least_squares"
            )
        self.terms = terms
        self.register_buffer("gaps", torch.tensor(gaps, dtype=torch.float64))
        self.register_buffer("ready", torch.zeros(len(gaps), dtype=torch.bool))
        masses = torch.as_tensor(system.masses, dtype=torch.get_default_dtype())[:, None]
        self.register_buffer("masses", masses, persistent=False)
        self.networks = nn.ModuleList(MismatchNetwork(system, channels, terms) for _ in gaps)
        # Training leaves them alone, since they have no part in what it minimises.
        self.networks.requires_grad_(requires_grad=False)

    @override
    def forward(self, solutions: Solutions, accelerations: tuple[Curves, Curves]) -> Path:
        index = self.fitted(solutions.gap)
        if index is None:
            raise DataError(f"the correction was not fitted for gaps of {solutions.gap:g} fs")
        found = self.networks[index](*self.seen(solutions))
        series = shapes(solutions.s.to(found), self.terms)
        positions = torch.einsum("nt,bcan->tbac", series.value, found)
        return Path(positions, torch.einsum("nt,bcan->tbac", series.rate, found) / solutions.gap)

    def seen(self, solutions: Solutions) -> tuple[Positions, Float[Tensor, "batch 3 atoms features"]]:
        """What the network reads: the middle of the path, and the vectors m [A]."""
        gap, fwd, bwd = solutions.gap, solutions.forward_probes, solutions.backward_probes
        moved, kicked = bwd.positions - fwd.positions, gap * (bwd.velocities - fwd.velocities)
        along = 0.5 * (fwd.velocities + bwd.velocities)
        momenta = self.masses * along
        lost = (momenta * kicked).sum((-1, -2)) / (momenta * along).sum((-1, -2))
        pushed = (lost[:, None, :, None, None] * along).flatten(0, 1)
        middle = 0.5 * (fwd.positions[_MIDDLE] + bwd.positions[_MIDDLE])
        return middle, torch.cat((moved, kicked, pushed)).permute(1, 3, 2, 0)
