"""The command line: parse, call, print. No logic."""

from neuralmd.cli.application import main

__all__ = ["main"]
