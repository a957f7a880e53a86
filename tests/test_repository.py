"""What holds for the repository as a whole: sizes, habits that are refused, light imports, and words that exist."""

from __future__ import annotations

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from neuralmd.cli.application import app
from neuralmd.config import load

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted((ROOT / "neuralmd").rglob("*.py"))
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
REFUSED = {
    "allow_pickle=True": re.compile(r"allow_pickle\s*=\s*True"),
    "weights_only=False": re.compile(r"weights_only\s*=\s*False"),
    "TODO": re.compile(r"\b(TODO|FIXME|XXX)\b"),
}


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", CONFIGS, ids=name)
def test_every_config_loads(path: Path) -> None:
    load(path)


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_files_are_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 300


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_functions_are_short_and_neither_assert_nor_print(path: Path) -> None:
    wrong = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and lines_of_code(node) > 50:
            wrong.append(f"{node.name} has {lines_of_code(node)} lines")
        if isinstance(node, ast.Assert):
            wrong.append(f"assert in line {node.lineno}")
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print":
            wrong.append(f"print in line {node.lineno}")
    assert wrong == []


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function, without those of its docstring."""
    end = function.end_lineno or function.lineno
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or first.lineno) - first.lineno + 1 if documented else 0
    return end - function.lineno + 1 - docstring


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_nothing_refused_is_in_the_source(path: Path) -> None:
    assert [word for word, pattern in REFUSED.items() if pattern.search(path.read_text())] == []


@pytest.mark.parametrize("module", ["neuralmd", "neuralmd.config", "neuralmd.cli", "neuralmd.training.tracking"])
def test_a_plain_import_stays_light(module: str) -> None:
    script = (
        f"import sys, {module}; print(*sorted({{'wandb', 'matplotlib', 'ase', 'rdkit', 'torch'}} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_commands_of_the_makefile_exist() -> None:
    known = {command.name: command for command in subcommands()}
    for line in re.findall(r"\$\(BIN\)/neuralmd ([^\n;]+)", (ROOT / "Makefile").read_text()):
        words = shlex.split(line)
        assert {word for word in words if word.startswith("--")} <= options(known[words[0]]), line


def subcommands() -> Iterator[TyperCommand]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    for command in group.commands.values():
        assert isinstance(command, TyperCommand)
        yield command


def options(command: TyperCommand) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts}


def test_constraints_pin_every_package_and_name_no_place() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+", pin)] == []
