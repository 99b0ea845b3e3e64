"""`outlay advise`: one agent or several, and which, by rules over what you say and what your store knows."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from outlay.advice import Evidence, Survey, evidence_of, warnings_of
from outlay.advice.adviser import Advice, Situation, advise, worth_asking
from outlay.advice.answer import Answer
from outlay.advice.observed import WANTED, asides, observed
from outlay.advice.question import NONE, QUESTIONS, Question
from outlay.analysis.text import one_line
from outlay.cli.flows import load_flow
from outlay.cli.options import debug_option, json_option, store_option, store_path
from outlay.cli.problems import Problem
from outlay.cli.setting import results_only_on_stdout
from outlay.cli.stored import reading
from outlay.errors import ConfigError
from outlay.values.counted import counted

_ENOUGH = "q"


def _question_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A flag for each question."""
    for question in reversed(QUESTIONS):
        choices = "|".join(question.choices)
        metavar = f"[{choices}]" if len(choices) < 40 else "CHOICE"
        shown = question.asks if len(choices) < 40 else f"{question.asks} {', '.join(question.choices)}."
        option = click.option(f"--{question.id}", multiple=question.many, metavar=metavar, help=shown)
        command = option(command)
    return command


@click.command("advise")
@click.argument("flow", metavar="[FLOW]", required=False)
@_question_options
@click.option(
    "--wanted",
    type=click.FloatRange(0, 1, min_open=True),
    default=WANTED,
    show_default=True,
    metavar="SHARE",
    help="The success that a single agent should reach.",
)
@click.option("--ask/--no-ask", default=None, help="Ask what is not known. Default: on a terminal, and not for --json.")
@click.option("--stored/--no-stored", default=True, help="Read stored runs and comparisons.")
@store_option
@json_option
@debug_option
def command(
    flow: str | None,
    wanted: float,
    ask: bool | None,
    stored: bool,
    store: str | None,
    as_json: bool,
    **given: str | tuple[str, ...] | None,
) -> None:
    """Say whether it should be one agent or several, and which, with the reasons and what would change the answer.

    \b
        outlay advise                                  asks, on a terminal
        outlay advise --failing yes --failing-at context
        outlay advise flow.py:triage                   begins with what is stored of this flow

    Rules only: no model is asked and nothing is spent. What you say counts before what is stored. docs/advice.md has
    the tables.
    """
    said = _given(given)
    Situation(said)  # what cannot be is refused before anything is read
    name, warned = _flow(flow)
    evidence = _evidence(store, name) if stored else Evidence()
    if flow is not None and ":" not in flow and not evidence.runs:
        raise Problem(f"no run of a flow {flow!r} is stored", next="outlay runs lists them; or give FILE.py:NAME")
    seen = {one.question: one for one in observed(evidence, wanted) if one.question not in said}
    answers = {**{name: (one.answer,) for name, one in seen.items()}, **said}
    if (sys.stdin.isatty() and not as_json) if ask is None else ask:
        answers = _interview(answers)
    situation = Situation(answers, {name: one.source for name, one in seen.items()})
    advice = advise(situation)
    notes = [*warned, *asides(evidence, wanted)]
    if as_json:
        click.echo(json.dumps(_document(advice, situation, notes), ensure_ascii=False, indent=2))
    else:
        click.echo("\n".join(_lines(advice, situation, notes)))


def _given(given: Mapping[str, str | tuple[str, ...] | None]) -> dict[str, tuple[str, ...]]:
    """The flags that were set, by question."""
    found: dict[str, tuple[str, ...]] = {}
    for question in QUESTIONS:
        value = given[question.id.replace("-", "_")]
        several = (value,) if isinstance(value, str) else value or ()
        if several:
            found[question.id] = tuple(part.strip() for one in several for part in one.split(",") if part.strip())
    return found


def _flow(flow: str | None) -> tuple[str | None, list[str]]:
    """The name of the flow in the store, and what `outlay check` would say of it."""
    if flow is None or ":" not in flow:
        return flow, []
    with results_only_on_stdout():
        root = load_flow(flow)
        found = warnings_of(Survey(root))
    ids = ", ".join(dict.fromkeys(one.id for one in found))
    return root.name, [f"outlay check {flow} has {counted(len(found), 'warning')}: {ids}"] if found else []


def _evidence(store: str | None, flow: str | None) -> Evidence:
    """What the store says of the flow, or of all of them; nothing where there is no store yet, and none was named."""
    path = store_path(store)
    if store is None and "://" not in path and not Path(path).expanduser().is_file():
        return Evidence()
    return reading(store, lambda opened: evidence_of(opened, flow))


# ── asking ────────────────────────────────────────────────────────────────────────────────────────────────────


def _interview(answers: Mapping[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    """Ask what is open, as long as it matters. Enter is not known, `q` is enough."""
    found = dict(answers)
    skipped: set[str] = set()
    click.echo(f"Enter: not known · {_ENOUGH}: enough, advise me", err=True)
    while question := next((one for one in worth_asking(found) if one.id not in skipped), None):
        said = _ask(question)
        if said is None:
            break
        if said:
            found[question.id] = said
        else:
            skipped.add(question.id)
    return found


def _ask(question: Question) -> tuple[str, ...] | None:
    """What was answered, nothing for not known, None for enough."""
    click.echo(f"\n{question.asks}", err=True)
    width = max(map(len, question.choices))
    for choice, means in question.choices.items():
        if means:
            click.echo(f"  {choice:{width}}  {means}", err=True)
    hint = f"some of them, or {NONE}" if question.many else "/".join(question.choices)
    while True:
        text = click.prompt(f"  {hint}", default="", show_default=False, prompt_suffix="> ", err=True).strip().lower()
        if text == _ENOUGH:
            return None
        given = text.replace(",", " ").split() if question.many else [text] if text else []
        chosen = tuple(_completed(question, one) for one in given)
        try:
            Situation({question.id: chosen} if chosen else {})
        except ConfigError as error:
            click.echo(f"  {error.message}; {error.hint}", err=True)
            continue
        return chosen


def _completed(question: Question, given: str) -> str:
    """A choice by its beginning, where that is one's alone."""
    choices = [*question.choices, *([NONE] if question.many else [])]
    found = [one for one in choices if one.startswith(given)]
    return found[0] if len(found) == 1 and given not in choices else given


# ── showing ───────────────────────────────────────────────────────────────────────────────────────────────────


def _document(advice: Advice, situation: Situation, notes: Sequence[str]) -> dict[str, Any]:
    return {
        "verdict": advice.verdict,
        "text": advice.text,
        "advice": [asdict(one) for one in advice.answers],
        "answers": {name: list(given) for name, given in situation.answers.items()},
        "sources": dict(situation.sources),
        "notes": list(notes),
        "open": list(advice.open),
    }


def _lines(advice: Advice, situation: Situation, notes: Sequence[str]) -> list[str]:
    told, stored = len(situation.answers) - len(situation.sources), len(situation.sources)
    from_store = f" · {stored} from the store" if stored else ""
    lines = [f"advice · {counted(told, 'answer')} of yours{from_store}", "", one_line(advice.text, 200)]
    for one in advice.answers:
        lines += ["", *_answer(one)]
    if notes:
        lines += ["", *(f"note: {one_line(note, 400)}" for note in notes)]
    if advice.open:
        flags = " ".join(f"--{name}" for name in advice.open[:6]) + (" …" if len(advice.open) > 6 else "")
        lines += ["", f"not answered, and could change it: {flags}"]
    return lines


def _answer(one: Answer) -> list[str]:
    lines = [f"{one.topic}: {one_line(one.says, 200)}"]
    lines += [f"  because  {one_line(reason, 200)}" for reason in one.because]
    lines += [f"  unless   {one_line(change, 200)}" for change in one.unless]
    return [*lines, *(f"  next: {one_line(line, 200)}" for line in one.next)]
