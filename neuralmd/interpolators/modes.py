"""`NormalModes`: the effective vibrations of a molecule, read off its own trajectory, in axes that turn with it."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from neuralmd.data.samples import DerivativeSamples
from neuralmd.errors import DataError
from neuralmd.interpolators.orientation import BodyFrame, LabFrame, Rotations
from neuralmd.system import Curves, Positions, System

Modal = Float[Tensor, "_ batch modes"]
"""Displacements [A amu^(1/2)] or velocities [A amu^(1/2) / fs] along the modes, in double precision."""

_SLOWEST = 1e-4
"""Least angular frequency of a mode [1/fs]: over 100 fs still the straight line of omega = 0."""

_RIDGE = 1e-9
"""Part of the mean variance that is added to all, so that coordinates that never move do no harm."""

_LINE = 1e-2
"""A molecule whose second extent is a smaller part of its first has no axes of its own."""


class NormalModes(nn.Module):
    """Modes and frequencies of the linear force that fits a thermal trajectory best.

    K = argmin sum_t |M^(1/2) a_t + K (M^(1/2) (x_t - r) - y)|^2,  K = B diag(omega'^2) B^T,
    omega = arccos(1 - omega'^2 h^2 / 2) / h

    with the second differences a_t of the positions and the means r and y; omega is the frequency at which a chain of
    Verlet steps h swings in a well of stiffness omega'^2. Positions and accelerations are turned into the axes of the
    molecule, those of Kabsch's rotation onto r, so translations and rotations are modes of frequency zero. A
    periodic system keeps the axes of its cell. It takes no evaluation of a field.

    Args:
        system: The atoms.

    Raises:
        DataError: If fewer than three atoms make a molecule, which then has no axes of its own.
    """

    reference: Tensor
    basis: Tensor
    omegas: Tensor
    masses: Tensor

    def __init__(self, system: System) -> None:
        super().__init__()
        self.orientation = LabFrame() if system.pbc.any() else BodyFrame()
        if system.atoms < 3 and not system.pbc.any():
            raise DataError(_no_axes(f"{system.formula} has {system.atoms}"))
        size = 3 * system.atoms
        self.register_buffer("reference", torch.zeros(system.atoms, 3, dtype=torch.float64))
        self.register_buffer("basis", torch.eye(size, dtype=torch.float64))
        self.register_buffer("omegas", torch.full((size,), _SLOWEST, dtype=torch.float64))
        self.register_buffer("masses", torch.as_tensor(system.masses, dtype=torch.float64), persistent=False)

    @property
    def free(self) -> int:
        """How many modes are translations and rotations; they come first."""
        return 6 if isinstance(self.orientation, BodyFrame) else 3

    @property
    def _masses(self) -> Float[Tensor, " atoms"]:
        return self.masses.double()

    @torch.no_grad()
    def fit(self, samples: DerivativeSamples, timestep: float) -> None:
        """Take the modes from frames and their second differences, `timestep` [fs] apart.

        Raises:
            DataError: If the atoms of a molecule are on one line.
        """
        masses, root = self._masses, self._masses.sqrt()[:, None]
        centred = self._centred(samples.positions.double())
        self.reference.copy_(self._mean_structure(centred))
        structure = self.reference.double()
        turn = self.orientation.rotations(centred, structure, masses)
        x = ((centred @ turn - structure) * root).flatten(1)
        a = ((samples.accelerations.double() @ turn) * root).flatten(1)
        outer = self._free_motions()
        inner = torch.linalg.svd(outer, full_matrices=True)[0][:, outer.shape[1] :]
        x, a = x @ inner, a @ inner
        x, a = x - x.mean(0), a - a.mean(0)
        spread = x.T @ x
        ridge = _RIDGE * spread.diagonal().mean() * torch.eye(len(spread), dtype=x.dtype, device=x.device)
        stiffness = -torch.linalg.solve(spread + ridge, x.T @ a)
        squares, modes = torch.linalg.eigh(0.5 * (stiffness + stiffness.T))
        self.basis.copy_(torch.cat((outer, inner @ modes), dim=1))
        cosine = (1.0 - 0.5 * squares * timestep**2).clamp(-1.0, 1.0)
        slow = torch.full((outer.shape[1],), _SLOWEST, dtype=x.dtype, device=x.device)
        self.omegas.copy_(torch.cat((slow, (torch.arccos(cosine) / timestep).clamp(min=_SLOWEST))))

    @torch.no_grad()
    def rotations(self, start: Positions, end: Positions) -> Rotations:
        """One rotation into the molecule's axes for each gap, from the mean of its anchors: the same both ways."""
        middle = self._centred(0.5 * (start + end).double())
        return self.orientation.rotations(middle, self.reference.double(), self._masses)

    @property
    def weighted_basis(self) -> Float[Tensor, "coordinates modes"]:
        """M^(-1/2) B: the displacement of each atom that a unit of each mode is [amu^(-1/2)]."""
        return self.basis.double() / self._masses.sqrt().repeat_interleave(3)[:, None]

    def along(self, vectors: Curves, rotations: Rotations) -> Modal:
        """B^T M^(1/2) d R for displacements or velocities d."""
        return ((vectors.double() @ rotations) * self._masses.sqrt()[:, None]).flatten(2) @ self.basis.double()

    def vectors(self, modal: Modal, rotations: Rotations) -> Curves:
        """The inverse of `along`, in double precision."""
        weighted = (modal @ self.basis.double().T).unflatten(2, (-1, 3))
        return (weighted / self._masses.sqrt()[:, None]) @ rotations.mT

    def _centred(self, positions: Positions) -> Positions:
        share = self._masses / self._masses.sum()
        return positions - (share[:, None] * positions).sum(1, keepdim=True)

    def _mean_structure(self, centred: Positions) -> Float[Tensor, "atoms 3"]:
        if isinstance(self.orientation, BodyFrame):
            extents = torch.linalg.svdvals(centred[0])
            if float(extents[1]) < _LINE * float(extents[0]):
                raise DataError(_no_axes("here they are on one line"))
        return self.orientation.reference(centred, self._masses)

    def _free_motions(self) -> Float[Tensor, "coordinates free"]:
        """Mass-weighted translations and, of a molecule, rotations: orthonormal columns."""
        axes = torch.eye(3, dtype=torch.float64, device=self.masses.device)[:, None].expand(3, len(self.masses), 3)
        motions = [axes]
        if isinstance(self.orientation, BodyFrame):
            motions.append(torch.linalg.cross(axes, self.reference.double().expand_as(axes)))
        columns = (torch.cat(motions) * self._masses.sqrt()[:, None]).flatten(1).T
        return torch.linalg.qr(columns)[0]


def _no_axes(what: str) -> str:
    return (
        f"model.correction kind bridge needs three atoms that are not on one line, or the molecule has no axes of its "
        f"own, but {what}; take model.correction.kind=least_squares"
    )
