"""The project itself: what it pins, names and writes down. Each of these has gone wrong somewhere."""

import ast
import importlib.metadata
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
MODULES = sorted((ROOT / "src" / "outlay").rglob("*.py"))

#: In two halves, so that this file names none of them either.
REGISTRY_HOSTS = [a + b for a, b in (("pypi", ".org"), ("python", "hosted"), ("registry", ".npm"), ("/sim", "ple/"))]
HOMES = re.compile(r"(?<![\w./-])/(?:(?:home|Users)/[a-z]|root/[\w.])")
MARKER = r"[a-z_]+ [<>=!]+ '[\w.]+'"
PIN = re.compile(rf"[a-z0-9][a-z0-9-]*==[0-9][\w.!+]*( ; {MARKER}( (and|or) {MARKER})*)?")


def normal(name: str) -> str:
    """A distribution's name as PyPI compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def required(group: list[str]) -> set[str]:
    """The names in a list of requirements, without ourselves."""
    names = {normal(re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0]) for line in group}
    return names - {"outlay"}


EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
DEPENDENCIES = required(PROJECT["dependencies"]).union(*map(required, EXTRAS.values()))


def tracked_text() -> list[tuple[str, str]]:
    """(path, text) of every text file under version control but this one, which names what it looks for."""
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("not a git clone")
    found: list[tuple[str, str]] = []
    for path in filter(None, listed.stdout.decode().split("\0")):
        file = ROOT / path
        data = file.read_bytes() if file.is_file() else b""
        if b"\0" not in data and file != Path(__file__).resolve():
            found.append((path, data.decode("utf-8", "replace")))
    return found


def test_no_tracked_file_names_a_registry():
    """A lock file with addresses works only for whoever can reach them."""
    named = [(path, host) for path, text in tracked_text() for host in REGISTRY_HOSTS if host in text]
    assert named == []


def test_no_tracked_file_names_somebodys_home():
    """An absolute path works on one machine: nobody's home, and not where this clone happens to lie."""
    texts = tracked_text()
    named = [(path, hit.group()) for path, text in texts for hit in HOMES.finditer(text)]
    assert named + [(path, str(ROOT)) for path, text in texts if f"{ROOT}/" in text] == []


@pytest.mark.parametrize("text", ["see /home/ada/x", "/Users/ada/x", '"/root/.cache"', "(/root/x)"])
def test_the_search_for_homes_finds_them(text: str):
    assert HOMES.search(text)


@pytest.mark.parametrize("text", ["src/home/x", "https://host.test/home/ada", "../root/x", "/v1/messages"])
def test_the_search_for_homes_lets_others_be(text: str):
    assert not HOMES.search(text)


def test_requirements_are_pins_and_nothing_else():
    """`name==version`, perhaps a marker: no hosts, options or comments."""
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if not PIN.fullmatch(line)] == []


def test_every_dependency_is_pinned():
    pinned = {line.partition("==")[0] for line in (ROOT / "requirements.txt").read_text("utf-8").splitlines()}
    assert DEPENDENCIES - pinned == set()


def test_every_dependency_has_its_reason():
    """ADR 0009 has a table row for each name in pyproject.toml."""
    text = (ROOT / "docs/adr/0009-dependencies.md").read_text("utf-8")
    rows = re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)
    assert DEPENDENCIES - {normal(re.sub(r"\[.*\]", "", name)) for name in rows} == set()


@pytest.mark.parametrize("adr", ADRS, ids=lambda path: path.stem)
def test_a_decision_record_is_complete(adr: Path):
    """Title with its number, date, status; context, decision, consequences, each with something in it."""
    text = adr.read_text("utf-8")
    assert text.startswith(f"# {int(adr.stem[:4])}. ")
    assert re.search(r"^- Date: \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
    assert re.search(r"^- Status: (proposed|accepted|superseded by \d{4})$", text, re.MULTILINE)
    sections = dict(re.findall(r"^## (\w+)\n+(.+)", text, re.MULTILINE))
    written = {name for name, start in sections.items() if not start.startswith("#")}
    assert {"Context", "Decision", "Consequences"} <= written


def test_the_index_of_decisions_lists_each_once_and_in_order():
    links = re.findall(r"\]\((\d{4}-[\w-]+\.md)\)", (ROOT / "docs/adr/README.md").read_text("utf-8"))
    assert links == [adr.name for adr in ADRS]
    assert [int(adr.stem[:4]) for adr in ADRS] == list(range(1, len(ADRS) + 1))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT / "src")))
def test_a_module_says_what_it_is_for(module: Path):
    """Its first lines are a docstring."""
    assert ast.get_docstring(ast.parse(module.read_text("utf-8")))


def test_the_installed_version_is_the_one_in_pyproject():
    """A stale installation makes every other result doubtful: `make clean` and again."""
    assert importlib.metadata.version("outlay") == PROJECT["version"]


def test_the_changelog_knows_the_version():
    assert f"[{PROJECT['version']}]" in (ROOT / "CHANGELOG.md").read_text("utf-8")
