"""What computes the forces of a simulation: tblite's GFN-xTB methods, or any ASE calculator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Final

import torch
from ase.calculators.calculator import Calculator

from neuralmd.errors import ConfigError, DataError

METHODS: Final = {"gfn2-xtb": "GFN2-xTB", "gfn1-xtb": "GFN1-xTB"}
"""The methods that come with neuralmd[simulate], as tblite spells them."""


def calculator(method: str) -> Calculator:
    """An ASE calculator of tblite that `simulate` can drive.

    Args:
        method: "gfn2-xtb" or "gfn1-xtb".

    Raises:
        ConfigError: If the method is not one of these.
        DataError: If tblite is not installed.

    Reference:
        GFN2-xTB: Bannwarth, Ehlert & Grimme, J. Chem. Theory Comput. 15 (2019) 1652, doi 10.1021/acs.jctc.8b01176.
        GFN1-xTB: Grimme, Bannwarth & Shushkov, ibid. 13 (2017) 1989, doi 10.1021/acs.jctc.7b00118.
    """
    if method not in METHODS:
        raise ConfigError(f"the method must be one of {', '.join(METHODS)}, but is {method!r}")
    try:
        from tblite.ase import TBLite
    except ImportError as error:
        raise DataError(
            f"{METHODS[method]} needs tblite, which cannot be loaded ({error}): pip install neuralmd[simulate]"
        ) from error
    return TBLite(method=METHODS[method], verbosity=0, cache_api=False)


def check_engine(engine: Calculator, method: str) -> None:
    """Check that a calculator is what the settings say, and that `reset()` makes it forget its past.

    With cache_api=True, `TBLite.reset()` keeps the last electron density, from which the next self-consistent cycle
    starts; its forces then depend in the last digits on all steps before, and a resumed run leaves the unbroken one.

    Raises:
        ConfigError: If one of the two does not hold.
    """
    parameters = (engine.parameters or {}) if type(engine).__name__ == "TBLite" else {}
    name = str(parameters.get("method", type(engine).__name__)).lower()
    if (parameters or method in METHODS) and name != method:
        raise ConfigError(
            f"the settings say method={method!r}, but the calculator is {name}: "
            f"make it with engines.calculator({method!r}), or give the settings its name as method"
        )
    if parameters.get("cache_api", False):
        raise ConfigError(
            "TBLite must be made with cache_api=False, as engines.calculator does, or --resume is not exact"
        )


def describe(engine: Calculator) -> dict[str, str]:
    """The calculator's class and parameters, and the versions of ASE and of the package that it comes from."""
    package = type(engine).__module__.partition(".")[0]
    parameters = {str(key): str(value) for key, value in sorted((engine.parameters or {}).items()) if value is not None}
    described = {"calculator": type(engine).__name__, "parameters": str(parameters), "ase": version("ase")}
    try:
        described[package] = version(package)
    except PackageNotFoundError:
        described[package] = "unknown"
    return described


@contextmanager
def single_thread() -> Iterator[None]:
    """Run OpenMP regions on one thread.

    tblite adds up in the order in which its threads finish, so that with two threads no run repeats another to the last
    digit; and a small molecule is slower on two. tblite shares its OpenMP library with torch, which has the switch.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
