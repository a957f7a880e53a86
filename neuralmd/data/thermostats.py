"""Molecular dynamics in the four ensembles, each with all of its state in the open, so that it can be saved."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np
from ase import Atoms
from ase.constraints import FixCom
from ase.md.bussi import Bussi
from ase.md.langevin import Langevin
from ase.md.verlet import VelocityVerlet
from jaxtyping import Float

from neuralmd.data.simulation_settings import ENSEMBLES
from neuralmd.errors import ConfigError
from neuralmd.units import ASE_TIME, BOLTZMANN

CHAIN_LENGTH: Final = 3
"""Number of thermostats in the Nose-Hoover chain."""

_LINEAR: Final = 1e-6
"""Moment of inertia, as a part of the largest, below which a molecule is linear."""

_SUZUKI_YOSHIDA: Final = (1 / (2 - 2 ** (1 / 3)), 1 - 2 / (2 - 2 ** (1 / 3)), 1 / (2 - 2 ** (1 / 3)))


@runtime_checkable
class Dynamics(Protocol):
    """An integrator that moves its atoms on by one time step."""

    def step(self) -> object:
        """Move on by one time step."""
        ...


@dataclass(frozen=True)
class Bath:
    """What the molecule is coupled to.

    Attributes:
        ensemble: One of `ENSEMBLES`.
        temperature: T [K].
        time: Time constant of the thermostat [fs]; for Langevin 1 / friction.
        timestep: dt [fs].
        rotates: Whether the molecule has angular momentum.
    """

    ensemble: str
    temperature: float
    time: float
    timestep: float
    rotates: bool = False


def degrees_of_freedom(atoms: Atoms, *, rotates: bool = False) -> int:
    """The number of degrees of freedom that share the kinetic energy: K = dof kB T / 2.

    A free molecule without linear and angular momentum, neither of which rescaling velocities changes, has 3N - 6 (one
    if it is diatomic); one that rotates, or a periodic system, 3N - 3. A thermostat that counts 3N, as ASE's do, heats
    benzene to 600 K where 500 K were asked for.
    """
    if atoms.pbc.any() or rotates:
        return 3 * len(atoms) - 3
    return max(3 * len(atoms) - 6, 1)


def thermalise(atoms: Atoms, temperature: float, generator: np.random.Generator) -> None:
    """Draw momenta at a temperature [K], without motion of the centre of mass nor, for a free molecule, rotation.

    p_i ~ N(0, m_i kB T),  then  v_i <- v_i - V - omega x r_i,  I omega = L
    """
    masses = atoms.get_masses()[:, None]
    momenta = generator.standard_normal((len(atoms), 3)) * np.sqrt(masses * BOLTZMANN * temperature)
    velocities = momenta / masses - momenta.sum(axis=0) / masses.sum()
    if not atoms.pbc.any():
        arms, inertia = _arms_and_inertia(atoms)
        angular_momentum = np.cross(arms, masses * velocities).sum(axis=0)
        # A linear molecule has no inertia about its axis: the pseudo-inverse leaves that rotation out.
        velocities -= np.cross(np.linalg.pinv(inertia, rcond=_LINEAR, hermitian=True) @ angular_momentum, arms)
    atoms.set_momenta(velocities * masses)


def set_rotating(atoms: Atoms, temperature: float, generator: np.random.Generator) -> None:
    """Add a rotation drawn from the Boltzmann distribution of a rigid rotor at a temperature [K].

    omega ~ N(0, kB T I^-1),  v_i <- v_i + omega x r_i

    so that the mean of omega I omega / 2 is kB T / 2 for each axis; a linear molecule has two. The centre of mass keeps
    its velocity.
    """
    masses = atoms.get_masses()[:, None]
    arms, inertia = _arms_and_inertia(atoms)
    moments, axes = np.linalg.eigh(inertia)
    turning = moments > _LINEAR * moments.max()
    drawn = generator.standard_normal(turning.sum()) * np.sqrt(BOLTZMANN * temperature / moments[turning])
    velocities = atoms.get_momenta() / masses + np.cross(axes[:, turning] @ drawn, arms)
    atoms.set_momenta(velocities * masses)


def _arms_and_inertia(atoms: Atoms) -> tuple[Float[np.ndarray, "atoms 3"], Float[np.ndarray, "3 3"]]:
    """Positions from the centre of mass [A], and sum_i m_i (r_i.r_i 1 - r_i r_i^T) [amu A^2]."""
    masses = atoms.get_masses()[:, None]
    arms = atoms.positions - atoms.get_center_of_mass()
    inertia = np.sum(masses[:, :, None] * (_square(arms) * np.eye(3) - arms[:, :, None] * arms[:, None, :]), axis=0)
    return arms, inertia


def _square(arms: Float[np.ndarray, "atoms 3"]) -> Float[np.ndarray, "atoms 1 1"]:
    return np.sum(arms**2, axis=1)[:, None, None]


class NoseHooverDynamics:
    """Velocity Verlet between two half steps of a Nose-Hoover chain.

    dp/dt = F - (p_1 / Q_1) p,  dp_1/dt = 2 K - dof kB T - (p_2 / Q_2) p_1,  dp_j/dt = p_(j-1)^2 / Q_(j-1) - kB T - ...

    with Q_1 = dof kB T tau^2 and Q_j = kB T tau^2, integrated by a fourth-order Suzuki-Yoshida scheme. Not ASE's class,
    because that counts 3N degrees of freedom and keeps its state to itself. Conserves the energy of atoms and chain.

    Attributes:
        chain: eta [1] and p_eta [eV times ASE's unit of time] of each thermostat; changes at each step.

    Reference:
        Martyna, Tuckerman, Tobias & Klein, Mol. Phys. 87 (1996) 1117, doi 10.1080/00268979600100761.
    """

    def __init__(self, atoms: Atoms, bath: Bath, chain: Float[np.ndarray, "2 3"]) -> None:
        self.atoms = atoms
        self.chain = chain
        self._verlet = _verlet(atoms, bath.timestep)
        self._energy = BOLTZMANN * bath.temperature
        self._dof = degrees_of_freedom(atoms, rotates=bath.rotates)
        self._inertia = np.full(CHAIN_LENGTH, self._energy * (bath.time / ASE_TIME) ** 2)
        self._inertia[0] *= self._dof

    def step(self) -> None:
        """Move on by one time step."""
        self._half_step()
        self._verlet.step()
        self._half_step()

    def conserved_energy(self) -> float:
        """H + dof kB T eta_1 + kB T (eta_2 + ...) + sum_j p_j^2 / (2 Q_j) [eV]."""
        eta, momenta = self.chain
        chain = self._energy * (self._dof * eta[0] + eta[1:].sum()) + np.sum(momenta**2 / (2 * self._inertia))
        return float(self.atoms.get_potential_energy() + self.atoms.get_kinetic_energy() + chain)

    def _half_step(self) -> None:
        doubled = 2.0 * float(self.atoms.get_kinetic_energy())
        scale = 1.0
        for weight in _SUZUKI_YOSHIDA:
            delta = 0.5 * weight * self._verlet.dt
            for link in reversed(range(CHAIN_LENGTH)):
                self._push(link, scale**2 * doubled, delta)
            scale *= float(np.exp(-delta * self.chain[1, 0] / self._inertia[0]))
            self.chain[0] += delta * self.chain[1] / self._inertia
            for link in range(CHAIN_LENGTH):
                self._push(link, scale**2 * doubled, delta)
        self.atoms.set_momenta(scale * self.atoms.get_momenta())

    def _push(self, link: int, doubled_kinetic: float, delta: float) -> None:
        """Move the momentum of a thermostat on by delta / 2 under its force and the friction of the next."""
        momenta = self.chain[1]
        last = link == CHAIN_LENGTH - 1
        drag = 1.0 if last else float(np.exp(-delta / 4 * momenta[link + 1] / self._inertia[link + 1]))
        if link == 0:
            force = doubled_kinetic - self._dof * self._energy
        else:
            force = momenta[link - 1] ** 2 / self._inertia[link - 1] - self._energy
        momenta[link] = (momenta[link] * drag + delta / 2 * force) * drag


def dynamics(atoms: Atoms, bath: Bath, generator: np.random.Generator, chain: Float[np.ndarray, "2 3"]) -> Dynamics:
    """The integrator of an ensemble, at the state that atoms, generator and chain hold; each step changes them.

    - nve: velocity Verlet.
    - bussi: stochastic velocity rescaling, Bussi, Donadio & Parrinello, J. Chem. Phys. 126 (2007) 014101, doi
      10.1063/1.2408420.
    - langevin: Vanden-Eijnden & Ciccotti, Chem. Phys. Lett. 429 (2006) 310, doi 10.1016/j.cplett.2006.07.086, with the
      centre of mass held fixed, so that the molecule does not diffuse; it does rotate.
    - nose-hoover: `NoseHooverDynamics`.

    Raises:
        ConfigError: If the ensemble is not one of these.
    """
    timestep = bath.timestep / ASE_TIME
    match bath.ensemble:
        case "nve":
            return _verlet(atoms, bath.timestep)
        case "bussi":
            rescaling = Bussi(atoms, timestep, bath.temperature, bath.time / ASE_TIME, rng=generator)
            rescaling.ndof = degrees_of_freedom(atoms, rotates=bath.rotates)
            rescaling.target_kinetic_energy = 0.5 * BOLTZMANN * bath.temperature * rescaling.ndof
            return rescaling
        case "langevin":
            atoms.set_constraint(FixCom())
            friction = ASE_TIME / bath.time
            return Langevin(
                atoms, timestep, temperature_K=bath.temperature, friction=friction, fixcm=False, rng=generator
            )
        case "nose-hoover":
            return NoseHooverDynamics(atoms, bath, chain)
        case _:
            raise ConfigError(f"the ensemble must be one of {', '.join(ENSEMBLES)}, but is {bath.ensemble!r}")


def _verlet(atoms: Atoms, timestep: float) -> VelocityVerlet:
    return VelocityVerlet(atoms, timestep / ASE_TIME)


def generator_to_json(generator: np.random.Generator) -> str:
    """The complete state of a generator of random numbers."""
    return json.dumps(generator.bit_generator.state, sort_keys=True)


def generator_from_json(text: str) -> np.random.Generator:
    """A generator that goes on where the one that was saved stood."""
    bits = np.random.PCG64()
    state: Any = json.loads(text)
    bits.state = state
    return np.random.Generator(bits)
