"""All the way from a short fine file and a long coarse one to the rebuilt file, by the commands that do each step."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from neuralmd.config import Experiment, load
from neuralmd.config.files import parse
from neuralmd.config.shipped import text_of
from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.matching import Match
from neuralmd.data.work_folder import WorkFolder
from neuralmd.errors import ConfigError, DataError
from neuralmd.runs import is_trained, require_alike
from neuralmd.training.loop import LAST

_TEMPLATE = "ethanol"
"""The configuration that suits any molecule."""

_EVALUATION = "evaluation.json"

_ADVICE = "give another name for the output, or --overwrite to train anew"


@dataclass(frozen=True)
class FitAndReconstruct:
    """What is to be done, new or to be gone on with.

    Attributes:
        fine: A file in which every frame is stored.
        coarse: The file that is to be rebuilt.
        output: The file that it becomes; the run goes into the folder runs beside it.
        match: How the two files fit each other.
        minutes: Budget of the training [min].
        overrides: Settings of the configuration, as KEY=VALUE.
        reconstruction: Further words for `neuralmd reconstruct`.
        of_fine: What there is to say about the fine file.
        of_coarse: What there is to say about the coarse file.
        overwrite: Whether the output may be replaced, and a run of its name that was trained with other settings.
    """

    fine: Path
    coarse: Path
    output: Path
    match: Match
    minutes: float
    overrides: Sequence[str] = ()
    reconstruction: Sequence[str] = ()
    of_fine: Declared = AS_IT_IS
    of_coarse: Declared = AS_IT_IS
    overwrite: bool = False

    @property
    def run(self) -> Path:
        """The folder of the run."""
        return self.output.parent / "runs" / self._name

    @property
    def _name(self) -> str:
        return re.sub(r"[^A-Za-z0-9_.+-]", "_", self.output.stem).lstrip(".+-") or "run"

    @property
    def _config(self) -> Path:
        return self.output.with_name(f"{self._name}.yaml")

    def check(self) -> None:
        """Refuse what could only fail later.

        Raises:
            DataError: If the output exists and may not be replaced, or is one of the inputs.
            ConfigError: If a setting decides what the files decide, or the run was trained with other settings and may
                not be replaced.
        """
        for source in (self.fine, self.coarse):
            if self.output.exists() and self.output.samefile(source):
                raise DataError(f"{self.output} is one of the files to be read: give another name for the output")
        unfinished = WorkFolder.beside(self.output)
        if self.output.exists() and not (self.overwrite or unfinished.begun or unfinished.finished):
            raise DataError(f"{self.output} exists already: give another name, or --overwrite")
        for word in self.overrides:
            key = word.partition("=")[0]
            if key in {"data.path", "data.stride", "run.name", "run.root", "training.max_minutes"}:
                raise ConfigError(f"{word}: {key} follows from the files and options of this command; leave it out")
        wanted = self._wanted()
        if not self.overwrite:
            require_alike(wanted, _ADVICE, any_budget=True)

    def commands(self) -> Iterator[list[str]]:
        """The words after `neuralmd` of each command that is still to be done.

        Each is meant to be carried out before the next is asked for: what there is decides what is left to do.
        """
        if not self._config.exists():
            yield ["configs", _TEMPLATE, "--output", str(self._config)]
        fresh = not is_trained(self._wanted()) or not self._is_alike()
        if fresh:
            yield ["train", str(self._config), *self._settings(), *self._manner()]
        yield ["evaluate", str(self.run), "--json", str(self.run / _EVALUATION), *self._anchors()]
        begun = WorkFolder.beside(self.output).begun
        # Blocks that an earlier training has filled are of no use after another.
        how = ["--overwrite"] if self.overwrite or (fresh and begun) else ["--resume"]
        words = [*self._said(), "--run", str(self.run), "--stride", str(self.match.stride)]
        yield ["reconstruct", str(self.coarse), str(self.output), *words, *self.reconstruction, *how]

    def report(self) -> list[str]:
        """What came of it, a line each, and where things lie."""
        result = json.loads((self.run / _EVALUATION).read_text(encoding="utf-8"))
        methods = result["methods"]
        name, model = list(methods.items())[-1]
        lines = [
            f"error on {result['windows']} hidden test gaps of {result['gap_fs']:g} fs: {model['mae']:.2e} A ({name})"
        ]
        for spline in ("cubic_spline", "cubic_hermite"):
            if spline in methods:
                mae = methods[spline]["mae"]
                lines.append(f"  {spline}: {mae:.2e} A, {mae / model['mae']:.1f} times that")
        if model.get("coverage") is not None:
            lines.append(
                f"  error bars: {model['error_bar']:.2e} A on average, {model['coverage']:.1%} of it within them"
            )
        lines.append(
            f"  {self.output}: the rebuilt trajectory; {self.run}: model and figures; {self._config}: settings"
        )
        atoms = self.of_coarse.topology or self.of_fine.topology
        words = ["report", str(self.run), "--trajectory", str(self.output), "--stride", str(self.match.stride)]
        words += [] if atoms is None else ["--topology", str(atoms)]
        return [*lines, f"  to look at it: neuralmd {shlex.join(words)}"]

    def _settings(self) -> list[str]:
        stride = self.match.stride
        said = {
            "data.path": self.fine,
            "data.stride": stride,
            "data.velocities": "auto",
            "data.timestep": self.of_fine.timestep,
            "data.topology": self.of_fine.topology,
            "data.length_unit": self.of_fine.length_unit,
            "data.velocity_unit": self.of_fine.velocity_unit,
            "data.drop_cell": "true" if self.of_fine.drop_cell else None,
            "model.correction.strides": f"[{stride}]",
            "model.error_bars.strides": f"[{stride}]",
            "model.error_bars.inferred_strides": None if self.match.velocities else f"[{stride}]",
            "training.max_minutes": f"{self.minutes:g}",
            "run.name": self._name,
            "run.root": self.run.parent,
        }
        return [*(f"{key}={value}" for key, value in said.items() if value is not None), *self.overrides]

    def _wanted(self) -> Experiment:
        words = self._settings()
        return load(self._config, words) if self._config.exists() else parse(text_of(_TEMPLATE), self._config, words)

    def _is_alike(self) -> bool:
        """Whether a training in the run's folder is of the same settings, but for its budget."""
        try:
            require_alike(self._wanted(), _ADVICE, any_budget=True)
        except ConfigError:
            return False
        return True

    def _manner(self) -> list[str]:
        goes_on = (self.run / LAST).is_file() and self._is_alike()
        return ["--resume"] if goes_on else ["--overwrite"]

    def _anchors(self) -> list[str]:
        return [] if self.match.velocities else ["--anchor-velocities", "inferred"]

    def _said(self) -> list[str]:
        options = {
            "--timestep": self.of_coarse.timestep,
            "--topology": self.of_coarse.topology,
            "--length-unit": self.of_coarse.length_unit,
            "--velocity-unit": self.of_coarse.velocity_unit,
        }
        words = [word for name, value in options.items() if value is not None for word in (name, str(value))]
        return [*words, *(["--drop-cell"] if self.of_coarse.drop_cell else [])]
