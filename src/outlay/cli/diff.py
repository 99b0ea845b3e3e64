"""`outlay diff`: what a change of the code changes in what its flows cost."""

from __future__ import annotations

import asyncio
import json
import tempfile
import time
from collections.abc import AsyncIterator, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from outlay.cli.candidates import Candidate, candidates
from outlay.cli.options import debug_option, json_option, store_if_any, store_option
from outlay.cli.problems import ERROR, Problem, Quiet, show
from outlay.cli.reading import Question, Reading, read
from outlay.cli.revisions import Repository, Tree, as_it_is, is_folder
from outlay.cli.rows import RowFile
from outlay.errors import ConfigError
from outlay.events import Event, RunStarted
from outlay.forecast.calibration import fit_runs
from outlay.forecast.review import CostDiff, Counts, Known, Review, Threshold, Volume, as_markdown
from outlay.forecast.review.volume import MONTH
from outlay.stores.opening import open_store
from outlay.stores.scan import scan

#: Calls that lengths of answers are fitted to, at most: more make them no better, and stand in memory.
_MOST_EVENTS = 200_000
#: Inputs that are taken of a file.
_MOST_ROWS = 1_000
_FITTED = ("run_started", "call_started", "call_finished", "call_failed", "node_started", "checked", "fact")


def _threshold(context: click.Context, parameter: click.Parameter, value: str | None) -> Threshold | None:
    try:
        return None if value is None else Threshold.parse(value)
    except ConfigError as error:
        raise click.BadParameter(f"{error.message}: {error.hint}") from None


@click.command("diff")
@click.argument("base", metavar="BASE")
@click.argument("head", metavar="HEAD")
@click.argument("flows", metavar="[FLOW]...", nargs=-1)
@click.option("--max-increase", callback=_threshold, metavar="LIMIT", help="10%, $0.002 (a run) or $50/month.")
@click.option("--runs-per-month", type=click.FloatRange(0), metavar="N", help="Default: counted in the store's runs.")
@click.option("--input", "given", metavar="TEXT", help="The input to forecast with. Default: a text of 50 tokens.")
@click.option(
    "--rows",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Inputs to forecast with: .jsonl or .csv, as for map.",
)
@click.option("--merge-base", is_flag=True, help="Compare with where HEAD branched off BASE, as a pull request does.")
@click.option(
    "--simulate",
    type=click.IntRange(0),
    default=200,
    show_default=True,
    metavar="N",
    help="Runs to simulate of a flow that has no closed form; 0: none.",
)
@click.option("--timeout", type=click.FloatRange(1), default=120, show_default=True, help="Seconds for each revision.")
@click.option("--markdown", "as_md", is_flag=True, help="Markdown, for a comment on a pull request.")
@store_option
@json_option
@debug_option
def command(
    base: str,
    head: str,
    flows: Sequence[str],
    max_increase: Threshold | None,
    runs_per_month: float | None,
    given: str | None,
    rows: Path | None,
    merge_base: bool,
    simulate: int,
    timeout: float,
    as_md: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Say what a change of the code changes in what its flows cost: tokens a call, dollars a run and a month.

    \b
        outlay diff main HEAD
        outlay diff main . triage.py:triage --max-increase 10%
        outlay diff old.py:flow new.py:flow

    BASE and HEAD are revisions of the git repository around this folder, or folders (`.`, with what is not
    committed), or two flows. Without a FLOW all flows that the files define are found. Each revision is imported in a
    process of its own, with keys withheld; nothing is spent.

    Exit code 1 if something cannot be read, or is over --max-increase or cannot be held to it.
    """
    if as_md and as_json:
        raise Problem("--markdown and --json are two documents", next="give one of them")
    if given is not None and rows is not None:
        raise Problem("--input is one input and --rows are many", next="give one of them")
    now = time.time()
    known, counted = asyncio.run(_recorded(store_if_any(store, "and give --runs-per-month"), now))
    asked = Question(known, given, _rows(rows), simulate, timeout)
    diff = _of_flows(base, head, flows, asked) if _is_flow(base) and _is_flow(head) else None
    if diff is None:
        with _trees(base, head, merge_base) as (before, after):
            diff = _of_trees(before, after, flows, asked)
    review = Review(diff, known, counted, runs_per_month, max_increase)
    if not diff.flows:
        _nothing(diff, flows)
    if as_json:
        click.echo(json.dumps(review.document(), ensure_ascii=False, indent=2))
    else:
        click.echo(as_markdown(review) if as_md else review.render(), nl=not as_md)
    _complain(diff)
    raise Quiet(0 if review.passes else ERROR)


def _rows(file: Path | None) -> list[Any]:
    """The inputs of a file; a mean over more would be no better."""
    found: list[Any] = []
    for row in () if file is None else RowFile(file):
        if row.problem:
            raise Problem(f"cannot read {file} line {row.line}: {row.problem}", next="mend the line")
        found.append(row.input)
        if len(found) == _MOST_ROWS:
            break
    if file is not None and not found:
        raise Problem(f"{file} has no rows", next="name a file with one input a line, as for outlay map")
    return found


def _is_flow(text: str) -> bool:
    """`file.py:flow` or `package.module:flow`: no name of a revision has a colon."""
    target, colon, name = text.rpartition(":")
    return bool(colon and target) and name.isidentifier()


def _of_flows(base: str, head: str, flows: Sequence[str], asked: Question) -> CostDiff:
    """Two flows of this folder, each in a process of its own."""
    if flows:
        raise Problem("BASE and HEAD are flows already, so there is no other FLOW to compare", next="leave it out")
    here = Path.cwd()
    sides = _both([Tree(address, here, here) for address in (base, head)], [[base], [head]], [(), ()], asked)
    for address, found in zip((base, head), sides, strict=True):
        if found.absent:
            raise Problem(f"there is no flow {address}", next="FLOW is path/to/file.py:attribute")
    before, after = sides
    broken = (*before.broken, *after.broken)
    if broken:
        return CostDiff(base, head, (), broken)
    return CostDiff.of(base, head, before.flows, after.flows, one_pair=True)


@contextmanager
def _trees(base: str, head: str, merge_base: bool) -> Generator[list[Tree]]:
    """Both sides as folders, for as long as they are needed."""
    if _is_flow(base) != _is_flow(head):
        raise Problem(
            "one of BASE and HEAD is a flow and the other is none",
            next="outlay diff main HEAD file.py:flow, or outlay diff old.py:flow new.py:flow",
        )
    with tempfile.TemporaryDirectory(prefix="outlay-diff-", ignore_cleanup_errors=True) as scratch:
        sides = [base, head]
        repository = None if all(map(is_folder, sides)) else Repository.around(Path.cwd())
        commits = ["" if repository is None or is_folder(one) else repository.commit(one) for one in sides]
        if merge_base:
            if repository is None or not commits[0]:
                raise Problem("--merge-base needs a BASE that is a revision", next="outlay diff main . --merge-base")
            commits[0] = repository.merge_base(commits[0], commits[1] or repository.commit("HEAD"))
        found: list[Tree] = []
        for name, side, commit in zip("ab", sides, commits, strict=True):
            if repository is None or not commit:
                found.append(as_it_is(side))
            else:
                found.append(repository.check_out(side, commit, Path(scratch) / name))
        yield found


def _of_trees(before: Tree, after: Tree, flows: Sequence[str], asked: Question) -> CostDiff:
    trees = [before, after]
    files = [() if flows else _files(tree) for tree in trees]
    first, second = _both(trees, [flows, flows], files, asked)
    if nowhere := [one for one in flows if one in first.absent and one in second.absent]:
        raise Problem(
            f"there is no flow {nowhere[0]} in {before.label}, and none in {after.label}",
            next="FLOW is path/to/file.py:attribute, as seen from this folder; without one all flows are found",
        )
    return CostDiff.of(before.label, after.label, first.flows, second.flows, (*first.broken, *second.broken))


def _both(
    trees: Sequence[Tree], addresses: Sequence[Sequence[str]], files: Sequence[Sequence[Candidate]], asked: Question
) -> list[Reading]:
    """Both sides at once, each in a process of its own."""
    with (
        tempfile.TemporaryDirectory(prefix="outlay-diff-", ignore_cleanup_errors=True) as scratch,
        ThreadPoolExecutor(2) as threads,
    ):
        begun = [
            threads.submit(read, tree, Path(scratch) / name, addresses=some, files=found, asked=asked)
            for name, tree, some, found in zip("ab", trees, addresses, files, strict=True)
        ]
        return [one.result() for one in begun]


def _files(tree: Tree) -> Sequence[Candidate]:
    return candidates(tree.folder) if tree.folder.is_dir() else []


async def _recorded(path: str | None, now: float) -> tuple[Known, dict[str, Volume]]:
    """What the store's live runs say of agents, and how many there are."""
    if path is None:
        return Known(), {}
    counts = Counts(now)
    async with open_store(path) as opened:
        async for events in scan(opened, ("run_started",)):
            counts.add(events)
        recent = [event async for event in _live(scan(opened, _FITTED, since=now - MONTH))]
    return Known.of(fit_runs(recent)), dict(counts.volumes())


async def _live(pages: AsyncIterator[Sequence[Event]]) -> AsyncIterator[Event]:
    """The events of runs on real models, up to as many as are of use."""
    live: set[str] = set()
    taken = 0
    async for events in pages:
        for event in events:
            if isinstance(event, RunStarted) and event.lane != "offline":
                live.add(event.run)
            if event.run in live:
                taken += 1
                yield event
        if taken >= _MOST_EVENTS:
            return


def _nothing(diff: CostDiff, flows: Sequence[str]) -> None:
    """Raises Problem where there is nothing to show."""
    if diff.broken:
        _complain(diff)
        raise Quiet(ERROR)
    if not flows:
        raise Problem(
            f"no flow is defined in the files of {diff.base}, nor of {diff.head}",
            "looked for agents and patterns at the top level of files that import outlay, outside of tests",
            next="name one: outlay diff BASE HEAD path/to/file.py:flow",
        )


def _complain(diff: CostDiff) -> None:
    for one in diff.broken:
        show(
            Problem(
                f"cannot read {one.what} of {one.revision}: {one.reason}",
                *one.facts,
                next=one.next or "mend it in that revision, or name the flows to compare",
            )
        )
