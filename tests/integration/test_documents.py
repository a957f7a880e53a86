"""Every command and every Python block of README and docs, carried out as a reader would, with small budgets.

What is made small: simulations have few steps, trainings few steps, small networks and one length of gap, comparisons
one seed and one stride. A simulation or a training that an earlier page has done is copied. All else is as the page
says. What a page marks as not run (a network, a GPU, a cluster) is still checked for commands and options that do not
exist.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ase.io
import documents
import pytest
import typer
from ase import Atoms
from ase.units import Bohr

from neuralmd.cli import main
from neuralmd.cli.application import app
from neuralmd.config import dump, load
from neuralmd.data.formats import read, write

ROOT = Path(__file__).resolve().parents[2]
PAGES = documents.pages(ROOT)
STEPS, EQUILIBRATION, TRAINED = 450, 20, 2
LONGEST = 20
BUDGET = 0.001
FEW: dict[str, dict[str, object]] = {
    "simulate": {"--steps": STEPS, "--equilibration": EQUILIBRATION},
    "sweep": {"--trials": 1, "--workers": 1, "--engine": "optuna"},
}
SMALLER = {"channels": 4, "l_max": 1, "layers": 1, "width": 8, "radial_width": 8}
FIELD = {"channels", "l_max", "layers"}
RUNNABLE = {"bash", "sh", "console", "python"}
LAUNCHERS = {"torchrun", "fabric"}
NOT_CODE = {"text", "yaml", "bibtex", "toml"}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


class Reader:
    """Does what a page says, in a folder of its own.

    Args:
        kept: Where finished simulations and trainings are kept for other pages.
    """

    def __init__(self, kept: Path) -> None:
        self.kept = kept
        self.group: Any = typer.main.get_command(app)
        self.names: dict[str, object] = {"__name__": "__main__"}

    def obey(self, block: documents.Block) -> None:
        if block.language == "python":
            code = compile(block.text, f"line {block.line}", "exec")
            if block.reason is None:
                with warnings.catch_warnings():
                    # What a model says of itself after a training as short as here.
                    warnings.filterwarnings("ignore", ".*(training data:|error bars|the bridge)", UserWarning)
                    exec(code, self.names)  # noqa: S102 - our own text
            return
        for command in block.commands:
            # What only a cluster knows, such as the number of its cores, is one here.
            known = command if block.reason is None else re.sub(r"\$\w+", "1", command)
            words = shlex.split(known.removeprefix("srun "), comments=True)
            if words[0] == "neuralmd":
                self.understand(words[1:])
                if block.reason is None:
                    self.carry_out(words[1:])
            elif words[0] in LAUNCHERS:
                launched = next(i for i, word in enumerate(words) if Path(word).name == "neuralmd") + 1
                self.understand(words[launched:])
                if block.reason is None:
                    launch([*words[1:launched], *smaller(words[launched:])])
            elif words[0] == "make":
                make(words[1:], self)
            else:
                assert block.reason is not None, f"{command}: cannot be run by this test, and is not marked as not run"

    def understand(self, words: list[str]) -> dict[str, object]:
        """What the command line takes the words for; fails unless it knows them all."""
        # A version or a help text ends here, and well.
        with contextlib.suppress(typer.Exit):
            context = self.group.make_context("neuralmd", list(words))
            chosen, rest = context.command, [*context._protected_args, *context.args]
            while hasattr(chosen, "commands"):
                assert rest[0] in chosen.commands, f"there is no command {shlex.join(words)}"
                chosen = chosen.commands[rest.pop(0)]
            return chosen.make_context(chosen.name, list(rest), parent=context).params
        return {}

    def carry_out(self, words: list[str]) -> None:
        words = smaller(words)
        match words[0]:
            case "simulate":
                settings = self.understand(words)
                del settings["output"], settings["resume"]
                self.once(words, Path(words[2]), repr(settings))
            case "train":
                experiment = load(Path(words[1]), [word for word in words[2:] if "=" in word])
                nameless = experiment.model_copy(update={"run": experiment.run.model_copy(update={"name": "any"})})
                self.once(words, experiment.run.folder, dump(nameless) + shlex.join(words[2:]))
            case "configs" if "--output" in words:
                run(words)
                shrink(Path(words[words.index("--output") + 1]))
            case "demo":
                self.obey(documents.Block("bash", "neuralmd configs demo --output configs/demo.yaml", 0, None))
                simulation = "--steps 14000 --temperature 500 --timestep 0.5 --seed 0"
                self.obey(documents.Block("bash", f"neuralmd simulate benzene data/demo.h5 {simulation}", 0, None))
                run(words)
            case _:
                run(words)

    def once(self, words: list[str], made: Path, key: str) -> None:
        """Run a command that makes a file or folder, or copy what an equal one has made."""
        kept = self.kept / f"{abs(hash(key))}{made.suffix}"
        if not kept.exists():
            run(words)
            (shutil.copytree if made.is_dir() else shutil.copy)(made, kept)
            return
        assert not made.exists() or "--overwrite" in words, f"{shlex.join(words)}: {made} is there already"
        made.parent.mkdir(parents=True, exist_ok=True)
        (shutil.copytree if kept.is_dir() else shutil.copy)(kept, made)


def run(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 0, f"neuralmd {shlex.join(words)}: exit code {ended.value.code}"


def launch(words: list[str]) -> None:
    """What `torchrun` does with the words."""
    command = [sys.executable, "-m", "torch.distributed.run", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"torchrun {shlex.join(words)}: {done.stderr}"


def make(targets: list[str], reader: Reader) -> None:
    """The targets exist, and the commands of neuralmd in their recipes, too."""
    words = ["make", "--dry-run", "--always-make", *targets]
    recipe = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert recipe.returncode == 0, recipe.stderr
    for line in recipe.stdout.splitlines():
        if found := re.match(r"\.venv/bin/neuralmd (.*)", line):
            reader.understand(shlex.split(found[1]))


def smaller(words: list[str]) -> list[str]:
    """The same command with a small budget."""
    if words[0] in FEW:
        return with_options(words, FEW[words[0]])
    match words[0]:
        case "train":
            # Before the page's own settings, which count if both are there.
            return [*words[:2], f"training.max_steps={TRAINED}", "training.max_minutes=null", *words[2:]]
        case "compare":
            single = [re.sub(r"\.yaml:\d+$", ".yaml", word) for word in words]
            few = with_options(single, {"--minutes": BUDGET, "--seeds": 1, "--output": "runs/comparison"})
            strides = few.index("--strides") + 1 if "--strides" in few else None
            if strides is not None:  # so short a test part has no two windows of a longer one
                few[strides] = max((one for one in few[strides].split(",") if int(one) <= LONGEST), key=int)
            return few
        case "demo" | "fit-and-reconstruct":
            # The demonstration takes a configuration file, which is small already, and is told of the steps it has.
            told = {"--steps": STEPS} if words[0] == "demo" else {}
            small = [f"model.field.{key}={value}" for key, value in SMALLER.items() if key in FIELD and not told]
            return [*with_options(words, {"--minutes": BUDGET, **told}), *small]
        case "spectrum" if words[1].startswith("runs/"):
            # Of trainings of a comparison; the test part of so short a simulation would be too short for a spectrum.
            trained = [re.sub(r"-\d+min-", f"-{BUDGET}min-", word) for word in words]
            return with_options(trained, {"--data": "data/benzene.h5"})
        case _:
            return words


def with_options(words: list[str], values: dict[str, object]) -> list[str]:
    changed = list(words)
    for option, value in values.items():
        if option in changed:
            changed[changed.index(option) + 1] = str(value)
        else:
            changed += [option, str(value)]
    return changed


def shrink(config: Path) -> None:
    """Make the networks of a configuration small, and fit what is fitted at the end for one length of gap."""
    text = config.read_text()
    for key, value in SMALLER.items():
        text = re.sub(rf"^( +{key}): \d+", rf"\1: {value}", text, flags=re.MULTILINE)
    text = re.sub(r"strides: \[5, 10, 20, 40\]", f"strides: [{LONGEST}]", text)
    config.write_text(text)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def reader(kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A reader in an empty folder, who has the configurations of the repository."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    for config in (tmp_path / "configs").iterdir():
        shrink(config)
    return Reader(kept)


def supply(page: Path, reader: Reader) -> None:
    """What a page takes for granted: the reader's own trajectories, and the configurations of a checkout."""
    if page.name != "README.md":
        shutil.rmtree("configs")
    if page.name == "sweeps.md":
        shutil.copytree(ROOT / "sweeps", "sweeps")
        for sweep in Path("sweeps").iterdir():
            small = re.sub(r"(max_minutes): {value: .*}", r"\1: {value: 0.001}", sweep.read_text())
            sweep.write_text(re.sub(r"(channels): {value: .*}", r"\1: {value: 4}", small))
    if page.name == "own-data.md":
        reader.carry_out(
            ["simulate", "ethanol", "data.h5", "--temperature", "500", "--timestep", "0.5", "--steps", "1"]
        )
        fine = read(Path("data.h5"))
        write(fine, Path("fine.extxyz"))
        write(fine.slice(0, 201, 20), Path("coarse.extxyz"))
        images = [Atoms(fine.system.symbols, frame / Bohr) for frame in fine.positions]
        ase.io.write("bohr.xyz", images, format="extxyz")  # another engine's: in bohr, without a time step


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_a_page_does_what_it_says(page: Path, reader: Reader) -> None:
    code = documents.blocks(page)
    assert {block.language for block in code} <= RUNNABLE | NOT_CODE
    supply(page, reader)
    for block in code:
        if block.language in RUNNABLE:
            reader.obey(block)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_within_the_text_exist(page: Path, reader: Reader) -> None:
    known = {command.name: command for command in reader.group.commands.values()}
    for command in documents.inline_commands(page):
        words = shlex.split(command)[1:]
        if command.startswith("make "):
            make(words, reader)
        elif words[0] != "COMMAND" and not words[0].startswith("-"):
            assert words[0] in known, command
            options = {option for parameter in known[words[0]].params for option in parameter.opts}
            assert {word.partition("=")[0] for word in words if word.startswith("--")} <= options | {"--help"}, command
            settings = [word for word in words[1:] if re.match(r"[a-z_.0-9]+=", word)]
            config = next((Path(word) for word in words if word.endswith(".yaml") and Path(word).is_file()), None)
            if words[0] in ("train", "compare"):
                load(config or Path("configs/ethanol.yaml"), settings)


def test_the_site_is_whole_and_loads_nothing_from_the_network(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="`make docs` installs what builds the site")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    loaded = re.compile(r"""<(?:script|img|iframe)[^>]*src=["']?https?:|<link[^>]*stylesheet[^>]*https?:""")
    remote = re.compile(r"@import\s|url\(\s*[\"']?https?:")
    assert [page.name for page in tmp_path.rglob("*.html") if loaded.search(page.read_text())] == []
    assert [sheet.name for sheet in tmp_path.rglob("*.css") if remote.search(sheet.read_text())] == []


def test_what_a_page_marks_as_not_run_says_why() -> None:
    reasons = {block.reason for page in PAGES for block in documents.blocks(page)}
    assert reasons <= {None, "needs a network", "needs a GPU", "needs a cluster"}


def test_a_command_that_does_not_exist_is_noticed(reader: Reader) -> None:
    def bash(text: str) -> documents.Block:
        return documents.Block("bash", text, 0, "needs a network")

    for wrong in ("neuralmd simulat benzene x.h5", "neuralmd info x.h5 --colour", "neuralmd thin x.h5"):
        with pytest.raises(Exception, match=r"(?i)simulat|colour|missing|argument"):
            reader.obey(bash(wrong))
    with pytest.raises(AssertionError, match="No rule"):
        reader.obey(bash("make nothing"))
    with pytest.raises(AssertionError, match="not marked"):
        reader.obey(documents.Block("bash", "pip install something", 0, None))
