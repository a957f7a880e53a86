"""The demonstration: the commands that simulate benzene, learn it, and rebuild 19 of every 20 frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from neuralmd.config import Experiment, load
from neuralmd.config.files import parse
from neuralmd.config.shipped import text_of
from neuralmd.data.formats import open_reader
from neuralmd.errors import DataError
from neuralmd.runs import is_trained, require_alike
from neuralmd.training.loop import LAST

_STRIDE = 20
_LONGEST_EQUILIBRATION = 4000


@dataclass(frozen=True)
class Demo:
    """A demonstration in a folder, new or to be gone on with.

    Attributes:
        folder: Where its files go: configs/, data/ and runs/ in it.
        minutes: Budget of the training [min].
        steps: Steps of the simulation that are recorded.
    """

    folder: Path = Path()
    minutes: float = 5.0
    steps: int = 14_000

    def check(self) -> None:
        """Refuse to go on with what another demonstration has left in the folder.

        Raises:
            DataError: If the simulation there has another number of steps.
            ConfigError: If the training there has other settings than the configuration says now.
        """
        fine = self.folder / "data/demo.h5"
        if fine.exists():
            with open_reader(fine) as reader:
                found = reader.frames
            if found != self.steps:
                raise DataError(
                    f"{fine}: has {found} steps, but {self.steps} are wanted: take --steps {found}, another --folder, "
                    "or delete that file"
                )
        require_alike(self._wanted(), "take another --folder, or delete that folder", any_budget=True)

    def commands(self) -> Iterator[list[str]]:
        """The words after `neuralmd` of each command that is still to be done.

        Each is meant to be carried out before the next is asked for: what there is decides what is left to do.
        """
        config, fine = self.folder / "configs/demo.yaml", self.folder / "data/demo.h5"
        coarse, rebuilt = self.folder / "data/demo-coarse.h5", self.folder / "data/demo-fine.h5"
        run = self.folder / "runs/demo"
        if not config.exists():
            yield ["configs", "demo", "--output", str(config)]
        if not fine.exists():
            yield ["simulate", "benzene", str(fine), *self._simulation(), "--resume"]
        yield ["info", str(fine)]
        if not is_trained(self._wanted()):
            yield ["train", str(config), *self._settings(), *_manner(run)]
        yield ["evaluate", str(run), "--json", str(run / "evaluation.json")]
        yield ["thin", str(fine), str(coarse), "--stride", f"{_STRIDE}", "--overwrite"]
        filled = ["--run", str(run), "--stride", f"{_STRIDE}", "--overwrite"]
        yield ["reconstruct", str(coarse), str(rebuilt), *filled]

    def _wanted(self) -> Experiment:
        path = self.folder / "configs/demo.yaml"
        return load(path, self._settings()) if path.exists() else parse(text_of("demo"), path, self._settings())

    def _simulation(self) -> list[str]:
        settings = {"steps": self.steps, "temperature": 500, "timestep": 0.5, "seed": 0}
        words = [word for name, value in settings.items() for word in (f"--{name}", f"{value}")]
        # A short demonstration shall not spend its time on what it does not record.
        equilibration = self.steps // 3
        return words if equilibration >= _LONGEST_EQUILIBRATION else [*words, "--equilibration", f"{equilibration}"]

    def _settings(self) -> list[str]:
        budget = f"training.max_minutes={self.minutes:g}"
        if self.folder == Path():
            return [budget]
        return [f"data.path={self.folder / 'data/demo.h5'}", f"run.root={self.folder / 'runs'}", budget]


def _manner(run: Path) -> list[str]:
    """How to train: go on from the last checkpoint where there is one."""
    return ["--resume"] if (run / LAST).is_file() else ["--overwrite"]
