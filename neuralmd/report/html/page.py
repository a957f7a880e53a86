"""The page of a report: its parts put into the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from neuralmd import __version__
from neuralmd.data.files import AtomicFile
from neuralmd.report.html.embedding import (
    LIBRARY,
    LICENCE,
    VIEWER_VERSION,
    asset,
    for_script,
    policy,
    templates,
    trusted,
)
from neuralmd.report.html.figures import Figure
from neuralmd.report.html.parts import Errors, Fact, Tile
from neuralmd.report.html.scene import Scene
from neuralmd.report.html.trust import TrustPart
from neuralmd.report.html.words import formula


@dataclass(frozen=True, eq=False)
class Page:
    """All that a report says. Every text is plain: the template escapes it.

    Attributes:
        name: The run.
        formula: The molecule.
        headline: What follows its name in the title.
        lead: The result in a sentence or two.
        tiles: The result in numbers.
        notes: What a reader must know, a sentence each.
        scene: What the 3-D view shows.
        errors: The table of errors; none without a test part.
        figures: The figures, in order.
        facts: What was done.
        commands: The commands that do it again.
        settings: The run's configuration.
        no_errors: What stands in the place of the errors.
        trust: How far a rebuilt file is to be trusted; none where no file says it.
    """

    name: str
    formula: str
    headline: str
    lead: str
    tiles: Sequence[Tile]
    notes: Sequence[str]
    scene: Scene
    errors: Errors | None
    figures: Sequence[Figure]
    facts: Sequence[Fact]
    commands: Sequence[str]
    settings: str
    no_errors: str = "The run's own trajectory is not there, so that nothing can be said of its test part."
    trust: TrustPart | None = None

    @property
    def date(self) -> str:
        """Today."""
        return datetime.now(UTC).strftime("%Y-%m-%d")

    @property
    def scene_text(self) -> str:
        """What the 3-D view shows, in words."""
        scene = self.scene
        colours = (
            "Colours tell how far each rebuilt atom is from the truth, known frames are grey; it opens where the error "
            "is largest."
            if scene.truth is not None
            else "Colours tell each rebuilt atom's calibrated error bar, known frames are grey; it opens where the bar "
            "is longest."
            if scene.has_error_bars
            else "Colours are those of the elements."
        )
        duration = (scene.frames - 1) * scene.timestep
        where = (
            f", around the flagged gap with the largest error bar, from frame {scene.first + 1} on"
            if scene.first
            else ""
        )
        return (
            f"{scene.gaps} gaps, {duration:.4g} fs, from {scene.source}{where}; {scene.stride - 1} frames are "
            f"rebuilt in each gap of {scene.stride * scene.timestep:.4g} fs. {colours}"
        )

    @property
    def viewer_alt(self) -> str:
        """What the 3-D view is, for who cannot see it."""
        return f"3-D view of {self.formula}, {self.scene.system.atoms} atoms, with a slider over its frames below"

    @property
    def timeline_alt(self) -> str:
        """What the chart of errors over time shows, for who cannot see it."""
        told = [
            f"{layer.label} {1e3 * error:.3g} milliangstrom"
            for index, layer in enumerate(self.scene.layers)
            if (error := self.scene.root_mean_square_error(index)) is not None
        ]
        means = f"; root mean squares over all hidden frames: {', '.join(told)}" if told else ""
        return f"Error of the rebuilt frames over time, zero at the known frames{means}"

    def write(self, path: Path, *, overwrite: bool = False) -> int:
        """Write the page; return its size in bytes.

        Raises:
            DataError: If the file exists or has no place.
            OSError: If it cannot be written.
        """
        target = AtomicFile(path, overwrite=overwrite)
        content = self.html().encode("utf-8")
        try:
            target.part.write_bytes(content)
            target.commit()
        except BaseException:
            target.discard()
            raise
        return len(content)

    def html(self) -> str:
        """The page as text."""
        scripts = [asset(LIBRARY), asset("viewer.js"), asset("timeline.js")]
        environment = templates()
        environment.filters["formula"] = formula
        return environment.get_template("page.html.j2").render(
            page=self,
            version=__version__,
            viewer_version=VIEWER_VERSION,
            policy=policy(scripts),
            style=trusted(asset("view.css") + asset("page.css") + asset("trust.css")),
            scene=trusted(for_script(self.scene.to_dict())),
            scripts=[trusted(script) for script in scripts],
            licence=asset(LICENCE),
        )
