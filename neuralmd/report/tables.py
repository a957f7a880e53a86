"""The table of an evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neuralmd.evaluation.evaluate import Evaluation

if TYPE_CHECKING:
    from rich.table import Table

_REFERENCE = "cubic_hermite"


def evaluation_table(evaluation: Evaluation) -> Table:
    """Errors of every method on hidden frames [A], and how many times below the cubic Hermite spline each is."""
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"Hidden frames of {evaluation.source}",
        caption=(
            f"{evaluation.windows} windows of stride {evaluation.stride} ({evaluation.gap:.4g} fs), "
            f"{evaluation.velocity_source} velocities at the anchors; errors in A"
        ),
        box=box.SIMPLE_HEAD,
    )
    elements = list(next(iter(evaluation.methods.values())).mae_per_element)
    table.add_column("method", no_wrap=True)
    columns = ["MAE", "RMSE", *(f"MAE {element}" for element in elements), "worst window", "vs Hermite"]
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    reference = evaluation.methods.get(_REFERENCE)
    model = list(evaluation.methods)[-1]
    for name, errors in evaluation.methods.items():
        numbers = [errors.mae, errors.rmse, *errors.mae_per_element.values(), errors.worst_window_mae]
        ratio = "" if reference is None else f"{reference.mae / errors.mae:.1f}x"
        table.add_row(name, *(f"{number:.2e}" for number in numbers), ratio, style="bold" if name == model else None)
    return table
