"""The command that compares methods."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from neuralmd.cli.options import Json, ResultsFolder


def compare(
    entries: Annotated[
        list[str],
        typer.Argument(
            metavar="(CONFIG[:SEEDS]|RUN|NUMBERS|KEY=VALUE)...",
            help="Configurations (.yaml) to train, runs as they are, numbers of earlier comparisons (.json) on the "
            "same data, and settings in place of every configuration's.",
        ),
    ],
    strides: Annotated[str, typer.Option(help="Frames from anchor to anchor, with commas between.")] = "5,10,20,40",
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each configuration.")] = 1,
    minutes: Annotated[
        float | None, typer.Option(min=0.0, help="Budget of each training [min]; by default the configuration's own.")
    ] = None,
    json: Json = None,
    output: ResultsFolder = Path("runs/comparison"),
) -> None:
    """Train what is not trained yet and compare all methods, at equal data and equal budget."""
    from neuralmd.cli.tables import show
    from neuralmd.compare.comparison import compare as run
    from neuralmd.compare.contest import Entry, enter
    from neuralmd.compare.earlier import joined, read
    from neuralmd.compare.files import write
    from neuralmd.compare.scores import reference_of
    from neuralmd.compare.tables import remarks, terminal_tables
    from neuralmd.progress import tasks

    chosen = _numbers(strides)
    overrides = [text for text in entries if _sets(text)]
    earlier = [(Path(text), read(Path(text))) for text in entries if text.endswith(".json")]
    entered = [Entry.parse(text) for text in entries if not _sets(text) and not text.endswith(".json")]
    contestants = enter(entered, seeds, minutes, overrides)
    with tasks(unit="per mille of the budget") as new_task:
        result = run(contestants, chosen, reference_of(contestants), lambda name: new_task(f"train {name}", 1000))
    result = joined(result, earlier)
    for table in terminal_tables(result):
        show(table.rich())
    for sentence in remarks(result):
        typer.echo(sentence, err=True)
    typer.echo("written: " + " ".join(str(path) for path in write(result, contestants, output, json)))


def _sets(text: str) -> bool:
    """Whether a word is a setting, and not a file."""
    return "=" in text and not Path(text).exists()


def _numbers(text: str) -> list[int]:
    try:
        numbers = sorted({int(word) for word in text.split(",")})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < 2:
        raise typer.BadParameter(f"expected whole numbers of at least 2 with commas between, but got {text!r}")
    return numbers
