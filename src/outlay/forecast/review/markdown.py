"""A review as a comment on a pull request. Names, paths and reasons are other people's words: they stand in code spans,
where nothing is a link, a mention or a tag. So do amounts: GitHub would read two dollar signs as a formula."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from outlay.analysis.text import code, markdown
from outlay.forecast.review import words
from outlay.forecast.review.changes import Broken, FlowChange
from outlay.forecast.review.review import Review, dollars_cell, token_cells

#: A comment on GitHub has at most 65,536 characters.
_MOST = 60_000
_CUT = "\n\n*The rest is cut off: `outlay diff` shows it in a terminal.*\n"


def as_markdown(review: Review) -> str:
    """One heading, one table of all changed flows, and for each of them its agents."""
    text = "\n".join(_lines(review)) + "\n"
    return text if len(text) <= _MOST else text[: text.rfind("\n", 0, _MOST)] + _CUT


def _lines(review: Review) -> Iterator[str]:
    diff = review.diff
    yield f"### Cost of {code(diff.base)} → {code(diff.head)}"
    yield ""
    if diff.changed:
        yield from _table(("flow", "dollars a run", "change", "a month"), map(_summary(review), diff.changed), 1)
    else:
        yield "No flow changed what it costs." if diff.flows else "No flow could be read."
    yield ""
    for line in review.verdicts:
        yield f"- {'✓' if review.passes else '✗'} {code(line, 240)}"
    for one in diff.broken:
        yield f"- ✗ {_reason(one)}"
    for flow in diff.changed:
        if flow.kind != "broken":
            yield from _flow(flow)
    same = len(diff.flows) - len(diff.changed)
    yield ""
    rest = f"{same:,} other flow{' costs' if same == 1 else 's cost'} the same as before. " if same else ""
    yield f"<sub>{rest}Assumed: {markdown(review.assumed)}.</sub>"


def _summary(review: Review) -> Callable[[FlowChange], tuple[str, ...]]:
    def cells(flow: FlowChange) -> tuple[str, ...]:
        month = words.month_of(flow, review.volume(flow))
        return (code(words.title_of(flow)), code(words.run_of(flow)), _change(flow), code(month, 160))

    return cells


def _change(flow: FlowChange) -> str:
    if flow.unknown:
        return f"not known: {code(flow.unknown, 160)}"
    unpriced = f" · no price for {code(', '.join(flow.unpriced))}" if flow.unpriced else ""
    return f"**{code(words.increase_of(flow))}**{unpriced}"


def _flow(flow: FlowChange) -> Iterator[str]:
    yield ""
    yield f"#### {code(words.title_of(flow) + words.basis_of(flow))}"
    yield ""
    header = ("agent", "model", "calls a run", "instructions", "tools", "schema", "dollars a run")
    rows = [
        (
            code(words.agent_of(one)),
            code(words.model_of(one)),
            words.calls_of(one),
            *token_cells(one),
            code(dollars_cell(one)),
        )
        for one in flow.agents
    ]
    yield from _table(header, rows, 2)
    lines = words.repeated_of(flow)
    if lines:
        yield ""
    yield from (f"- {code(line, 200)}" for line in lines)


def _reason(one: Broken) -> str:
    facts = "".join(f" · {code(fact, 200)}" for fact in one.facts[:2])
    hint = f" · next: {code(one.next, 200)}" if one.next else ""
    return f"{code(one.what)} of {code(one.revision)} cannot be read: {code(one.reason, 240)}{facts}{hint}"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], names: int) -> Iterator[str]:
    """The first columns are names, the rest figures."""
    yield f"| {' | '.join(header)} |"
    yield f"|{'|'.join('---' if i < names else '---:' for i in range(len(header)))}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
