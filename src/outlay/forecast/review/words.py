"""How the figures of a review read: before and after, more and less. The same in the terminal and in Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from outlay.forecast.review.changes import AgentChange, FlowChange
from outlay.forecast.review.volume import Volume

ARROW = " → "


def dollars(amount: float | None, *, signed: bool = False, least: bool = False) -> str:
    """`$0.0033`; more decimals where the amount would be lost in four. `least`: a lower bound."""
    if amount is None:
        return "not known"
    size = abs(amount)
    places = 2 if size >= 100 else 4 if size >= 0.1 or not size else min(9, 3 - math.floor(math.log10(size)))
    return f"{'≥ ' if least else ''}{_sign(amount, signed)}${size:,.{places}f}"


def percent(share: float) -> str:
    """`+11 %`, with a decimal under ten."""
    value = 100 * abs(share)
    return f"{_sign(share, True)}{value:,.{0 if value >= 9.95 else 1}f} %"


def tokens(before: int | None, after: int | None) -> str:
    """`120 → 180`; one number where nothing changed, or one side is not there."""
    return _both([None if one is None else f"{one:,}" for one in (before, after)])


def money(before: float | None, after: float | None, here: tuple[bool, bool], *, least: bool = False) -> str:
    """`$0.0033 → $0.0036`; `here` says in which revisions there is anything that could cost."""
    return _both(
        [dollars(one, least=least) if there else None for one, there in zip((before, after), here, strict=True)]
    )


def run_of(flow: FlowChange) -> str:
    """What a run costs, before and after."""
    before = None if flow.before is None else flow.before.dollars
    after = None if flow.after is None else flow.after.dollars
    if flow.broken is not None:
        return ARROW.join(dollars(one) for one in (before, after))
    return money(before, after, (flow.before is not None, flow.after is not None), least=bool(flow.unpriced))


def basis_of(flow: FlowChange) -> str:
    """`, 200 simulated runs`, where it is not the closed form."""
    found = dict.fromkeys(one.basis for one in (flow.before, flow.after) if one is not None and one.basis)
    return "" if list(found) in ([], ["closed form"]) else f", {ARROW.join(found)}"


def increase_of(flow: FlowChange) -> str:
    """`+$0.0004 (+11 %)`."""
    if flow.increase is None:
        return "not known"
    known = " of what has a price" if flow.unpriced else ""
    if not flow.increase:
        return f"no change{known}"
    share = "" if flow.share is None or flow.after is None else f" ({percent(flow.share)})"
    return f"{dollars(flow.increase, signed=True)}{share}{known}"


def month_of(flow: FlowChange, volume: Volume) -> str:
    """`+$0.55 a month at 1,460 runs (counted)`, or why that is not known."""
    if volume.runs is None:
        return f"not known: {volume.source}"
    if flow.increase is None:
        return "not known"
    more = month_dollars(flow.increase * volume.runs)
    if volume.least:
        return f"{more}{' or more' if flow.increase else ''}: {volume.source}"
    return f"{more} at {volume.runs:,.0f} runs a month ({volume.source})"


def month_dollars(amount: float) -> str:
    """In cents, where it comes to any."""
    return f"{_sign(amount, True)}${abs(amount):,.2f}" if abs(amount) >= 0.01 else dollars(amount, signed=True)


def title_of(flow: FlowChange) -> str:
    """Its name, and what became of it."""
    was = flow.before
    if flow.kind == "renamed" and was is not None and flow.after is not None:
        moved = "" if was.address == flow.after.address else f" ({was.address})"
        return f"{flow.name}, was {was.name}{moved}"
    return f"{flow.name}{status(flow.kind)}"


def agent_of(agent: AgentChange) -> str:
    if agent.kind == "renamed" and agent.before is not None:
        return f"{agent.name}, was {agent.before.name}"
    return f"{agent.name}{status(agent.kind)}"


def status(kind: str) -> str:
    return {"added": ", new", "removed": ", gone"}.get(kind, "")


def model_of(agent: AgentChange) -> str:
    return _both([None if one is None else one.model for one in (agent.before, agent.after)])


def calls_of(agent: AgentChange) -> str:
    """Calls a run."""
    both = (agent.before, agent.after)
    return _both([None if one is None else "?" if one.calls is None else f"{one.calls:,.2f}" for one in both])


def repeated_of(flow: FlowChange) -> list[str]:
    """What agents duplicate after the change, or did before it."""
    before = () if flow.before is None else flow.before.repeated
    after = () if flow.after is None else flow.after.repeated
    lines: list[str] = []
    for one in after:
        new = "" if one in before or flow.before is None else ", new or changed"
        lines.append(f"{_carriers(one.agents)} carry the same {one.tokens:,} tokens of {one.what}{new}")
    kept = {(one.what, one.agents) for one in after}
    for one in before:
        if flow.after is not None and (one.what, one.agents) not in kept:
            lines.append(f"no longer the same in {_carriers(one.agents)}: {one.tokens:,} tokens of {one.what}")
    return lines


def _carriers(agents: tuple[str, ...]) -> str:
    shown = ", ".join(agents[:4]) + (", …" if len(agents) > 4 else "")
    return f"{len(agents)} agents ({shown})"


def _both(said: Sequence[str | None]) -> str:
    return ARROW.join(dict.fromkeys(one for one in said if one is not None))


def _sign(amount: float, signed: bool) -> str:
    return "−" if amount < 0 else "+" if signed and amount > 0 else ""
