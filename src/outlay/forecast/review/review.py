"""A review: the difference between two revisions, at a volume, held against a threshold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from outlay.analysis.text import one_line
from outlay.forecast.review import words
from outlay.forecast.review.changes import AgentChange, CostDiff, FlowChange
from outlay.forecast.review.flowcost import AgentCost, FlowCost
from outlay.forecast.review.known import Known
from outlay.forecast.review.threshold import Held, Threshold
from outlay.forecast.review.volume import Volume, volume_of
from outlay.values.counted import counted

_NAME = 40


@dataclass(frozen=True)
class Review:
    """`given` runs a month count before what was `counted` in stored runs, by flow."""

    diff: CostDiff
    known: Known = field(default_factory=Known)
    counted: Mapping[str, Volume] = field(default_factory=dict[str, Volume])
    given: float | None = None
    limit: Threshold | None = None

    def volume(self, flow: FlowChange) -> Volume:
        """Of a renamed flow, the one that was counted under its old name counts."""
        names = [one.name for one in (flow.after, flow.before) if one is not None]
        found = [volume_of(name, self.given, self.counted) for name in names]
        return next((one for one in found if one.runs is not None), found[0])

    def held(self, flow: FlowChange) -> Held:
        return "within" if self.limit is None else self.limit.holds(flow, self.volume(flow))

    def those(self, held: Held) -> list[FlowChange]:
        return [flow for flow in self.diff.flows if self.held(flow) == held]

    @property
    def passes(self) -> bool:
        """Everything could be read, and nothing is over the limit or unknown under one."""
        return not self.diff.broken and all(self.held(flow) == "within" for flow in self.diff.flows)

    @property
    def assumed(self) -> str:
        return (
            "means at list prices without a prompt cache; tokens at four characters each; "
            f"{self.known} for both revisions"
        )

    @property
    def verdicts(self) -> list[str]:
        """What the limit says, a line for each flow that is not within it."""
        if self.limit is None:
            return []
        lines = [f"{flow.name} is over {self.limit}: {words.increase_of(flow)}" for flow in self.those("over")]
        for flow in self.those("not known"):
            why = flow.unknown or (flow.unpriced and f"no price is known for {', '.join(flow.unpriced)}")
            why = why or self.volume(flow).source
            lines.append(f"{flow.name} cannot be held to {self.limit}: {why}")
        return lines or [f"within {self.limit}"]

    def render(self) -> str:
        """As a terminal shows it, in plain text."""
        return "\n".join(line.rstrip() for line in _lines(self))

    def document(self) -> dict[str, Any]:
        """What JSON has of it."""
        return _document(self)


def _lines(review: Review) -> list[str]:
    diff = review.diff
    same = len(diff.flows) - len(diff.changed)
    counts = f"{counted(len(diff.flows), 'flow')}, {len(diff.changed):,} changed"
    lines = [f"diff · {one_line(diff.base, _NAME)} → {one_line(diff.head, _NAME)} · {counts}"]
    for flow in diff.changed:
        lines += ["", *_flow(review, flow)]
    if same and diff.changed:
        names = [one_line(flow.name, _NAME) for flow in diff.flows if flow.kind == "same"]
        lines += ["", f"the same as before: {', '.join(names[:8])}{', …' if names[8:] else ''}"]
    lines += ["", *(f"{'✓' if review.passes else '✗'} {one_line(line, 200)}" for line in review.verdicts)]
    return [*lines, f"assumed: {review.assumed}"]


def _flow(review: Review, flow: FlowChange) -> list[str]:
    head = f"{one_line(words.title_of(flow), 80)}  {one_line(flow.address, 80)}{one_line(words.basis_of(flow))}"
    lines = [head, f"  a run    {words.run_of(flow)}    {words.increase_of(flow)}"]
    if flow.unknown:
        lines[-1] += f": {one_line(flow.unknown, 120)}"
    elif flow.unpriced:
        lines[-1] += f" · no price is known for {one_line(', '.join(flow.unpriced), 80)}"
    if flow.kind != "broken":
        lines.append(f"  a month  {one_line(words.month_of(flow, review.volume(flow)), 120)}")
        lines += _table([("agent", "calls a run", "instructions", "tools", "schema", "dollars a run"), *_rows(flow)])
        lines += [f"  ! {one_line(line, 160)}" for line in words.repeated_of(flow)]
    return lines


def _rows(flow: FlowChange) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for agent in flow.agents:
        cells = [one_line(words.agent_of(agent), 48), words.calls_of(agent), *token_cells(agent), dollars_cell(agent)]
        rows.append(tuple(cells))
        if ARROW in (models := words.model_of(agent)):
            rows.append((f"  {one_line(models, 80)}",))
    return rows


ARROW = words.ARROW


def token_cells(agent: AgentChange) -> list[str]:
    """Tokens a call of instructions, tools and schema."""
    kinds = ("instructions", "tools", "schema")
    cells = [words.tokens(_part(agent.before, kind), _part(agent.after, kind)) for kind in kinds]
    if any(one is not None and one.made for one in (agent.before, agent.after)):
        cells[0] += " + more made at run time"
    return cells


def dollars_cell(agent: AgentChange) -> str:
    before, after = agent.before, agent.after
    costs = [None if one is None else one.dollars for one in (before, after)]
    return words.money(costs[0], costs[1], (before is not None, after is not None))


def _part(agent: AgentCost | None, kind: str) -> int | None:
    return None if agent is None else int(getattr(agent, kind))


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    full = [row for row in rows if len(row) > 1]
    widths = [max(len(row[i]) for row in full) for i in range(len(full[0]))]
    lines: list[str] = []
    for row in rows:
        if len(row) == 1:
            lines.append(f"    {row[0]}")
            continue
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("    " + "   ".join(cells))
    return lines


def _document(review: Review) -> dict[str, Any]:
    diff = review.diff
    return {
        "base": diff.base,
        "head": diff.head,
        "flows": [_flow_document(review, flow) for flow in diff.flows],
        "broken": [asdict(one) for one in diff.broken],
        "limit": None if review.limit is None else str(review.limit),
        "passes": review.passes,
        "verdicts": review.verdicts,
        "assumed": review.assumed,
    }


def _flow_document(review: Review, flow: FlowChange) -> dict[str, Any]:
    volume = review.volume(flow)
    month = None if volume.runs is None or flow.increase is None else flow.increase * volume.runs
    return {
        "flow": flow.name,
        "address": flow.address,
        "change": flow.kind,
        "before": _cost(flow.before),
        "after": _cost(flow.after),
        "dollars_a_run_more": flow.increase,
        "share_more": flow.share,
        "tokens_more": flow.tokens,
        "runs_per_month": volume.runs,
        "volume": volume.source,
        "volume_is_a_lower_bound": volume.least,
        "dollars_a_month_more": month,
        "unknown": flow.unknown or None,
        "held": None if review.limit is None else review.held(flow),
        "agents": [
            {"agent": one.name, "change": one.kind, "before": _agent(one.before), "after": _agent(one.after)}
            for one in flow.agents
        ],
    }


def _cost(flow: FlowCost | None) -> dict[str, Any] | None:
    if flow is None:
        return None
    repeated = [{"what": one.what, "agents": list(one.agents), "tokens": one.tokens} for one in flow.repeated]
    return {
        "flow": flow.name,
        "address": flow.address,
        "dollars": flow.dollars,
        "calls": flow.calls,
        "basis": flow.basis or None,
        "unpriced": list(flow.unpriced),
        "tokens": flow.tokens,
        "duplicated": repeated,
        "duplicated_tokens": flow.extra,
    }


def _agent(agent: AgentCost | None) -> dict[str, Any] | None:
    if agent is None:
        return None
    return {
        "agent": agent.name,
        "model": agent.model,
        "instructions": agent.instructions,
        "made_at_run_time": agent.made,
        "tools": agent.tools,
        "schema": agent.schema,
        "calls": agent.calls,
        "dollars": agent.dollars,
    }
