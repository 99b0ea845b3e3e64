"""`outlay router`: train a router or a gate from a table of outcomes, and measure it on another."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.options import debug_option, json_option, store_option
from outlay.cli.problems import Problem
from outlay.cli.stored import reading
from outlay.values.percent import percent

if TYPE_CHECKING:
    from outlay.routing import Question


@click.group("router")
@debug_option
def command() -> None:
    """Train a router from a table of outcomes or from recorded runs, and measure it on questions that it has not seen.

    A table is CSV, JSONL or parquet with a row for each model's answer: query, model, correct (0 to 1), and where there
    are query_id, response, cost.
    """


def _questions_options(function: Any) -> Any:
    """Where the questions come from."""
    function = store_option(function)
    function = click.option("--runs-of", metavar="AGENT", help="What the runs in the store recorded of this agent.")(
        function
    )
    return click.argument("table", metavar="[TABLE]", type=click.Path(path_type=Path), required=False)(function)


@command.command("train")
@_questions_options
@click.option("--cheap", metavar="MODEL", required=True, help="The model of the column `model` to go on with.")
@click.option("--strong", metavar="MODEL", required=True, help="The one to ask where that is worth it.")
@click.option("--out", metavar="FILE", required=True, type=click.Path(path_type=Path), help="The router, as JSON.")
@click.option("--labels", type=click.IntRange(1), metavar="N", help="Learn from N questions only. Default: all.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which N they are.")
@click.option(
    "--decides",
    type=click.Choice(["auto", "before", "after"]),
    default="auto",
    show_default=True,
    help="A router before the call, or a gate after the cheap answer. auto: after, where the table has the answers.",
)
@click.option(
    "--quality",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.95,
    show_default=True,
    help="The part of the strong model's quality to keep.",
)
@click.option(
    "--target",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="The bound of the gate: the share of answers that are accepted and wrong.",
)
@click.option(
    "--method",
    type=click.Choice(["crc", "ltt"]),
    default="crc",
    show_default=True,
    help="Conformal risk control, or Learn-then-Test: a bound of errors among the accepted, with 90 % certainty.",
)
@debug_option
def train_command(
    table: Path | None,
    runs_of: str | None,
    store: str | None,
    cheap: str,
    strong: str,
    out: Path,
    labels: int | None,
    seed: int,
    decides: Any,
    quality: float,
    target: float,
    method: Any,
) -> None:
    """Learn where the strong model is worth its price.

    \b
        outlay router train outcomes.parquet --cheap small --strong large --labels 1500 --out router.json

    Of the questions beyond N only the texts are read. The file holds no text of the table.

    \b
        outlay router train --runs-of sorter --cheap openai:gpt-5.4-mini --strong openai:gpt-5.4 --out router.json

    learns from recorded runs instead: first answers that a gate of the agent's cascade, or its checks, accepted or
    refused. Where the cheap one was accepted and the strong one not asked, the strong one is taken to be right, too.
    """
    from outlay.routing import train

    if not out.absolute().parent.is_dir():
        raise Problem(f"cannot write {out}: there is no folder {out.parent}")
    questions, versions = _questions(table, runs_of, store, cheap, strong)
    learned = train(
        questions,
        cheap,
        strong,
        labels=labels,
        seed=seed,
        decides=decides,
        quality=quality,
        target=target,
        method=method,
        versions=versions,
    )
    try:
        learned.save(out)
    except OSError as error:
        raise Problem(f"cannot write {out}: {(error.strerror or str(error)).lower()}") from None
    kind = "gate, after the cheap answer" if learned.decides == "after" else "router, before the call"
    click.echo(f"{out}: a {kind}, from {learned.labels:,} labelled questions (seed {learned.seed})", err=True)
    if learned.calibration is None:
        click.echo("not calibrated: too few labels for the target", err=True)
    click.echo(f"next: outlay router eval {out} TABLE, with questions that it has not seen", err=True)


@command.command("eval")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@_questions_options
@click.option("--unseen", is_flag=True, help="Leave out the questions that it was trained on, instead of refusing.")
@json_option
@debug_option
def eval_command(
    file: Path, table: Path | None, runs_of: str | None, store: str | None, unseen: bool, as_json: bool
) -> None:
    """Measure a router beside random at the same rate, always the one, always the other, and the oracle.

    APGR and CPT are those of RouteLLM (Ong et al. 2024): the part of the quality gap that is recovered, on average over
    all shares of strong calls, and the share that recovers 50 or 80 % of it.
    """
    from outlay.routing import Learned, evaluate

    learned = Learned.load(file)
    questions, _ = _questions(table, runs_of, store, learned.cheap, learned.strong)
    found = evaluate(learned, questions, unseen=unseen)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    when = "after the cheap answer" if found["decides"] == "after" else "before the call"
    click.echo(f"{found['questions']:,} questions · decides {when} · {found['labels']:,} labels\n")
    click.echo(f"{'':<16}{'quality':>9}{'APGR':>8}{'CPT50':>8}{'CPT80':>8}{'95 %':>8}{'cost':>12}")
    cost = found["cost"]
    rows: list[tuple[str, Any, Any, dict[str, Any], Any]] = [
        ("always cheap", found["cheap"], None, {}, cost["always_cheap"]),
        ("random", None, found["random_apgr"], found["random"], None),
        ("this", None, found["apgr"], found, cost["at_calls_for_95"]),
        ("oracle", None, found["oracle_apgr"], found["oracle"], None),
        ("always strong", found["strong"], None, {}, cost["always_strong"]),
    ]
    for name, quality, apgr, shares, price in rows:
        cells = [f"{_cell(quality, 4):>9}", f"{_cell(apgr, 3):>8}"]
        cells += [f"{_cell(shares.get(key), 1):>8}" for key in ("cpt50", "cpt80", "calls_for_95")]
        click.echo(f"{name:<16}{''.join(cells)}{_cell(price, 6):>12}")
    click.echo("\nCPT and 95 % in per cent of strong calls; cost of a question in the table's unit, at 95 %")
    if accepted := found["accepted"]:
        click.echo(
            f"calibrated ({accepted['method']}, {accepted['target']:g}): accepts {percent(accepted['share'], 1)} here, "
            f"accepted and wrong {percent(accepted['accepted_and_wrong'], 1)}"
        )


def _questions(
    table: Path | None, runs_of: str | None, store: str | None, cheap: str, strong: str
) -> tuple[Sequence[Question], Mapping[str, str]]:
    """The questions of a table, or of recorded runs; and the versions of the models that answered, where known."""
    from outlay.routing import read_outcomes

    if (table is None) == (runs_of is None):
        raise click.UsageError("give a TABLE, or --runs-of AGENT")
    if table is not None:
        return read_outcomes(table), {}
    from outlay.routing.recorded import recorded_outcomes

    assert runs_of is not None
    recorded = reading(store, lambda opened: recorded_outcomes(opened, runs_of))
    if not recorded.questions:
        _left_out(recorded.left_out)
        raise Problem(
            f"no judged answer of an agent {runs_of!r} is in the store",
            next="outlay trace last names the agents of a run; answers are judged by a cascade's gate or by verify=",
        )
    questions, taken = recorded.taking(strong, cheap)
    judges = ", ".join(f"{name} {count:,}" for name, count in sorted(recorded.judged.items()))
    click.echo(f"{runs_of}: {len(questions):,} questions · right or wrong as said by {judges}", err=True)
    _left_out(recorded.left_out)
    if taken:
        click.echo(f"  {strong} is taken to be right on {taken:,} that only {cheap} was asked and got right", err=True)
    return questions, {model: recorded.versions[model] for model in (cheap, strong) if model in recorded.versions}


def _left_out(counts: Mapping[str, int]) -> None:
    for why, count in sorted(counts.items()):
        click.echo(f"  left out {count:,}: {why}", err=True)


def _cell(value: Any, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
