"""The report of a sweep: the ranked table, the best configurations as files, and figures."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from neuralmd.config import dump
from neuralmd.config import load as load_experiment
from neuralmd.runs import CONFIG
from neuralmd.sweeps.figures import plot_importance, plot_learning_curves
from neuralmd.sweeps.importance import importance_of
from neuralmd.sweeps.parallel_coordinates import plot_parallel_coordinates
from neuralmd.sweeps.records import Record
from neuralmd.sweeps.results import Results, describe, shown
from neuralmd.training.history import history
from neuralmd.training.tracking import SUMMARY_FILE

if TYPE_CHECKING:
    from rich.table import Table

_IN_TERMINAL = 20


def write(results: Results, folder: Path) -> list[Path]:
    """Write tables, the best configurations and figures; returns what was written.

    Args:
        results: What came out.
        folder: Where the files go.

    Raises:
        ConfigError: If the configuration of the best run cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True)
    importance = importance_of(results)
    texts = {
        folder / "ranking.md": markdown(results, importance),
        folder / "ranking.csv": csv_text(results),
        folder / "ranking.json": json.dumps(to_dict(results, importance), indent=2) + "\n",
        folder / "best.yaml": best_config(results, results.best, f"{results.sweep.name}-best"),
    }
    for name, record in results.best_of_each().items():
        texts[folder / f"best-{name}.yaml"] = best_config(results, record, f"{results.sweep.name}-best-{name}")
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8")
    figures = [folder / "learning-curves.png", folder / "parallel-coordinates.png"]
    plot_learning_curves(results, figures[0])
    plot_parallel_coordinates(results, figures[1])
    if importance:
        figures.append(folder / "importance.png")
        plot_importance(results, importance, figures[-1])
    return [*texts, *figures]


def markdown(results: Results, importance: dict[str, float]) -> str:
    """The ranked table, what failed, and the importance of the settings, in Markdown."""
    settings = results.settings
    header = ["rank", "trial", results.sweep.metric.name, "state", "min", "steps", *(one.title for one in settings)]
    lines = [
        f"# {results.sweep.name}",
        "",
        "| " + " | ".join(header) + " |",
        "|---:|---|---:|---|---:|---:" + "|---" * len(settings) + "|",
    ]
    for rank, record in enumerate(results.ranked, start=1):
        minutes, steps = _cost(results.folder / record.name)
        values = [shown(record.values[one.key]) if one.key in record.values else "" for one in settings]
        cells = [str(rank), record.name, f"{record.value:.3e}", record.state, minutes, steps, *values]
        lines.append("| " + " | ".join(cells) + " |")
    if results.failed:
        lines += ["", "Failed:", ""]
        lines += [f"- {one.name} ({describe(settings, one.values)}): {one.error}" for one in results.failed]
    if importance:
        titles = {one.key: one.title for one in settings}
        complete = sum(one.state == "complete" for one in results.ranked)
        lines += ["", f"| setting | importance (PED-ANOVA, from {complete} trials) |", "|---|---:|"]
        lines += [f"| {titles[key]} | {share:.2f} |" for key, share in importance.items()]
    return "\n".join(lines) + "\n"


def rich_table(results: Results) -> Table:
    """The best trials for the terminal, each with its settings in one cell."""
    from rich import box
    from rich.table import Table

    left = len(results.ranked) - _IN_TERMINAL
    counted = f"{len(results.ranked)} trials, {len(results.failed)} failed, {len(results.unfinished)} unfinished"
    table = Table(
        title=f"{results.sweep.name}: {counted}",
        caption=f"and {left} more in ranking.md" if left > 0 else None,
        box=box.SIMPLE_HEAD,
    )
    for name in ("rank", "trial"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(results.sweep.metric.name, justify="right", no_wrap=True)
    table.add_column("min", justify="right", no_wrap=True)
    table.add_column("settings", overflow="fold")
    for rank, record in enumerate(results.ranked[:_IN_TERMINAL], start=1):
        minutes, _ = _cost(results.folder / record.name)
        value = f"{record.value:.3e}" + (" (stopped)" if record.state == "pruned" else "")
        number = record.name.removeprefix(f"{results.sweep.name}-trial-")
        table.add_row(str(rank), number, value, minutes, describe(results.settings, record.values))
    return table


def csv_text(results: Results) -> str:
    """One line for every trial, with all digits and the full keys."""
    text = io.StringIO()
    keys = list(results.sweep.parameters)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["rank", "trial", "state", results.sweep.metric.name, *keys, "error"])
    for rank, record in enumerate(results.ranked, start=1):
        values = [record.values.get(key, "") for key in keys]
        writer.writerow([rank, record.name, record.state, record.value, *values, ""])
    for record in results.failed:
        writer.writerow(["", record.name, "failed", "", *(record.values.get(key, "") for key in keys), record.error])
    return text.getvalue()


def to_dict(results: Results, importance: dict[str, float]) -> dict[str, object]:
    """Plain values for JSON."""
    return {
        "sweep": results.sweep.name,
        "metric": asdict(results.sweep.metric),
        "ranked": [asdict(record) for record in results.ranked],
        "failed": [asdict(record) for record in results.failed],
        "unfinished": [asdict(record) for record in results.unfinished],
        "importance": importance,
    }


def best_config(results: Results, record: Record, name: str) -> str:
    """The configuration of a trial, to be trained under another name."""
    experiment = load_experiment(results.folder / record.name / CONFIG)
    run = experiment.run.model_copy(update={"name": name, "root": Path("runs")})
    tracking = experiment.tracking.model_copy(update={"group": None})
    sweep, count = results.sweep, len(results.ranked)
    comment = (
        f"# {record.name}, rank {results.ranked.index(record) + 1} of {count} in the sweep {sweep.name}: "
        f"{sweep.metric.name} {record.value:.3e}\n"
        f"# {describe(results.settings, record.values)}\n"
    )
    return f"{comment}\n{dump(experiment.model_copy(update={'run': run, 'tracking': tracking}))}"


def _cost(run: Path) -> tuple[str, str]:
    """Minutes and steps of a training, as far as it came."""
    if (run / SUMMARY_FILE).is_file():
        summary = json.loads((run / SUMMARY_FILE).read_text(encoding="utf-8"))
        return f"{summary['train/minutes']:.2f}", f"{summary['train/steps']:.0f}"
    logged = history(run, "validation/mae_A")
    if not logged:
        return "", ""
    last = logged[-1]
    return "" if math.isnan(last.minutes) else f"{last.minutes:.2f}", str(last.step)
