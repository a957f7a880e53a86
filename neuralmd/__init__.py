"""neuralmd: neural ODEs that give molecular dynamics trajectories back the frames they lack.

The names below are what a notebook needs most. Each is imported when it is first used, so that `import neuralmd` is
quick; all others are imported from the module that they live in.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neuralmd.config import load as experiment
    from neuralmd.data.anchors import Anchors
    from neuralmd.data.engines import calculator
    from neuralmd.data.exports import to_ase, to_mdanalysis
    from neuralmd.data.formats import read
    from neuralmd.data.molecules import molecule
    from neuralmd.data.objects import trajectory, write
    from neuralmd.data.simulate import SimulationSettings, simulate
    from neuralmd.data.trajectory import Trajectory
    from neuralmd.examples import example
    from neuralmd.fields.equivariant import EquivariantField
    from neuralmd.interpolators.bidirectional import BidirectionalODE
    from neuralmd.interpolators.blending import PowerBlend
    from neuralmd.ode.solvers import VelocityVerlet
    from neuralmd.rebuilding import rebuild
    from neuralmd.report.evaluation import Assessment
    from neuralmd.report.viewer import view
    from neuralmd.runs import load_run as load
    from neuralmd.runs import train
    from neuralmd.system import PhaseState, System

__version__ = "0.1.0"

__all__ = [
    "Anchors",
    "Assessment",
    "BidirectionalODE",
    "EquivariantField",
    "PhaseState",
    "PowerBlend",
    "SimulationSettings",
    "System",
    "Trajectory",
    "VelocityVerlet",
    "__version__",
    "calculator",
    "example",
    "experiment",
    "load",
    "molecule",
    "read",
    "rebuild",
    "simulate",
    "to_ase",
    "to_mdanalysis",
    "train",
    "trajectory",
    "view",
    "write",
]

_HOMES = {
    "Anchors": ("neuralmd.data.anchors", "Anchors"),
    "Assessment": ("neuralmd.report.evaluation", "Assessment"),
    "BidirectionalODE": ("neuralmd.interpolators.bidirectional", "BidirectionalODE"),
    "EquivariantField": ("neuralmd.fields.equivariant", "EquivariantField"),
    "PhaseState": ("neuralmd.system", "PhaseState"),
    "PowerBlend": ("neuralmd.interpolators.blending", "PowerBlend"),
    "SimulationSettings": ("neuralmd.data.simulate", "SimulationSettings"),
    "System": ("neuralmd.system", "System"),
    "Trajectory": ("neuralmd.data.trajectory", "Trajectory"),
    "VelocityVerlet": ("neuralmd.ode.solvers", "VelocityVerlet"),
    "calculator": ("neuralmd.data.engines", "calculator"),
    "example": ("neuralmd.examples", "example"),
    "experiment": ("neuralmd.config", "load"),
    "load": ("neuralmd.runs", "load_run"),
    "molecule": ("neuralmd.data.molecules", "molecule"),
    "read": ("neuralmd.data.formats", "read"),
    "rebuild": ("neuralmd.rebuilding", "rebuild"),
    "simulate": ("neuralmd.data.simulate", "simulate"),
    "to_ase": ("neuralmd.data.exports", "to_ase"),
    "to_mdanalysis": ("neuralmd.data.exports", "to_mdanalysis"),
    "train": ("neuralmd.runs", "train"),
    "trajectory": ("neuralmd.data.objects", "trajectory"),
    "view": ("neuralmd.report.viewer", "view"),
    "write": ("neuralmd.data.objects", "write"),
}
"""Where each name lives, and what it is called there."""


_CALLED_OTHERWISE = {"reconstruct": "rebuild", "load_run": "load"}
"""What somebody may look for -> what has it."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        hint = f"; did you mean {_CALLED_OTHERWISE[name]!r}?" if name in _CALLED_OTHERWISE else ""
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
    module, its_name = _HOMES[name]
    value = getattr(import_module(module), its_name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
