"""Conversion factors to the units of the package: A, fs, amu, eV, K (CODATA 2018)."""

from typing import Final

_ELEMENTARY_CHARGE: Final = 1.602176634e-19  # C
_ATOMIC_MASS: Final = 1.66053906660e-27  # kg
_AVOGADRO: Final = 6.02214076e23  # 1/mol

BOLTZMANN: Final = 8.617333262e-5
"""Boltzmann constant [eV/K]."""

KCAL_PER_MOL: Final = 4184.0 / (_AVOGADRO * _ELEMENTARY_CHARGE)
"""1 kcal/mol in eV."""

HARTREE: Final = 27.211386245988
"""1 hartree in eV."""

KINETIC_ENERGY: Final = _ATOMIC_MASS * 1e10 / _ELEMENTARY_CHARGE
"""1 amu A^2/fs^2 in eV."""

ACCELERATION: Final = 1.0 / KINETIC_ENERGY
"""1 eV/(A amu) in A/fs^2."""

ASE_TIME: Final = KINETIC_ENERGY**0.5
"""ASE's unit of time, A sqrt(amu/eV), in fs."""

WAVENUMBER_PERIOD: Final = 33356.40951981521
"""cm^-1 times fs: a wave of n cm^-1 has a period of WAVENUMBER_PERIOD / n fs."""

BOHR: Final = 0.529177210903
"""1 bohr in A."""

ATOMIC_TIME: Final = 0.024188843265857
"""The atomic unit of time, hbar / hartree, in fs."""
