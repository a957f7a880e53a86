"""From configuration to objects: the only place where a config becomes an object."""

from neuralmd.build.dataset import Dataset, dataset, device, everything, trajectory, usable
from neuralmd.build.experiment import loop, refit
from neuralmd.build.models import Trainable, blend, interpolator, solver

__all__ = [
    "Dataset",
    "Trainable",
    "blend",
    "dataset",
    "device",
    "everything",
    "interpolator",
    "loop",
    "refit",
    "solver",
    "trajectory",
    "usable",
]
