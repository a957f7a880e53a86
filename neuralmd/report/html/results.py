"""The result of a report in words, in a few numbers, and in the table of errors."""

from __future__ import annotations

from typing import Final

from neuralmd.evaluation.evaluate import Evaluation
from neuralmd.evaluation.metrics import HiddenFrameErrors
from neuralmd.report.html.parts import Errors, Row, Tile
from neuralmd.report.html.scene import Scene
from neuralmd.report.html.words import knows, label_of, length, milli

REFERENCE: Final = "cubic_hermite"
"""The spline that errors are compared with."""


def lead(scene: Scene, result: Evaluation | None) -> str:
    """The result in a sentence or two."""
    between = f"Between known frames {scene.stride * scene.timestep:.4g} fs apart"
    if result is None:
        return f"{between}, {scene.stride - 1} frames were rebuilt in each of the {scene.gaps} gaps shown below."
    name, own = _own(result)
    sentence = (
        f"{between}, the {label_of(name)} puts the atoms of frames that it was never shown {length(own.mae)} from "
        "where they were, averaged over all components"
    )
    if REFERENCE in result.methods:
        sentence += (
            f"; the cubic Hermite spline through the same frames misses them by {length(result.methods[REFERENCE].mae)}"
        )
    return f"{sentence}."


def tiles(scene: Scene, result: Evaluation | None) -> list[Tile]:
    """The result in a few numbers."""
    gap = scene.stride * scene.timestep
    first = Tile("Gap between known frames", f"{gap:.4g} fs", f"{scene.stride - 1} frames rebuilt in each")
    if result is None:
        return [first, *_of_scene(scene)]
    _, own = _own(result)
    found = [
        first,
        Tile("Mean error, hidden frames", length(own.mae), f"in {result.windows} gaps of the test part"),
    ]
    if REFERENCE in result.methods:
        ratio = result.methods[REFERENCE].mae / own.mae
        found.append(
            Tile(
                "Below the cubic Hermite spline",
                f"{_times(ratio)} times",
                f"which errs by {length(result.methods[REFERENCE].mae)}",
            )
        )
    if own.coverage is not None and own.error_bar is not None and scene.level is not None:
        stated = f"{scene.level:.0%} are promised; mean bar {length(own.error_bar)}"
        found.append(Tile("Within their error bar", f"{own.coverage:.1%}", stated))
    return found


def errors_table(result: Evaluation) -> Errors:
    """The errors of all methods on the hidden frames of the test part."""
    elements = list(next(iter(result.methods.values())).mae_per_element)
    name, _ = _own(result)
    reference = result.methods.get(REFERENCE)
    columns = ["mean", "RMS", *elements, "worst gap"]
    header = ["Method", *(f"{column} [mÅ]" for column in columns), "ms per frame"]
    rows = []
    for method, errors in result.methods.items():
        numbers = [errors.mae, errors.rmse, *errors.mae_per_element.values(), errors.worst_window_mae]
        cells = [*map(milli, numbers), _milliseconds(errors.seconds_per_frame)]
        if reference is not None:
            cells.append(f"{_times(reference.mae / errors.mae)}×")
        rows.append(Row(label_of(method), knows(method), cells, method == name))
    if reference is not None:
        header.append("below Hermite")
    return Errors(
        f"Every method was given the known frames of {result.source} and rebuilt {result.windows} gaps of "
        f"{result.gap:.4g} fs; what it made of the hidden frames was compared with what they are.",
        header,
        rows,
        "1 mÅ is 0.001 Å. Mean of |Δ| over gaps, hidden frames, atoms and components; root mean square of the "
        "same; mean for the atoms of each element; mean of the gap that went worst. Known frames are not counted. "
        f"Velocities at known frames: {result.velocity_source}. Time is that of this machine, many gaps at once.",
    )


def _of_scene(scene: Scene) -> list[Tile]:
    """What is known of the frames shown, where there is no evaluation."""
    error = scene.root_mean_square_error(0)
    return (
        [] if error is None else [Tile("Error of the frames shown", length(error), "root mean square, hidden frames")]
    )


def _own(result: Evaluation) -> tuple[str, HiddenFrameErrors]:
    """What the report is about: the last method."""
    return list(result.methods.items())[-1]


def _times(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 9.95 else f"{ratio:.1f}"


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.2g}" if seconds >= 1e-5 else "< 0.01"
