"""`Experiment`: all settings of one experiment, in which units, and what each is if nobody sets it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from neuralmd.config import yaml12
from neuralmd.config.block import Block
from neuralmd.config.model import NeuralODEConfig, VelocityVerletConfig
from neuralmd.config.recurrent import RecurrentConfig
from neuralmd.config.training import DerivativeStage, Training, TrajectoryStage

_FOLDER_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.+-]*$"
_FRACTION_TOLERANCE = 1e-6


def _neural_ode_unless_told(model: object) -> object:
    return {"kind": "neural_ode", **model} if isinstance(model, dict) and model else model


ModelConfig = Annotated[
    Annotated[NeuralODEConfig | RecurrentConfig, Field(discriminator="kind")], BeforeValidator(_neural_ode_unless_told)
]
"""What is trained; a block without a kind is a neural ODE."""


class Run(Block):
    """Where an experiment leaves its results."""

    name: str = Field(pattern=_FOLDER_NAME, max_length=100)
    """The run's folder is ROOT/NAME."""

    root: Path = Path("runs")
    """Where the folders of runs are, relative to the current folder."""

    @property
    def folder(self) -> Path:
        """ROOT/NAME."""
        return self.root / self.name


class Data(Block):
    """Which trajectory to learn, and how it is cut into windows."""

    path: Path
    """Trajectory file, relative to the current folder."""

    also: tuple[Path, ...] = ()
    """Further files of the same atoms, such as the molecule at another temperature, read in the same way. Each is
    split in time by itself; the parts of all files together train, validate and test."""

    stride: int = Field(default=20, ge=2)
    """Frames from one anchor to the next, K; K - 1 frames are hidden."""

    velocities: Literal["auto", "stored", "central", "seven_point"] = "auto"
    """`stored` are the file's own, `central` are central differences, `auto` prefers the file's own. `seven_point` uses
    three frames on either side: for files stored at every n-th step of a finer integrator."""

    timestep: float | None = Field(default=None, gt=0)
    """Time from frame to frame [fs]; only for files that state none."""

    topology: Path | None = None
    """File with the atoms (PDB, GRO, PSF, PRMTOP, ...), for formats that hold only coordinates."""

    length_unit: Literal["A", "nm", "bohr", "pm"] | None = None
    """Unit of the file's lengths; none for its format's own."""

    velocity_unit: Literal["A/fs", "A/ps", "nm/ps", "m/s", "atomic", "ase"] | None = None
    """Unit of the file's velocities; none for its format's own."""

    drop_cell: bool = False
    """Make the molecule whole and forget the periodic cell around it."""

    segments: tuple[Annotated[int, Field(ge=0)], ...] | None = Field(default=None, min_length=1)
    """Indices of the segments of `path` to use; none for all."""

    train_fraction: float = Field(default=0.7, gt=0, lt=1)
    """The first part of the frames, to train on."""

    validation_fraction: float = Field(default=0.1, gt=0, lt=1)
    """The part after it; all frames that remain are the test part."""

    purge: int = Field(default=100, ge=0)
    """Frames left out between two parts."""

    train_frames: int | None = Field(default=None, ge=3)
    """Learn from no more than so many frames, the first of the training part: for learning curves. None for all."""

    @model_validator(mode="after")
    def _leaves_a_test_part(self) -> Self:
        if self.train_fraction + self.validation_fraction >= 1.0 - _FRACTION_TOLERANCE:
            raise ValueError("train_fraction + validation_fraction should be below 1: the rest is the test part")
        if self.segments is not None and len(set(self.segments)) < len(self.segments):
            raise ValueError("segments should name each segment once")
        return self


class Tracking(Block):
    """Where metrics go beside the run's metrics.jsonl."""

    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    """`auto` is online where a login is there, else offline."""

    project: str = Field(default="neuralmd", min_length=1)
    """The wandb project."""

    entity: str | None = None
    """The wandb user or team."""

    group: str | None = None
    """The wandb group."""

    tags: tuple[str, ...] = ()
    """The wandb tags."""

    model_artifact: bool = False
    """Whether the model that validated best goes to wandb as an artifact."""


class Experiment(Block):
    """One experiment: data, model, training, tracking."""

    run: Run
    """Where the results go."""

    seed: int = Field(default=0, ge=0, lt=2**32)
    """Seed of the weights and of the order of the data."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """`auto` is cuda where there is a device."""

    data: Data
    """The trajectory."""

    model: ModelConfig = NeuralODEConfig()
    """What is trained."""

    training: Training = Training()
    """How it is trained."""

    tracking: Tracking = Tracking()
    """Where metrics go."""

    def __repr__(self) -> str:
        model = self.model
        kind = f"{model.kind}, {model.field.kind} field" if isinstance(model, NeuralODEConfig) else f"{model.kind}"
        length = self.training.max_minutes
        budget = f"{self.training.max_steps} steps" if length is None else f"{length:g} min"
        return f"Experiment({self.run.name}: {self.data.path}, stride {self.data.stride}, {kind}, {budget})"

    def __str__(self) -> str:
        """YAML with every setting in it."""
        return yaml12.write(self.model_dump(mode="json"))

    @model_validator(mode="after")
    def _stages_fit_the_model(self) -> Self:
        stages = self.training.stages if isinstance(self.model, RecurrentConfig) else ()
        fitting = [index for index, stage in enumerate(stages) if isinstance(stage, DerivativeStage)]
        if fitting:
            raise ValueError(
                f"training.stages.{fitting[0]}: a derivative stage fits a field, but a recurrent network has none; "
                "take kind: trajectory, which any model can learn from"
            )
        return self

    @model_validator(mode="after")
    def _solver_follows_the_field(self) -> Self:
        solver = self.model.solver if isinstance(self.model, NeuralODEConfig) else None
        if not isinstance(solver, VelocityVerletConfig) or solver.step is not None:
            return self
        for index, stage in enumerate(self.training.stages):
            if isinstance(stage, DerivativeStage) and stage.difference != "verlet":
                raise ValueError(
                    f"training.stages.{index}.difference {stage.difference} fits the exact acceleration, which "
                    "velocity_verlet with the data's own step does not follow: set model.solver.step to a part of that "
                    "step, or take model.solver.kind=blanes_moan"
                )
        return self

    @model_validator(mode="after")
    def _curriculum_fits_the_stride(self) -> Self:
        for index, stage in enumerate(self.training.stages):
            first = stage.first_stride if isinstance(stage, TrajectoryStage) else None
            if first is not None and first > self.data.stride:
                raise ValueError(
                    f"training.stages.{index}.first_stride should be at most data.stride = {self.data.stride}, "
                    f"but is {first}"
                )
        return self
