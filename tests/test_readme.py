"""The README and the guide are part of the product: their programs and commands run, their links lead somewhere."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from outlay.cli.group import COMMANDS, cli
from outlay.testing import Emulator

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md"))]
TEXTS = {page.relative_to(ROOT).as_posix().removesuffix(".md"): page.read_text("utf-8") for page in PAGES}
README = TEXTS["README"]
#: This checkout's own code, wherever it is started and whatever is installed.
ENVIRONMENT: dict[str, str] = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
NO_KEYS = {name: value for name, value in ENVIRONMENT.items() if not name.endswith("_API_KEY")}


def blocks(language: str) -> list[pytest.ParameterSet]:
    """Every block of that language, named by its page and its number on it."""
    return [
        pytest.param(block, id=f"{name}-{number}")
        for name, text in TEXTS.items()
        for number, block in enumerate(re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL), 1)
    ]


@dataclass(frozen=True)
class Shown:
    """A command of a console block, and what the page shows of its output."""

    line: str
    output: list[str]

    @property
    def words(self) -> list[str]:
        return shlex.split(self.line, comments=True)


def shown() -> Iterator[tuple[str, Shown]]:
    for name, text in TEXTS.items():
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
            for part in re.split(r"(?m)^\$ ", block.replace("\\\n", " "))[1:]:
                line, *output = part.rstrip().splitlines()
                yield name, Shown(line, output)


SHOWN = list(shown())


def commands(output: bool) -> list[pytest.ParameterSet]:
    return [pytest.param(it, id=f"{name}: {it.line[:40]}") for name, it in SHOWN if bool(it.output) is output]


@pytest.mark.parametrize("program", blocks("python"))
def test_every_python_program_runs_as_it_stands(program: str, tmp_path: Path) -> None:
    """Each block is a whole program; the providers it names are the emulator."""
    with Emulator() as emulator:
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            env={**ENVIRONMENT, **emulator.env()},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 0, done.stderr


def test_the_receipt_is_the_one_that_the_demo_prints(tmp_path: Path) -> None:
    """The receipt on the first screen is real, to the character."""
    receipt = re.search(r"The receipt of `make demo`:.*?```text\n(.*?)```", README, re.DOTALL)
    assert receipt is not None
    done = subprocess.run(
        [sys.executable, "-m", "outlay.cli", "demo"],
        env=NO_KEYS,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert receipt[1].strip() in done.stdout


@pytest.mark.parametrize("it", commands(output=True))
def test_what_a_command_is_shown_to_print_is_what_it_prints(it: Shown, tmp_path: Path) -> None:
    """Line by line and in order; `…` stands for anything, and lines between may be left out."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    assert it.words[0] == "outlay"
    done = subprocess.run(
        [sys.executable, "-m", "outlay.cli", *it.words[1:]],
        env=NO_KEYS,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    said = done.stdout + done.stderr
    line = ".*?".join  # of the pieces between the …
    patterns = [line(map(re.escape, wanted.split("…"))) for wanted in it.output]
    assert re.search(r"(?m)^" + r"$(?:.|\n)*?^".join(patterns) + r"$", said), said


@pytest.mark.parametrize("it", [*commands(output=False), *commands(output=True)])
def test_every_command_is_one_that_there_is(it: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its name, its options and the number of its arguments; nothing is run."""
    program, *words = it.words
    if program == "make":
        assert all(re.search(rf"(?m)^{word}:", (ROOT / "Makefile").read_text()) for word in words)
    elif program == "python":
        assert (ROOT / words[0]).is_file() if words[0] != "-m" else find_spec(words[1])
    else:
        assert program == "outlay"
        monkeypatch.chdir(tmp_path)
        for file in (word for word in words if re.fullmatch(r"\w+\.\w+", word)):
            Path(file).touch()
        parse(cli, words)


def parse(
    command: click.Command, words: Sequence[str], name: str = "outlay", parent: click.Context | None = None
) -> None:
    """Raise what click would raise of these words."""
    if isinstance(command, click.Group) and words:
        below = command.get_command(click.Context(command), words[0])
        if below is not None:
            parse(below, words[1:], f"{name} {words[0]}", click.Context(command, parent, name))
            return
    with contextlib.suppress(click.exceptions.Exit):  # --help
        command.make_context(name, list(words), parent)


def test_a_wrong_option_would_be_seen() -> None:
    for wrong in ("run --no-such", "map flow.py:flow", "runs prune --no-such", "advise too many words"):
        with pytest.raises(click.UsageError):
            parse(cli, wrong.split())


def mentioned() -> list[tuple[str, str]]:
    """`outlay …` within sentences and tables."""
    return [(name, it) for name, text in TEXTS.items() for it in re.findall(r"(?<!`)`outlay ([a-z][^`]*)`", text)]


@pytest.mark.parametrize("it", sorted({it for _, it in mentioned()}))
def test_every_command_that_a_sentence_names_is_one_that_there_is(it: str) -> None:
    """Its options, too; arguments may be left out."""
    words = it.split()
    command = cli.get_command(click.Context(cli), words[0])
    assert command is not None, f"there is no outlay {words[0]}"
    if isinstance(command, click.Group) and len(words) > 1:
        command = command.get_command(click.Context(command), words[1]) or command
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    assert {word for word in words if word.startswith("--")} <= {*known, "--help"}


def test_the_page_of_the_command_line_has_every_command() -> None:
    page = TEXTS["docs/guide/command-line"]
    assert [name for name in COMMANDS if f"`outlay {name}" not in page] == []


@pytest.mark.parametrize("text", blocks("toml"))
def test_every_file_of_settings_is_read_without_complaint(text: str, tmp_path: Path) -> None:
    """As outlay.toml, or as what a forecast assumes; the flow that it is about is the page's own."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    if "agents" in tomllib.loads(text):
        file, command = "known.toml", "forecast examples/triage/flow.py:triage --n 1 --no-fit --assume known.toml"
    else:
        file, command = "outlay.toml", "check examples/triage/flow.py:triage"
    (tmp_path / file).write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "outlay.cli", *command.split()],
        env=NO_KEYS,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def anchors(page: Path) -> set[str]:
    """The headings of a page, as links name them."""
    headings = re.findall(r"(?m)^#+ (.*)$", page.read_text("utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    """A link to a file of the project names one that is there, and a heading that is in it."""
    for file, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text("utf-8")):
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), file
        assert not anchor or anchor in anchors(target), f"{file}#{anchor}"


def test_the_index_has_every_page_and_every_page_is_reached_from_the_readme() -> None:
    index = TEXTS["docs/guide/README"]
    names = {page.name for page in PAGES[1:]} - {"README.md"}
    assert {name for name in names if f"({name})" not in index} == set()
    assert {name for name in names if f"(docs/guide/{name})" not in README} == set()


@pytest.mark.parametrize("name", sorted({*TEXTS} - {"README"}))
def test_a_page_says_first_what_it_gives_you(name: str) -> None:
    """A title, then a sentence: no list, no code, no other heading before it."""
    title, blank, first, *_ = TEXTS[name].splitlines()
    assert title.startswith("# ")
    assert not blank
    assert first[0].isupper()


def test_the_readme_fits_into_three_hundred_lines() -> None:
    assert len(README.splitlines()) < 300
