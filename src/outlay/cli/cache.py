"""`outlay cache`: how near two questions must be to have one answer, from labelled ones, and how often it is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import click

from outlay.cli.options import debug_option, json_option
from outlay.cli.problems import Problem
from outlay.values.percent import percent


@click.group("cache")
@debug_option
def command() -> None:
    """Calibrate and measure stored answers to similar questions (`Agent(cache_answers=…, cache_similar=…)`).

    A table is CSV, JSONL or parquet with a question in each row (text, input, query or message) and a label (label,
    category, intent or output): two questions with one label have one answer.
    """


@command.command("calibrate")
@click.argument("table", metavar="TABLE", type=click.Path(path_type=Path))
@click.option("--out", metavar="FILE", required=True, type=click.Path(path_type=Path), help="The result, as JSON.")
@click.option(
    "--target",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.01,
    show_default=True,
    help="The share of all questions that may be given a wrong answer.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 1),
    default=0.1,
    show_default=True,
    help="How much further off a question with another answer must be.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Which quarter is asked of the others.")
@debug_option
def calibrate_command(table: Path, out: Path, target: float, margin: float, seed: int) -> None:
    """Find the similarity from which on a stored answer may be given again.

    \b
        outlay cache calibrate questions.csv --out similar.json

    Questions that differ in numbers, dates, negations, quoted text or names never share an answer, however near.
    """
    from outlay.routing.distil.examples import read_examples
    from outlay.routing.similar import calibrate_similar

    if not out.absolute().parent.is_dir():
        raise Problem(f"cannot write {out}: there is no folder {out.parent}")
    similar = calibrate_similar(read_examples(table), target=target, margin=margin, seed=seed)
    try:
        similar.save(out)
    except OSError as error:
        raise Problem(f"cannot write {out}: {(error.strerror or str(error)).lower()}") from None
    found = similar.calibration
    click.echo(
        f"{out}: similarity above {found.threshold:.3f}, from {found.labels:,} labelled questions (seed {seed}); "
        f"{percent(found.accepted, 1)} of them would have had a hit, with {similar.most:,} others stored",
        err=True,
    )
    click.echo(f"next: outlay cache eval {out} TABLE, with questions that it has not seen", err=True)


@command.command("eval")
@click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
@click.argument("table", metavar="TABLE", type=click.Path(path_type=Path))
@click.option("--stored", metavar="TABLE", type=click.Path(path_type=Path), help="Answered before. Default: none is.")
@click.option("--unseen", is_flag=True, help="Leave out questions that are not new to it, instead of refusing.")
@json_option
@debug_option
def eval_command(file: Path, table: Path, stored: Path | None, unseen: bool, as_json: bool) -> None:
    """Ask the questions of TABLE one after another, and count hits and false ones: those of another label.

    A question that was no hit is answered and stored, so that later ones may hit it.
    """
    from outlay.routing.distil.examples import read_examples
    from outlay.routing.similar import SimilarAnswers, measure_similar

    similar = SimilarAnswers.load(file)
    before = () if stored is None else read_examples(stored)
    found = measure_similar(similar, read_examples(table), before, unseen=unseen)
    calibration = similar.calibration
    if as_json:
        document = {
            "questions": found.questions,
            "stored": found.stored,
            "hits": found.hits,
            "hit_rate": found.hit_rate,
            "false_hits": found.false,
            "false_of_hits": found.false_of_hits,
            "false_of_questions": found.false_of_questions,
            "target": calibration.target,
            "threshold": calibration.threshold,
            "margin": similar.margin,
            "refused": {why: {"hits": n, "false": false} for why, (n, false) in found.refused.items()},
        }
        click.echo(json.dumps(document, indent=2))
        return
    click.echo(
        f"{found.questions:,} questions · {found.stored:,} stored before · similarity above {calibration.threshold:.3f}"
        f" · margin {similar.margin:g}\n"
    )
    among = "none" if found.false_of_hits is None else f"{percent(found.false_of_hits, 1)} of the hits"
    lines = [
        ("hits", found.hits, f"{percent(found.hit_rate, 1)} of the questions"),
        ("false hits", found.false, f"{among}, {percent(found.false_of_questions, 1)} of the questions"),
    ]
    for name, n, share in lines:
        click.echo(f"{name:<14}{n:>7,}   {share}")
    if found.refused:
        click.echo("\nnear enough, and no hit because of")
        for why, (n, false) in found.refused.items():
            click.echo(f"  {why:<12}{n:>7,}   {false:,} would have been false")
    held = "held" if found.false_of_questions <= calibration.target else "not held on these"
    click.echo(f"\ntarget {percent(calibration.target, 1)} of the questions: {held}")
