"""The work behind a report: evaluate, rebuild, analyse, and put the page together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neuralmd.config import dump
from neuralmd.data.declared import AS_IT_IS, Declared
from neuralmd.data.formats import open_reader
from neuralmd.errors import ConfigError, DataError
from neuralmd.evaluation.evaluate import Evaluation
from neuralmd.evaluation.methods import directions, splines
from neuralmd.report.analysis import Analysis
from neuralmd.report.evaluation import Assessment
from neuralmd.report.families import family_of
from neuralmd.report.html.facts import commands, facts
from neuralmd.report.html.figures import Figure, error_figures, spectrum_figure
from neuralmd.report.html.flags import GapTrust
from neuralmd.report.html.page import Page
from neuralmd.report.html.results import REFERENCE, errors_table, lead, tiles
from neuralmd.report.html.scene import Scene
from neuralmd.report.html.stretches import RebuiltFile, from_file, from_windows
from neuralmd.report.html.trust import TrustPart
from neuralmd.report.html.words import label_of
from neuralmd.runs import TrainedRun, load_run


@dataclass(frozen=True, eq=False)
class ReportJob:
    """A report that can be made.

    Attributes:
        run: The run.
        assessment: Its evaluation; none where its trajectory is gone and a rebuilt file is shown.
        scene: What the 3-D view shows.
        rebuilt: The rebuilt file; none to show what the run rebuilds of its own test part.
        data: The fine trajectory that it is evaluated on; none for the test part of its own.
    """

    run: TrainedRun
    assessment: Assessment | None
    scene: Scene
    rebuilt: RebuiltFile | None
    data: Path | None = None

    @classmethod
    def of(
        cls,
        run: Path,
        rebuilt: RebuiltFile | None = None,
        frames: int | None = None,
        data: Path | None = None,
        stride: int | None = None,
        device: str = "auto",
        declared: Declared = AS_IT_IS,
    ) -> ReportJob:
        """Prepare a report.

        Args:
            run: The run's folder.
            rebuilt: A rebuilt file to show; none for what the run rebuilds of its own test part.
            frames: Most frames to show in 3-D; none for 401, or fewer of a large system.
            data: A fine trajectory to evaluate on; none for the test part of the run's own.
            stride: Frames from anchor to anchor; none for the rebuilt file's, or else the run's.
            device: `auto`, `cpu` or `cuda`.
            declared: What there is to say about the file of `data`.

        Raises:
            CheckpointError: If the run has no model, or a file is of another molecule.
            ConfigError: If a number makes no sense.
            DataError: If a file cannot be read, or is not what it should be.
            SolverError: If an ODE cannot be solved.
        """
        if frames is not None and frames < 3:
            raise ConfigError(f"--frames must be at least 3, two known frames and one between, but is {frames}")
        trained = load_run(run, device)
        methods = {**splines(), **directions(trained.model)}
        scene = None if rebuilt is None else from_file(rebuilt, trained, methods, frames)
        if scene is not None and data is None and not trained.config.data.path.is_file():
            return cls(trained, None, scene, rebuilt)
        assessment = Assessment.of(run, data, stride if scene is None else scene.stride, device, declared)
        shown = scene or from_windows(assessment.methods, assessment.windows, frames)
        return cls(trained, assessment, shown, rebuilt, data)

    @property
    def work(self) -> int:
        """Number of windows to rebuild: by all methods for the errors, by two of them for the spectra."""
        if self.assessment is None:
            return 1
        return self.assessment.work + 2 * len(self.assessment.windows.starts)

    def carry_out(self, output: Path, advance: Callable[[int], None] | None = None) -> Page:
        """Evaluate the run, draw the figures, and put the page together.

        Args:
            output: Where the page will be, which its commands name.
            advance: Called with the number of windows done.

        Raises:
            DataError: If there is no window.
            SolverError: If an ODE cannot be solved.
        """
        result = None if self.assessment is None else self.assessment.run(advance)
        figures, notes = self._figures(result, advance)
        trust = self._trust()
        return Page(
            name=self.run.config.run.name,
            formula=self.run.system.formula,
            headline=f"{self.scene.stride - 1} of every {self.scene.stride} frames rebuilt",
            lead=lead(self.scene, result),
            tiles=[*tiles(self.scene, result), *(() if trust is None else (trust.tile,))],
            notes=[*self.scene.notes, *(() if result is None else result.notes), *notes],
            scene=self.scene,
            errors=None if result is None else errors_table(result),
            figures=figures,
            facts=facts(self.run, self.scene.stride, result, self.rebuilt),
            commands=commands(self.run, self.scene.stride, self.rebuilt, output, self.data),
            settings=dump(self.run.config),
            trust=trust,
        )

    def _trust(self) -> TrustPart | None:
        """How far the rebuilt file is to be trusted, if there is one that says so."""
        if self.rebuilt is None:
            return None
        with open_reader(self.rebuilt.path, declared=self.rebuilt.declared) as reader:
            trust = GapTrust.of(reader, self.scene.stride)
            if trust is None:
                return None
            first = int(np.searchsorted(trust.starts, self.scene.first))
            shown = range(first, first + self.scene.gaps)
            return TrustPart.of(reader, trust, self.rebuilt.path.name, self.run.seen, shown)

    def _figures(
        self, result: Evaluation | None, advance: Callable[[int], None] | None
    ) -> tuple[list[Figure], list[str]]:
        """The figures, and what is to be said of those that could not be drawn."""
        if self.assessment is None or result is None:
            return [], []
        notes = [] if (remark := self.run.model.remark(result.gap)) is None else [remark]
        figures, before = error_figures(self.assessment, result), self.assessment.work

        def done(some: int) -> None:
            if advance is not None:
                advance(before + some)

        try:
            return [*figures, spectrum_figure(self._analysis(done))], notes
        except DataError as error:
            return figures, [*notes, f"There is no spectrum: {error}"]

    def _analysis(self, advance: Callable[[int], None]) -> Analysis:
        """Spectra of the truth, the known frames, the cubic Hermite spline and the model."""
        if self.assessment is None:
            raise DataError("spectra are those of an evaluation's windows, and there is no evaluation")
        name, model = list(self.assessment.methods.items())[-1]
        spline = label_of(REFERENCE)
        methods = {spline: self.assessment.methods[REFERENCE], label_of(name): model}
        families = {"coarse": "coarse", spline: REFERENCE, label_of(name): family_of(self.run.config)}
        return Analysis.of_methods(methods, self.assessment.windows, families=families, advance=advance)
