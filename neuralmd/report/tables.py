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
    if covered := _coverage(evaluation):
        table.caption = f"{table.caption}\n{covered}"
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


def _coverage(evaluation: Evaluation) -> str | None:
    """How the error bars of the last method that has some did, in words."""
    covered = [(name, errors) for name, errors in evaluation.methods.items() if errors.coverage_per_position]
    if not covered:
        return None
    name, errors = covered[-1]
    by_position = errors.coverage_per_position or []
    return (
        f"error bars of {name}: {errors.error_bar:.2e} A on average, {errors.coverage:.1%} of all components within "
        f"them, {min(by_position):.1%} to {max(by_position):.1%} by position in the gap"
    )
