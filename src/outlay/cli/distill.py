"""`outlay distill`: whether a student is worth having, train it, and see whether it still fits."""

from __future__ import annotations

import json
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from outlay.cli.options import debug_option, json_option, store_option
from outlay.cli.problems import Problem
from outlay.cli.stored import reading
from outlay.values.percent import percent

if TYPE_CHECKING:
    from outlay.routing.distil import Drift, Example, Measured, Student, Verdict
    from outlay.routing.distil.recorded import Recorded

_SHARE = click.FloatRange(0, 1, min_open=True, max_open=True)
_MONEY = click.FloatRange(0)


@click.command("distill")
@click.argument("agent", metavar="AGENT")
@store_option
@click.option("--table", metavar="FILE", type=click.Path(path_type=Path), help="Learn from a table, not from runs.")
@click.option("--test", metavar="FILE", type=click.Path(path_type=Path), help="Measure on this table.")
@click.option("--unseen", is_flag=True, help="Leave out of --test what it was trained on, instead of refusing.")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help="Write the student here, as JSON.")
@click.option("--target", type=_SHARE, default=0.02, show_default=True, help="The share accepted and wrong, at most.")
@click.option("--method", type=click.Choice(["crc", "ltt"]), default="crc", show_default=True, help="As of `router`.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which quarter is for the calibration.")
@click.option("--per-month", type=click.FloatRange(0), metavar="N", help="Calls a month. Default: as recorded.")
@click.option("--usd-per-call", type=_MONEY, metavar="USD", help="What a call costs. Default: as recorded.")
@click.option("--prompted", type=click.FloatRange(0, 1), metavar="SHARE", help="Right of a prompted cheap model.")
@click.option("--wanted", type=click.FloatRange(0, 1), default=0.98, show_default=True, help="Right that is needed.")
@click.option("--usd-per-label", type=_MONEY, default=0.10, show_default=True, help="A label by a person.")
@click.option("--usd-of-work", type=_MONEY, default=500.0, show_default=True, help="Work each time it is made.")
@click.option("--changes", type=click.FloatRange(0), default=2.0, show_default=True, help="Base models a year.")
@click.option("--export", nargs=2, metavar="openai|anthropic FILE", help="Write a provider's fine-tuning file.")
@click.option("--instructions", metavar="FILE", type=click.Path(path_type=Path), help="The prompt, for --export.")
@click.option("--check", "check_file", metavar="FILE", type=click.Path(path_type=Path), help="Does this one still fit?")
@click.option("--anyway", is_flag=True, help="Write the student though the advice is no.")
@json_option
@debug_option
def command(
    agent: str,
    store: str | None,
    table: Path | None,
    test: Path | None,
    unseen: bool,
    out: Path | None,
    target: float,
    method: Any,
    seed: int,
    per_month: float | None,
    usd_per_call: float | None,
    prompted: float | None,
    wanted: float,
    usd_per_label: float,
    usd_of_work: float,
    changes: float,
    export: tuple[str, str] | None,
    instructions: Path | None,
    check_file: Path | None,
    anyway: bool,
    as_json: bool,
) -> None:
    """Train a small local student on what AGENT answered, as tier 0 of a cascade.

    \b
        outlay distill router --out router.json
        Cascade([Student.load("router.json"), "anthropic:claude-haiku-4-5"], …)

    It says whether that is worth it, and writes nothing where it is not, or not known to be (--anyway does). With
    --check it reads how a student in use has done, and retires one that no longer fits: exit code 1.
    """
    if check_file is not None:
        _check(agent, store, check_file, as_json)
        return
    from outlay.routing.distil import Circumstances, distil, measure, read_examples, worth
    from outlay.routing.distil.examples import settle

    recorded = None if table is not None else _recorded(agent, store)
    examples = read_examples(table) if table is not None else list(recorded.examples) if recorded else []
    student = distil(
        examples, agent, teacher=recorded.teacher if recorded else "", target=target, method=method, seed=seed
    )
    measured = None if test is None else measure(student, read_examples(test), unseen=unseen)
    prompts, moved = _stability(examples) if recorded else (None, None)
    known = Circumstances(
        examples=len(settle(examples).examples),
        prompts=prompts,
        moved=moved,
        prompted=prompted,
        wanted=wanted,
        accepted=measured.accepted if measured else student.calibration.accepted,
        per_month=per_month if per_month is not None else _per_month(recorded),
        usd_per_call=Decimal(str(usd_per_call)) if usd_per_call is not None else _per_call(recorded),
        usd_per_label=Decimal(str(usd_per_label)),
        usd_of_work=Decimal(str(usd_of_work)),
        changes=changes,
    )
    verdict = worth(known)
    if export is not None:
        _export(export, settle(examples).examples, instructions)
    written = out is not None and (verdict.yes or anyway)
    if out is not None and written:
        _writable(out)
        student.save(out)
    if as_json:
        click.echo(
            json.dumps(_document(student, measured, verdict, known.examples, recorded, out if written else None))
        )
    else:
        _show(student, measured, verdict, known.examples, recorded, out, written)


def _recorded(agent: str, store: str | None) -> Recorded:
    from outlay.routing.distil import recorded_examples

    found = reading(store, lambda opened: recorded_examples(opened, agent))
    if not found.calls:
        raise Problem(
            f"no call of an agent {agent!r} is in the store",
            next="outlay trace last names the agents of a run; or give a table with --table",
        )
    return found


def _stability(examples: list[Example]) -> tuple[int, float | None]:
    """How many prompts the answers were given to, and how far their later half is from the earlier."""
    from outlay.routing.distil.export import said
    from outlay.routing.distil.task import CONFIDENCE
    from outlay.routing.distil.worth import moved_between

    answers = [said({k: v for k, v in example.output.items() if k != CONFIDENCE}) for example in examples]
    half = len(answers) // 2
    return len({example.digest for example in examples}), moved_between(answers[:half], answers[half:])


def _per_month(recorded: Recorded | None) -> float | None:
    """As recorded, where it was recorded for a day or longer: an hour of a test says nothing of a month."""
    return None if recorded is None or recorded.days < 1 else recorded.calls / recorded.days * 30


def _per_call(recorded: Recorded | None) -> Decimal | None:
    return None if recorded is None or recorded.cost is None else recorded.cost / recorded.calls


def _export(export: tuple[str, str], examples: Any, instructions: Path | None) -> None:
    from outlay.routing.distil.export import PROVIDERS, fine_tuning_lines

    provider, name = export
    if provider not in PROVIDERS:
        raise Problem(f"--export {provider}: there is no such format", next=f"one of {', '.join(PROVIDERS)}")
    path = Path(name)
    _writable(path)
    try:
        prompt = "" if instructions is None else instructions.read_text(encoding="utf-8")
        lines = fine_tuning_lines(examples, prompt, provider)  # pyright: ignore[reportArgumentType] - checked above
        path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Problem(f"cannot export: {error}") from None
    click.echo(f"{path}: {len(examples):,} examples for {provider}", err=True)


def _writable(path: Path) -> None:
    if not path.absolute().parent.is_dir():
        raise Problem(f"cannot write {path}: there is no folder {path.parent}", next="make it, or name another")


def _check(agent: str, store: str | None, path: Path, as_json: bool) -> None:
    from outlay.events.codec import decode
    from outlay.routing.distil import Student, drift_of

    student = Student.load(path)
    if student.agent != agent:
        raise Problem(
            f"{path} is a student of {student.agent!r}", next=f"outlay distill {student.agent} --check {path}"
        )

    async def drifted(opened: Any) -> Drift:
        return drift_of(student, (decode(row.body) for row in await opened.events(None, ("decision",))))

    drift = reading(store, drifted)
    if drift.reasons and not student.retired:
        student.retire("; ".join(drift.reasons)).save(path)
    if as_json:
        click.echo(json.dumps({**asdict(drift), "retired": bool(drift.reasons or student.retired)}))
    else:
        click.echo(f"{student.id} · asked {drift.asked:,} · accepted {drift.accepted:,}", nl=False)
        click.echo(f" · audited {drift.audits:,}, {drift.wrong:,} of them wrong")
        if drift.reasons:
            click.echo(f"retired: {'; '.join(drift.reasons)}")
            click.echo(f"next: outlay distill {agent} --out {path}, from newer runs", err=True)
        elif student.retired:
            click.echo(f"retired before: {student.retired}")
        else:
            click.echo("it fits" if drift.enough else "too little was asked of it to say anything")
    if drift.reasons or student.retired:
        raise SystemExit(1)


def _document(
    student: Student,
    measured: Measured | None,
    verdict: Verdict,
    examples: int,
    recorded: Recorded | None,
    out: Path | None,
) -> dict[str, Any]:
    return {
        "agent": student.agent,
        "teacher": student.teacher or None,
        "examples": examples,
        "left_out": dict(recorded.left_out) if recorded else {},
        "fields": {name or "answer": len(values) for name, values in student.task.fields.items()},
        "calibration": student.calibration.as_dict(),
        "measured": None if measured is None else asdict(measured),
        "worth": verdict.yes,
        "reasons": [asdict(reason) for reason in verdict.reasons],
        "saved_a_year": None if verdict.saved_a_year is None else str(round(verdict.saved_a_year, 2)),
        "spent_a_year": None if verdict.spent_a_year is None else str(round(verdict.spent_a_year, 2)),
        "file": None if out is None else str(out),
    }


def _show(
    student: Student,
    measured: Measured | None,
    verdict: Verdict,
    examples: int,
    recorded: Recorded | None,
    out: Path | None,
    written: bool,
) -> None:
    sizes = ", ".join(f"{name or 'answer'} ({len(values):,} values)" for name, values in student.task.fields.items())
    of = f" of {student.teacher}" if student.teacher else ""
    click.echo(f"{student.agent} · {examples:,} different texts{of} · {sizes}")
    if recorded is not None:
        for why, count in sorted(recorded.left_out.items()):
            click.echo(f"  left out {count:,}: {why}")
    calibration = student.calibration
    said = f"calibrated on {calibration.labels:,} held-out texts: accepts {percent(calibration.accepted, 1)}, "
    click.echo(said + f"wrong and accepted at most {percent(calibration.target, 1)} on average over such draws")
    if measured is not None:
        text = f"on {measured.examples:,} new texts: {percent(measured.right, 1)} right, "
        text += f"accepts {percent(measured.accepted, 1)}, "
        click.echo(text + f"wrong and accepted {percent(measured.wrong, 1)}")
    click.echo()
    for reason in verdict.reasons:
        mark = {True: "✓", False: "✗", None: "?"}[reason.holds]
        click.echo(f"{mark} {reason.what:<22}{reason.why}")
    click.echo(f"\nworth it: {'yes' if verdict.yes else 'no'}")
    if out is not None and written:
        click.echo(f'{out} · Cascade([Student.load("{out.name}"), …], …)', err=True)
    elif out is not None:
        click.echo(f"{out} is not written", err=True)
        click.echo(
            "next: mend what is marked, say what is not known (outlay distill --help), or add --anyway", err=True
        )
