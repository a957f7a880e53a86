"""The command `neuralmd`: its subcommands, and errors as one line in place of a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.exceptions import TyperException

from neuralmd import __version__
from neuralmd.cli.analysis import mismatch, spectrum
from neuralmd.cli.comparison import compare
from neuralmd.cli.downloads import download
from neuralmd.cli.experiments import evaluate, train
from neuralmd.cli.fitting import fit_correction
from neuralmd.cli.reconstruction import fit_and_reconstruct, reconstruct
from neuralmd.cli.reports import curves, report
from neuralmd.cli.start import configs, demo
from neuralmd.cli.sweeps import sweep, sweep_report
from neuralmd.cli.trajectories import info, simulate, thin
from neuralmd.errors import NeuralMDError, ToldElsewhereError

USER_ERROR = 2
"""Exit code where the user can put it right."""

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""

app = typer.Typer(
    name="neuralmd",
    help="Learn the dynamics of a molecule and give a coarse trajectory back the frames that it lacks.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(demo)
app.command()(configs)
app.command()(simulate)
app.command()(download)
app.command()(info)
app.command()(train)
app.command()(fit_correction)
app.command()(evaluate)
app.command()(compare)
app.command()(thin)
app.command()(reconstruct)
app.command()(fit_and_reconstruct)
app.command()(mismatch)
app.command()(spectrum)
app.command()(report)
app.command()(curves)
app.command()(sweep)
app.command()(sweep_report)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 if all went well, 2 with one line on stderr if not, 130 after Ctrl-C.

    Args:
        arguments: What follows `neuralmd` on the command line; none for the process's own.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        carry_out(words)
        code = 0
    except typer.Exit as end:
        code = end.exit_code
    except ToldElsewhereError:
        code = USER_ERROR
    except NeuralMDError as error:
        code = _complain(str(error))
    except TyperException as error:
        code = _complain(f"{error.format_message()} (see: {_help(words)})") if error.format_message() else USER_ERROR
    except BrokenPipeError:
        code = _close_output()
    except OSError as error:
        code = _complain(_describe(error))
    except KeyboardInterrupt as stop:
        code = _complain(str(stop) or "interrupted", INTERRUPTED)
    sys.exit(code)


def carry_out(words: Sequence[str]) -> None:
    """Carry out a command; whatever goes wrong is raised."""
    # Not app(words): typer swallows the message of a KeyboardInterrupt, which tells how to go on.
    command = typer.main.get_command(app)
    with command.make_context("neuralmd", list(words)) as context:
        command.invoke(context)


def _print_version(wanted: bool) -> bool:  # noqa: FBT001 - what typer gives
    if wanted:
        typer.echo(f"neuralmd {__version__}")
        raise typer.Exit
    return wanted


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    pass


def _complain(message: str, code: int = USER_ERROR) -> int:
    """Write one line to stderr, whatever the message holds, and return the exit code."""
    typer.echo(f"error: {' '.join(message.split())}", err=True)
    return code


def _describe(error: OSError) -> str:
    if error.strerror is None:
        return str(error) or type(error).__name__
    return f"{error.filename}: {error.strerror}" if error.filename is not None else error.strerror


def _help(words: Sequence[str]) -> str:
    known = {
        command.callback.__name__.replace("_", "-")
        for command in app.registered_commands
        if command.callback is not None
    }
    return " ".join(["neuralmd", *[word for word in words[:1] if word in known], "--help"])


def _close_output() -> int:
    """Let Python end in peace after the reader of a pipe, such as `head`, has left."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
