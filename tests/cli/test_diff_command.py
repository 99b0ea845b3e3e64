"""`outlay diff`: two revisions of a real git repository, or two flows; what they cost, and what cannot be read."""

from __future__ import annotations

import asyncio
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from cli_support import Call

from outlay.events import RunStarted, encode
from outlay.protocols.store import Row
from outlay.stores import open_store

Commit = Callable[..., None]
DESK = """\
from outlay import Agent
from outlay.patterns import Pipeline
from prompts import HOUSE

clerk = Agent("clerk", "anthropic:claude-haiku-4-5", instructions=HOUSE)
flow = Pipeline(clerk, Agent("editor", "anthropic:claude-sonnet-4-6"), name="desk")
"""
SHORT, LONG = 'HOUSE = "Be calm. " * 40\n', 'HOUSE = "Be calm. " * 80\n'


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def commit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Commit:
    """Commit these files (None: deleted) in a repository that holds nothing else, on branch main at first."""
    for name, value in {
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_AUTHOR_NAME": "a",
        "GIT_AUTHOR_EMAIL": "a@example.test",
        "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@example.test",
    }.items():
        monkeypatch.setenv(name, value)
    (folder / "desk.py").unlink()
    git(folder, "init", "-q", "-b", "main")

    def commit(files: dict[str, str | None], branch: str = "") -> None:
        if branch:
            git(folder, "checkout", "-q", "-b", branch)
        for name, text in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True) if text is None else path.write_text(text, "utf-8")
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "--allow-empty", "-m", "files")

    return commit


@pytest.fixture
def longer(commit: Commit) -> None:
    """A prompt that became twice as long on the branch `change`."""
    commit({"desk.py": DESK, "prompts.py": SHORT})
    commit({"prompts.py": LONG}, "change")


@pytest.mark.usefixtures("longer")
def test_a_change_of_a_prompt_is_told_in_tokens_and_dollars(call: Call, folder: Path):
    """The module that changed is imported by the flow's: each process has its own revision's."""
    said = call("diff", "main", "HEAD", "--runs-per-month", "100000")
    assert said.code == 0
    lines = [" ".join(line.split()) for line in said.out.splitlines()]
    assert lines[0] == "diff · main → HEAD · 1 flow, 1 changed"
    assert lines[2] == "desk desk.py:flow"
    # 90 tokens more at $1 a million, asked 1.005 times, a hundred thousand times a month.
    assert "+$9.00 at 100,000 runs a month (as given)" in said.out
    assert any(line.startswith("clerk 1.01 90 → 180 0 0 $") for line in lines)
    assert git(folder, "status", "--porcelain") == ""
    assert git(folder, "worktree", "list").count("\n") == 1


@pytest.mark.usefixtures("longer")
def test_a_threshold_is_an_exit_code(call: Call):
    within, over = (call("diff", "main", "change", "--max-increase", limit) for limit in ("$0.001", "0.1%"))
    assert (within.code, over.code) == (0, 1)
    assert "✓ within $0.001 a run" in within.out
    assert "✗ desk is over 0.1 %: +$" in over.out
    assert call("diff", "main", "change", "--max-increase", "much").code == 2
    assert call("diff", "main", "change", "--max-increase", "$1/month").code == 1  # of a volume that nobody knows


@pytest.mark.usefixtures("longer")
def test_markdown_for_a_pull_request(call: Call):
    said = call("diff", "main", "change", "--markdown")
    assert said.out.startswith("### Cost of `main` → `change`\n\n| flow | dollars a run | change | a month |\n")
    assert "| `clerk` | `anthropic:claude-haiku-4-5` | 1.01 | 90 → 180 | 0 | 0 |" in said.out


@pytest.mark.usefixtures("longer")
def test_json_has_all_of_it(call: Call):
    (flow,) = call("diff", "main", "change", "--json").json["flows"]
    assert (flow["flow"], flow["address"], flow["change"]) == ("desk", "desk.py:flow", "changed")
    assert [agent["after"]["instructions"] for agent in flow["agents"]] == [180, 0]
    assert flow["dollars_a_run_more"] == pytest.approx(flow["after"]["dollars"] - flow["before"]["dollars"])
    assert flow["runs_per_month"] is None


@pytest.mark.usefixtures("longer")
def test_the_working_tree_counts_with_what_is_not_committed(call: Call, folder: Path):
    (folder / "prompts.py").write_text('HOUSE = ""\n')
    (flow,) = call("diff", "change", ".", "--json").json["flows"]
    assert [agent["after"]["instructions"] for agent in flow["agents"]] == [0, 0]
    assert not (folder / "__pycache__").exists()


def test_a_change_on_main_is_none_of_the_branchs(call: Call, commit: Commit, folder: Path):
    """--merge-base: as a pull request shows it."""
    commit({"desk.py": DESK, "prompts.py": SHORT})
    commit({}, "change")
    git(folder, "checkout", "-q", "main")
    commit({"prompts.py": LONG})
    assert "1 changed" in call("diff", "main", "change").out
    assert "0 changed" in call("diff", "main", "change", "--merge-base").out


def test_flows_come_and_go_and_move(call: Call, commit: Commit):
    commit({"desk.py": DESK, "prompts.py": SHORT, "old.py": DESK.replace('"desk"', '"old"')})
    commit({"desk.py": None, "office/desk.py": DESK, "old.py": None, "new.py": DESK.replace('"desk"', '"new"')}, "x")
    flows = call("diff", "main", "x", "--json").json["flows"]
    assert {flow["flow"]: flow["change"] for flow in flows} == {"desk": "renamed", "new": "added", "old": "removed"}


def test_what_is_part_of_a_flow_is_no_flow_and_tests_are_none_either(call: Call, commit: Commit):
    """An agent that another file imports is found once, where it is made; what has no agent is no flow."""
    use = "from desk import clerk\nfrom outlay.patterns import Vote\n\nvote = Vote(clerk, 3)\n"
    other = "import outlay\n\n@outlay.node\nasync def shout(text: str) -> str:\n    return text.upper()\n"
    lone = "import outlay\n\nlone = outlay.Agent('lone', 'anthropic:claude-haiku-4-5')\nlimit = outlay.Budget(usd=1)\n"
    mine = {"use.py": use, "other.py": other, "lone.py": lone, "tests/test_x.py": lone, "plain.py": "print('hi')\n"}
    commit({"desk.py": DESK, "prompts.py": SHORT, **mine})
    flows = call("diff", "HEAD", "HEAD", "--json").json["flows"]
    assert [flow["address"] for flow in flows] == ["desk.py:flow", "lone.py:lone", "use.py:vote"]


@pytest.mark.parametrize(
    ("text", "reason", "line"),
    [
        ("1 / 0\n", "ZeroDivisionError: division by zero", "desk.py line 2: 1 / 0"),
        ("import sys; sys.exit(3)\n", "it ends the program (SystemExit: 3)", ""),
        ("def (:\n", "SyntaxError: invalid syntax", "desk.py line 2: def (:"),
    ],
)
def test_a_revision_that_does_not_import_is_named_with_its_file_and_line(
    call: Call, commit: Commit, text: str, reason: str, line: str
):
    """And what else there is, is shown."""
    lone = "from outlay import Agent\nlone = Agent('lone', 'anthropic:claude-haiku-4-5')\n"
    commit({"desk.py": DESK, "prompts.py": SHORT, "lone.py": lone})
    first, rest = DESK.split("\n", 1)
    commit({"desk.py": f"{first}\n{text}{rest}"}, "change")
    said = call("diff", "main", "change")
    assert said.code == 1
    assert "error: cannot read desk.py of change: cannot import desk.py: " in said.err
    assert reason in said.err
    assert line in said.err
    assert "  next: " in said.err
    assert "not known: change: cannot import desk.py" in said.out
    assert "the same as before: lone" in said.out


def test_a_revision_that_hangs_or_dies_ends_only_its_own_process(call: Call, commit: Commit):
    commit({"desk.py": DESK, "prompts.py": SHORT})
    commit({"prompts.py": "import time\ntime.sleep(60)\n"}, "hangs")
    commit({"prompts.py": "import os\nprint('bye')\nos._exit(7)\n"}, "dies")
    hangs, dies = (call("diff", "main", name, "--timeout", "4") for name in ("hangs", "dies"))
    assert (hangs.code, dies.code) == (1, 1)
    assert "cannot read the flows of hangs: importing them took longer than 4 s" in hangs.err
    assert "cannot read the flows of dies: importing them ended with code 7\n  bye\n  next: " in dies.err


def test_keys_are_withheld_and_stdout_is_ours(call: Call, commit: Commit, monkeypatch: pytest.MonkeyPatch):
    """A file that asks for its key at import still imports, and does not get it."""
    monkeypatch.setenv("ANTHROPIC_API_KEY", "k" * 4_000)
    monkeypatch.setenv("DATABASE_URL", "postgresql://me:secret@host/x")
    prompts = "import os\nHOUSE = os.environ['ANTHROPIC_API_KEY'] + os.environ['DATABASE_URL']\nprint('noise')\n"
    commit({"desk.py": DESK, "prompts.py": prompts})
    (flow,) = call("diff", "HEAD", "HEAD", "--json").json["flows"]
    assert flow["agents"][0]["after"]["instructions"] == 12  # 46 characters that say it


def test_a_project_with_its_source_below_src_is_each_revisions_own(
    call: Call, commit: Commit, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    """Also where the working tree's own source is on the path, as an editable installation puts it there."""
    commit({"src/shop/__init__.py": "", "src/shop/desk.py": DESK.replace("prompts", "shop.prompts")})
    commit({"src/shop/prompts.py": SHORT})
    commit({"src/shop/prompts.py": LONG}, "change")
    monkeypatch.syspath_prepend(str(folder / "src"))
    (flow,) = call("diff", "main", "change", "shop.desk:flow", "--json").json["flows"]
    assert flow["agents"][0]["before"]["instructions"] == 90
    assert flow["agents"][0]["after"]["instructions"] == 180


def test_what_comes_from_the_working_tree_is_no_revisions(call: Call, commit: Commit, folder: Path):
    """A path that the code itself makes leads out of the revision: the figures would be of both."""
    commit({"desk.py": f"import sys\nsys.path.insert(0, {str(folder / 'lib')!r})\n" + DESK, "lib/prompts.py": SHORT})
    said = call("diff", "HEAD", "HEAD")
    assert said.code == 1
    assert "it imports prompts from the working tree, and not from HEAD" in said.err


def test_it_works_below_the_top_of_the_repository(
    call: Call, commit: Commit, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    commit({"desk.py": DESK, "prompts.py": SHORT, "sub/x.txt": ""})
    commit({"sub/desk.py": DESK, "sub/prompts.py": LONG}, "change")
    monkeypatch.chdir(folder / "sub")
    (flow,) = call("diff", "main", "change", "--json").json["flows"]
    assert (flow["address"], flow["change"]) == ("desk.py:flow", "added")


def test_prices_are_each_revisions_own(call: Call, commit: Commit):
    """`outlay.toml` is part of the change."""
    flow = "from outlay import Agent\na = Agent('a', 'openai-chat:mine')\n"
    prices = '[prices."openai-chat:mine"]\ninput = "{}"\noutput = "{}"\n'
    commit({"a.py": flow, "outlay.toml": prices.format(1, 2)})
    commit({"outlay.toml": prices.format(2, 4)}, "dearer")
    (found,) = call("diff", "main", "dearer", "--json").json["flows"]
    assert found["share_more"] == pytest.approx(1.0)


def test_two_flows_of_one_folder(call: Call, folder: Path):
    """Outside of any repository, too."""
    (folder / "prompts.py").write_text(SHORT)
    (folder / "a.py").write_text(DESK)
    (folder / "b.py").write_text(DESK.replace("=HOUSE", '=HOUSE + "And brief."'))
    (flow,) = call("diff", "a.py:flow", "b.py:flow", "--json").json["flows"]
    assert flow["change"] == "renamed"
    assert flow["agents"][0]["after"]["instructions"] == 93
    missing = call("diff", "a.py:flow", "c.py:flow")
    assert (missing.code, missing.err.splitlines()[0]) == (2, "error: there is no flow c.py:flow")


def test_rows_of_a_file_are_the_inputs(call: Call, folder: Path):
    (folder / "a.py").write_text("from outlay import Agent\na = Agent('a', 'anthropic:claude-haiku-4-5')\n")
    (folder / "rows.jsonl").write_text('{"text": "' + "x" * 40_000 + '"}\n{"text": "x"}\n')
    without, rows = (call("diff", "a.py:a", "a.py:a", "--json", *more) for more in ((), ("--rows", "rows.jsonl")))
    costs = [said.json["flows"][0]["after"]["dollars"] for said in (without, rows)]
    assert costs[1] - costs[0] == pytest.approx(5_000 / 1e6, rel=0.05)
    both = call("diff", "a.py:a", "a.py:a", "--rows", "rows.jsonl", "--input", "x")
    assert (both.code, both.err.count("next: give one of them")) == (2, 1)


@pytest.mark.usefixtures("longer")
def test_the_volume_is_counted_in_stored_runs(call: Call, folder: Path):
    """Thirty live runs in the last thirty days, and as many on stand-ins, which are none."""
    now = time.time()
    runs = [
        RunStarted(run=f"{lane}{day}", seq=0, time=now - day * 86_400 - 60, flow="desk", lane=lane)
        for day in range(30)
        for lane in ("live", "offline")
    ]

    async def write() -> None:
        async with open_store("runs.db") as store:
            store.append([Row(run.run, 0, run.time, "run_started", encode(run)) for run in runs])
            await store.flush()

    asyncio.run(write())
    (flow,) = call("diff", "main", "change", "--store", "runs.db", "--json").json["flows"]
    assert flow["runs_per_month"] == pytest.approx(30, rel=0.05)
    assert flow["volume"] == "30 live runs in the last 29 days"


@pytest.mark.usefixtures("longer")
@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (("gone", "HEAD"), "there is no revision 'gone' in", "git fetch origin gone"),
        (("--", "--output=x", "HEAD"), "there is no revision '--output=x' in", "git log"),
        (("main", "HEAD", "desk.py:nope"), "there is no flow desk.py:nope in main, and none in HEAD", "without one"),
        (("desk.py:flow", "HEAD"), "one of BASE and HEAD is a flow", "outlay diff main HEAD file.py:flow"),
        (("main", "HEAD", "--json", "--markdown"), "two documents", ""),
        (("main", "HEAD", "--store", "no.db"), "there is no store at no.db", "leave --store out"),
        ((".", "HEAD", "--merge-base"), "--merge-base needs a BASE that is a revision", ""),
    ],
)
def test_what_cannot_be_compared_is_refused(call: Call, arguments: tuple[str, ...], error: str, hint: str):
    said = call("diff", *arguments)
    assert said.code == 2
    assert error in said.err
    assert hint in said.err
    assert said.out == ""


def test_a_folder_without_a_repository_and_one_without_flows(call: Call, folder: Path, commit: Commit):
    (folder / "empty").mkdir()
    assert "no flow is defined in the files of ./empty" in call("diff", "./empty", "./empty").err
    commit({"plain.py": "x = 1\n"})
    assert "no flow is defined in the files of HEAD" in call("diff", "HEAD", "HEAD").err


def test_no_repository_is_said(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    said = call("diff", "main", "HEAD")
    assert (said.code, "is not in a git repository" in said.err, "next: run it in a clone" in said.err) == (
        2,
        True,
        True,
    )


@pytest.mark.usefixtures("longer")
def test_a_shallow_clone_says_how_to_get_the_base(call: Call, folder: Path, monkeypatch: pytest.MonkeyPatch):
    git(folder, "clone", "-q", "--depth", "1", folder.as_uri(), "clone")
    monkeypatch.chdir(folder / "clone")
    said = call("diff", "HEAD~1", "HEAD")
    assert "fetch-depth: 0" in said.err
