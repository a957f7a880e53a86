"""`reconstruct`: from a coarse file to a fine one, by one process or by several that share its gaps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from neuralmd.data.formats import open_reader
from neuralmd.data.frame_blocks import FrameBlocks
from neuralmd.data.work_folder import WorkFolder
from neuralmd.errors import DataError
from neuralmd.interpolators.doubts import Doubts
from neuralmd.reconstruction.job import Job
from neuralmd.reconstruction.request import Reconstruction
from neuralmd.training.checkpoint import require_same_atoms
from neuralmd.workers import ALONE, Workers

_BATCH = "batch"


@dataclass(frozen=True)
class Rebuilt:
    """What a reconstruction has written.

    Attributes:
        frames: Number of frames.
        doubts: How many gaps are not to be trusted, and why; none where the work was done by an earlier run.
        level: Part of all components that the error bars are for; none without error bars.
        batch: How many gaps were filled at once.
    """

    frames: int
    doubts: Doubts | None = None
    level: float | None = None
    batch: int | None = None

    def told(self, how: Reconstruction) -> list[str]:
        """What a user should know of it, a line each."""
        if self.doubts is None:
            return []
        lines = [self.doubts.about_bars(self.level, how.max_error)]
        lines.append(None if how.seen is None else self.doubts.about_training(how.seen))
        lines.append(self._about_batch(how.method.at_once))
        return [line for line in lines if line is not None]

    def _about_batch(self, asked: int | None) -> str | None:
        if asked is None or self.batch is None or asked == self.batch:
            return None
        return f"{self.batch} gaps were filled at once, not {asked}: as many as a block holds, or as when it was begun"


def reconstruct(
    coarse: Path,
    output: Path,
    how: Reconstruction,
    *,
    resume: bool = False,
    overwrite: bool = False,
    advance: Callable[[int], None] | None = None,
    workers: Workers = ALONE,
) -> Rebuilt:
    """Write the fine trajectory of a coarse one. Anchors are copied, bit for bit where the format has double precision.

    Args:
        coarse: The coarse file.
        output: The fine file; it takes its name when it is whole.
        how: The method and the stride.
        resume: Go on with OUTPUT.blocks where there is one, else start.
        overwrite: Replace an output that exists and, unless resuming, an OUTPUT.blocks that exists.
        advance: Called with the number of gaps filled.
        workers: The processes that share the gaps, all of which call this; the first joins them into the file.

    Raises:
        DataError: If the coarse file cannot be read, holds no gap, or lacks what the method needs; if the output exists
            or cannot be written, or OUTPUT.blocks exists or was begun with something else.
        ConfigError: If a limit for error bars is given, and there are no error bars.
        SolverError: If an ODE cannot be solved.
        CheckpointError: If the file is of another molecule than the method knows.
        ProcessError: If another process is gone.
        KeyboardInterrupt: On Ctrl-C, with a message that says how to go on.
    """
    if how.stride < 2:
        raise DataError(f"the stride must be at least 2, or there is nothing to rebuild, but is {how.stride}")
    with open_reader(coarse, timestep=how.timestep, declared=how.declared) as reader:
        how.require_possible(reader, coarse)
        if how.trained_on is not None:
            require_same_atoms(how.trained_on, reader.system, coarse)
        job, folder = Job(reader, coarse, output, how), WorkFolder.beside(output)
        whole = resume and folder.finished and not folder.begun and output.is_file()
        ended = resume and folder.begun and output.is_file() and not overwrite
        request = workers.each(job.request)  # nobody goes on before all have looked at what is there
        if whole:
            workers.first(folder.finish)
            return Rebuilt(job.frames)

        def begin() -> None:
            if not ended:
                job.writer(output, overwrite=overwrite).abandon()  # finds a bad output before the work, not after it
            kept = folder.request().get(_BATCH) if resume and folder.begun else None
            batch = job.batch if kept is None else kept
            folder.open({**request, _BATCH: batch}, "reconstruction", resume=resume, overwrite=overwrite)

        workers.first(begin)
        job.batch = workers.each(lambda: _agreed(folder, request))

        def end() -> Doubts:
            return job.join_again(folder) if ended else job.join(folder, job.writer(output, overwrite=overwrite))

        try:
            mine = range(workers.rank, len(job.pieces), workers.count)
            workers.each(lambda: job.fill(FrameBlocks(folder), mine, _share(advance, job, mine)))
            doubts = workers.first(end)
        except KeyboardInterrupt:
            message = f"stopped; what was rebuilt is in {folder.path}: go on with the same command and --resume"
            raise KeyboardInterrupt(message) from None
    workers.first(folder.finish)
    return Rebuilt(job.frames, doubts, job.level, job.batch)


def _agreed(folder: WorkFolder, request: Mapping[str, object]) -> int:
    """How many gaps to fill at once, as the folder was begun: by now there may be less memory, or more.

    Raises:
        DataError: If it was begun with another request, or does not say it.
    """
    batch = folder.request().get(_BATCH)
    folder.check({**request, _BATCH: batch})
    if not isinstance(batch, int) or batch < 1:
        raise DataError(f"{folder.path} does not say how many gaps are filled at once: start anew with --overwrite")
    return batch


def _share(advance: Callable[[int], None] | None, job: Job, mine: range) -> Callable[[int], None]:
    """What takes the gaps that this process has filled, and shows them as a part of all."""
    if advance is None:
        return _no_progress
    every, own = (sum(job.pieces[index].gaps for index in some) for some in (range(len(job.pieces)), mine))
    return lambda done: advance(done if own == every else done * every // max(own, 1))


def _no_progress(done: int) -> None:
    del done
