"""The receipt: a bill as people read it (aligned text, or a table for notebooks).

Costs are rounded to the same number of decimals, and by largest remainder: the rounded lines add up to the rounded
total, as whoever checks a receipt will do, and none is off by more than one unit of its last place. Enough decimals
to show every cost exactly would need nine or more.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal
from html import escape
from typing import TYPE_CHECKING

from outlay.analysis.batches import problem_of
from outlay.analysis.billlines import ZERO, BillLine, RunHead, grouped
from outlay.analysis.cachehealth import CacheHealth
from outlay.analysis.columns import SEPARATOR, broken, lines
from outlay.analysis.text import one_line
from outlay.protocols.prices import PriceBook, did_you_mean
from outlay.values.counted import counted
from outlay.values.percent import percent

if TYPE_CHECKING:
    from outlay.analysis.bill import Bill
    from outlay.analysis.savings import Savings

#: Below this total, in US dollars, six decimals are shown instead of four.
_SMALL = Decimal("0.01")
#: Of batches in which something went wrong, so many are told of.
_MOST_BATCHES = 8
_COLUMNS = ("agent", "model", "calls", "retries", "uncached", "cache rd", "cache wr", "output", "cost")
#: Which of them are left out where nobody has any.
_SELDOM = frozenset(("retries", "cache rd", "cache wr"))
#: In characters, where no terminal says how many it has.
WIDTH = 100
_OUTCOMES = {
    "completed": "completed in",
    "budget": "stopped by the budget after",
    "deadline": "stopped by the deadline after",
    "turn_limit": "stopped by the turn limit after",
    "watchdog": "stopped by its watchdog after",
    "approval": "waiting for approval after",
    "cancelled": "cancelled after",
    "error": "failed after",
}


def text(bill: Bill, saved: Decimal | None, prices: PriceBook | None = None, *, width: int = WIDTH) -> str:
    """Aligned lines of plain text, without colour codes or trailing spaces. `saved` by the prompt cache, in dollars.
    `prices` are asked which model may have been meant by one that is unpriced. Names are cut where the table would be
    wider than `width` characters, figures never."""
    said = [*_notes(bill, saved), *([] if prices is None else _meant(bill, prices))]
    notes = [line for parts in said for line in broken(parts, width)]
    return "\n".join([_head(bill.runs), "", *lines(_table(bill), names=2, width=width), "", *notes]).rstrip()


def html(bill: Bill, saved: Decimal | None) -> str:
    """The same as a table; every name in it is escaped."""
    head, *rows = _table(bill)
    cells = "".join(f"<th>{escape(cell)}</th>" for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    notes = "".join(f"<p>{escape(SEPARATOR.join(parts))}</p>" for parts in _notes(bill, saved) if parts)
    return (
        f"<p>{escape(_head(bill.runs))}</p><table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>{notes}"
    )


def _head(runs: Sequence[RunHead]) -> str:
    if not runs:
        return "no run"
    flows = list(dict.fromkeys(one_line(run.flow, 40) for run in runs if run.flow))
    degraded = f"{sum(run.degraded for run in runs):,} degraded"
    if len(runs) == 1:
        run = runs[0]
        outcome = "not finished"
        if run.outcome:
            outcome = f"{_OUTCOMES.get(run.outcome, one_line(run.outcome))} {run.seconds or 0.0:,.1f} s"
        return " · ".join([f"run {one_line(run.run, 40)}", *flows, outcome, degraded])
    outcomes: dict[str, int] = {}
    for run in runs:
        word = run.outcome.replace("_", " ") or "not finished"
        outcomes[word] = outcomes.get(word, 0) + 1
    counts = ", ".join(f"{count:,} {one_line(word)}" for word, count in sorted(outcomes.items()))
    return " · ".join([f"{len(runs):,} runs", ", ".join(flows[:3]) + (", …" if flows[3:] else ""), counts, degraded])


def _table(bill: Bill) -> list[tuple[str, ...]]:
    """The heading, a row for each agent and model, and their total. What nobody has (retries, tokens of a cache) is no
    column; what nobody knows is one."""
    groups = list(grouped(bill.lines, "agent", "model").values())
    whole = BillLine("", "", "")
    for line in groups:
        whole += line
    costs = _costs([line.known_cost for line in groups], exact=not whole.unpriced)
    rows = [
        (one_line(line.agent), one_line(_bare(line.model)), *_figures(line), _cost(line, cost))
        for line, cost in zip(groups, costs, strict=False)
    ]
    table = [_COLUMNS, *rows, ("total", "", *_figures(whole), _cost(whole, costs[-1]))]
    kept = [i for i, name in enumerate(_COLUMNS) if name not in _SELDOM or any(row[i] != "0" for row in table[1:])]
    return [tuple(row[i] for i in kept) for row in table]


def _figures(line: BillLine) -> tuple[str, ...]:
    tokens = (line.input_tokens, line.cache_read_tokens, line.cache_write_tokens, line.output_tokens)
    return (f"{line.calls:,}", f"{line.retries:,}", *("?" if n is None else f"{n:,}" for n in tokens))


def _cost(line: BillLine, known: str) -> str:
    if not line.unpriced:
        return known
    if line.known_cost:
        return f"≥ {known}"
    return "unknown" if line.output_tokens is None else "unpriced"  # no report, or no price for what it says


def _costs(amounts: Sequence[Decimal], *, exact: bool) -> list[str]:
    """The amounts and their sum, rounded so that they add up; a sum that is a lower bound is rounded down."""
    total = sum(amounts, ZERO)
    places = 4 if total >= _SMALL or not total else 6
    unit = Decimal(1).scaleb(-places)
    shown = [amount.quantize(unit, ROUND_DOWN) for amount in amounts]
    goal = total.quantize(unit, ROUND_HALF_EVEN if exact else ROUND_DOWN)
    missing = int((goal - sum(shown, ZERO)) / unit)
    largest_rest = sorted(range(len(amounts)), key=lambda i: shown[i] - amounts[i])
    for i in largest_rest[:missing]:
        shown[i] += unit
    return [f"${amount:,.{places}f}" for amount in (*shown, goal)]


def _bare(model: str) -> str:
    """The model without its provider."""
    return model.partition(":")[2] or model


def _notes(bill: Bill, saved: Decimal | None) -> list[list[str]]:
    """Lines, each of what is said in it."""
    first: list[str] = []
    if saved:
        first.append(f"saved {_amount(saved)} by cache" if saved > 0 else f"cache cost {_amount(-saved)}")
    if (share := _cached_share(bill.lines)) is not None:
        first.append(f"{percent(share)} of input read from cache")
    if bill.batched:
        first.append(_by_batch(bill))
    first += _saved(bill.savings)
    if bill.doubtful or bill.unreported:
        first.append(_doubt(bill))
    second: list[str] = []
    if bill.tools:
        failed = f", {bill.failed_tools:,} failed" if bill.failed_tools else ""
        second.append(f"{counted(bill.tools, 'tool call')}{failed}")
    if bill.checks:
        refused = f" ({counted(bill.refused, 'output')} refused)" if bill.refused else ""
        second.append(f"checked by: {', '.join(one_line(check, 40) for check in bill.checks)}{refused}")
    sick = [_sick(one) for one in bill.cache if _ails(one)]
    problems = [problem for batch in bill.batches if (problem := problem_of(batch))]
    if len(problems) > _MOST_BATCHES:
        problems = [*problems[:_MOST_BATCHES], f"… and {len(problems) - _MOST_BATCHES:,} more batches"]
    return [first, second, *([one] for one in (*sick, *problems))]


def _meant(bill: Bill, prices: PriceBook) -> list[list[str]]:
    """Of models without a price, whose names are nearly those of others."""
    models = [model for model, line in bill.by("model").items() if line.unpriced]
    guesses = {model: did_you_mean(prices, model).strip() for model in models}
    return [[f"no price is known for {one_line(model, 80)}: {guess}"] for model, guess in guesses.items() if guess]


def _saved(savings: Savings) -> list[str]:
    """What the other rungs saved. Estimates are called so: nobody sent the longer requests, nor asked the last tier."""
    said: list[str] = []
    if savings.answers:
        worth = "" if savings.by_answers is None else f", saved {_amount(savings.by_answers)}"
        similar = f" ({savings.similar_answers:,} to similar questions)" if savings.similar_answers else ""
        said.append(f"{counted(savings.answers, 'stored answer')}{similar}{worth}")
    if savings.results:
        said.append(f"{counted(savings.results, 'stored tool result')}, saved {savings.seconds_by_results:,.1f} s")
    if savings.cascaded and savings.by_cascade:
        said.append(f"cascade {_about(savings.by_cascade)}")
    if savings.compactions:
        worth = "" if savings.by_compaction is None else f" {_about(savings.by_compaction)}"
        said.append(f"{counted(savings.compactions, 'compaction')}{worth}")
    return said


def _about(saved: Decimal) -> str:
    return f"{'saved' if saved >= 0 else 'cost'} about {_amount(abs(saved))}"


def _by_batch(bill: Bill) -> str:
    """How much went by batch, and what that saved against asking at once with a prompt cache."""
    part = "" if bill.batched >= bill.calls else f" of {bill.calls:,}"
    went = f"{bill.batched:,}{part} call{'' if bill.batched == 1 and not part else 's'}"
    if bill.saved_by_batch is None:
        return f"by batch: {went}"
    if bill.saved_by_batch < 0:
        more = f"about {_amount(-bill.saved_by_batch)} more than at once"
        return f"by batch: {went}, {more}: a prompt cache would have saved more"
    return f"saved {_amount(bill.saved_by_batch)} by batch ({went})"


def _ails(one: CacheHealth) -> bool:
    return bool(one.missed or one.changes or one.alerts or (one.unread and one.saved is not None and one.saved < 0))


def _sick(one: CacheHealth) -> str:
    """What is wrong with an agent's cache, and what broke it."""
    words: list[str] = []
    if one.missed:
        words.append(f"{one.missed:,} of {one.expected:,} expected reads missed")
    if one.unread:
        words.append(f"{one.unread:,} tokens written and never read")
    words += [one_line(change, 160) for change in (one.changes or one.alerts)[:3]]
    return f"cache of {one_line(one.agent, 40)}: {' · '.join(words)}"


def _amount(money: Decimal) -> str:
    """Dollars with two decimals, or with as many as a small amount needs to be seen."""
    places = 2 if money >= Decimal("0.10") else 4 if money >= Decimal("0.0001") else 6
    return f"${money:,.{places}f}"


def _doubt(bill: Bill) -> str:
    calls = ", ".join(
        [f"{counted(bill.doubtful, 'call')} without an answer"] * bool(bill.doubtful)
        + [f"{counted(bill.unreported, 'call')} answered without usage"] * bool(bill.unreported)
    )
    calls += ", outside the total"
    if bill.billed_twice:
        calls += f" · {bill.billed_twice:,} possibly billed twice"  # sent again
    if bill.doubtful == bill.doubtful_unpriced and not bill.in_doubt:
        return f"in doubt, unpriced: {calls}"
    least = "≥ " if bill.doubtful_unpriced else ""
    return f"in doubt {least}${bill.in_doubt:,.4f}: {calls}"


def _cached_share(lines: Sequence[BillLine]) -> float | None:
    """Of all input tokens, the part that was read from a cache; None if it is unknown or nothing was."""
    read = whole = 0
    for line in lines:
        if line.input_tokens is None or line.cache_read_tokens is None or line.cache_write_tokens is None:
            return None
        read += line.cache_read_tokens
        whole += line.input_tokens + line.cache_read_tokens + line.cache_write_tokens
    return read / whole if read else None
