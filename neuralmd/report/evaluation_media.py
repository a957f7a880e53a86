"""An evaluation in wandb: a run of its own beside that of the training, with the figures and the table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from neuralmd.config import flatten
from neuralmd.evaluation.evaluate import Evaluation
from neuralmd.runs import experiment_of
from neuralmd.training.wandb_run import WandbRun, WandbSettings

JOB = "evaluation"
"""The kind of work that the run is, by which wandb tells it from trainings."""


def publish(run: Path, result: Evaluation, figures: Sequence[Path]) -> None:
    """Send an evaluation to wandb, if the training was sent there or into an offline run.

    The training's own run has ended, and an offline one cannot be taken up again; so this is another run, of the same
    group and name.

    Args:
        run: Folder of the training.
        result: The errors.
        figures: Their figures, in the folder that the wandb run goes into.
    """
    experiment = experiment_of(run)
    tracking = experiment.tracking
    if tracking.wandb == "disabled" or not (run / "wandb-id").is_file():
        return
    settings = WandbSettings(
        mode=tracking.wandb,
        project=tracking.project,
        entity=tracking.entity,
        group=tracking.group or experiment.run.name,
        tags=tracking.tags,
        name=f"{experiment.run.name}-stride{result.stride}",
        job_type=JOB,
    )
    sent = WandbRun(figures[0].parent, settings, flatten(experiment), resume=False)
    columns, rows = table_of(result)
    sent.show({figure.stem: figure for figure in figures}, columns, rows)
    sent.summarise({f"test/{name}/mae_A": errors.mae for name, errors in result.methods.items()})
    sent.finish(exit_code=0)


def table_of(result: Evaluation) -> tuple[list[str], list[list[object]]]:
    """Columns and rows of the errors of every method [A]."""
    elements = list(next(iter(result.methods.values())).mae_per_element)
    columns = ["method", "mae_A", "rmse_A", *(f"mae_{element}_A" for element in elements), "worst_window_mae_A"]
    rows: list[list[object]] = [
        [name, errors.mae, errors.rmse, *errors.mae_per_element.values(), errors.worst_window_mae]
        for name, errors in result.methods.items()
    ]
    return columns, rows
