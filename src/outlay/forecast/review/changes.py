"""What changed between two revisions: flows and agents paired, and what each pair costs more or less."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, TypeAlias, TypeVar

from outlay.forecast.review.flowcost import AgentCost, FlowCost

T = TypeVar("T")
Kind: TypeAlias = Literal["added", "removed", "renamed", "changed", "same", "broken"]


@dataclass(frozen=True, slots=True)
class Broken:
    """A flow or a file of one revision that cannot be read: `revision` as it was typed, what is wrong, what to do."""

    revision: str
    what: str
    reason: str
    facts: tuple[str, ...] = ()
    next: str = ""


@dataclass(frozen=True, slots=True)
class AgentChange:
    """One agent in both revisions, or in one of them."""

    before: AgentCost | None
    after: AgentCost | None

    @property
    def name(self) -> str:
        return _either(self.after, self.before).name

    @property
    def kind(self) -> Kind:
        return _kind(self.before, self.after, _same_name, _content)

    def tokens(self, what: Literal["instructions", "tools", "schema", "tokens"]) -> int:
        """So many tokens more a call."""
        return _of(self.after, what) - _of(self.before, what)


@dataclass(frozen=True)
class FlowChange:
    """One flow in both revisions, or in one of them; `broken` is why one of the two is not known."""

    before: FlowCost | None
    after: FlowCost | None
    broken: Broken | None = None

    @property
    def name(self) -> str:
        return _either(self.after, self.before).name

    @property
    def address(self) -> str:
        return _either(self.after, self.before).address

    @property
    def kind(self) -> Kind:
        if self.broken is not None:
            return "broken"
        return _kind(self.before, self.after, lambda flow: (flow.name, flow.address), _figures)

    @cached_property
    def agents(self) -> tuple[AgentChange, ...]:
        """Those of the later revision in its order, then those that are gone."""
        before = () if self.before is None else self.before.agents
        after = () if self.after is None else self.after.agents
        pairs = paired(before, after, _same_name, _same_texts, _same_place)
        return tuple(AgentChange(one, other) for one, other in pairs)

    @property
    def increase(self) -> float | None:
        """Dollars a run more, negative for less; None where one of the two is not known. What is not there costs
        nothing."""
        before, after = _dollars(self.before), _dollars(self.after)
        return None if self.broken is not None or before is None or after is None else after - before

    @property
    def share(self) -> float | None:
        """The increase as a share of what it was; None of what is new, cost nothing, or is not known."""
        before = _dollars(self.before)
        return None if self.increase is None or not before else self.increase / before

    @property
    def unknown(self) -> str:
        """Why it cannot be said what the change costs; empty where it can."""
        if self.broken is not None:
            return f"{self.broken.revision}: {self.broken.reason}"
        for flow in (self.after, self.before):
            if flow is not None and flow.dollars is None:
                return flow.unknown
        return ""

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Models without a price, in either revision: dollars are then lower bounds."""
        return tuple(dict.fromkeys(name for flow in (self.after, self.before) if flow for name in flow.unpriced))

    @property
    def tokens(self) -> int:
        """Tokens more of one call of each agent."""
        return _of(self.after, "tokens") - _of(self.before, "tokens")


@dataclass(frozen=True)
class CostDiff:
    """Two revisions, as they were typed, and their flows: in the order of the later one, then those that are gone."""

    base: str
    head: str
    flows: tuple[FlowChange, ...]
    broken: tuple[Broken, ...] = ()

    @property
    def changed(self) -> tuple[FlowChange, ...]:
        return tuple(flow for flow in self.flows if flow.kind != "same")

    @staticmethod
    def of(
        base: str,
        head: str,
        before: Sequence[FlowCost],
        after: Sequence[FlowCost],
        broken: Sequence[Broken] = (),
        *,
        one_pair: bool = False,
    ) -> CostDiff:
        """`one_pair`: two flows that were named to be compared, whatever they are called.

        A flow whose file is broken in one revision is neither new nor gone: nobody knows.
        """
        pairs = [*zip(before, after, strict=True)] if one_pair else paired(before, after, _same_address, _same_name)
        flows: list[FlowChange] = []
        for one, other in pairs:
            known = one if other is None else other if one is None else None
            missing = head if other is None else base
            why = next((b for b in broken if known and b.revision == missing and _covers(b.what, known.address)), None)
            flows.append(FlowChange(one, other, why))
        return CostDiff(base, head, tuple(flows), tuple(broken))


def paired(before: Sequence[T], after: Sequence[T], *alike: Callable[[T], Hashable]) -> list[tuple[T | None, T | None]]:
    """Each of `after` with the one of `before` that is alike by the first of these that says so, where just one is;
    then what is left of `before`. A key of None is like nothing."""
    found: dict[int, int] = {}
    for key in alike:
        left = [i for i in range(len(before)) if i not in found.values()]
        for j in range(len(after)):
            if j in found or key(after[j]) is None:
                continue
            same = [i for i in left if key(before[i]) == key(after[j]) and i not in found.values()]
            rivals = [k for k in range(len(after)) if k not in found and key(after[k]) == key(after[j])]
            if len(same) == 1 and len(rivals) == 1:
                found[j] = same[0]
    gone = [i for i in range(len(before)) if i not in found.values()]
    return [
        *((before[found[j]] if j in found else None, after[j]) for j in range(len(after))),
        *((before[i], None) for i in gone),
    ]


def _same_name(one: AgentCost | FlowCost) -> Hashable:
    return one.name


def _same_address(flow: FlowCost) -> Hashable:
    return flow.address


def _same_texts(agent: AgentCost) -> Hashable:
    """Agents without any text of their own are not alike for that."""
    return (agent.mark, agent.model) if agent.instructions else None


def _same_place(agent: AgentCost) -> Hashable:
    return (agent.place, agent.model)


def _kind(before: T | None, after: T | None, name: Callable[[T], Hashable], content: Callable[[T], Hashable]) -> Kind:
    if before is None:
        return "added"
    if after is None:
        return "removed"
    if name(before) != name(after):
        return "renamed"
    return "same" if content(before) == content(after) else "changed"


def _content(agent: AgentCost) -> Hashable:
    return (agent.mark, *_numbers(agent))


def _figures(flow: FlowCost) -> Hashable:
    """What the review shows: other code with the same figures is no change of the cost."""
    agents = tuple((agent.name, *_numbers(agent)) for agent in flow.agents)
    return (_near(flow.dollars), _near(flow.calls), flow.unpriced, flow.repeated, agents)


def _numbers(agent: AgentCost) -> tuple[Hashable, ...]:
    tokens = (agent.instructions, agent.tools, agent.schema)
    return (agent.model, *tokens, agent.made, _near(agent.calls), _near(agent.dollars))


def _near(value: float | None) -> str:
    """What adds up in another order differs in the last digits."""
    return "" if value is None else f"{value:.9g}"


def _either(one: T | None, other: T | None) -> T:
    found = one if one is not None else other
    assert found is not None, "a pair has at least one of the two"
    return found


def _of(one: AgentCost | FlowCost | None, what: str) -> int:
    return 0 if one is None else int(getattr(one, what))


def _dollars(flow: FlowCost | None) -> float | None:
    return 0.0 if flow is None else flow.dollars


def _covers(what: str, address: str) -> bool:
    """A broken file is about all of its flows."""
    return address == what or address.rpartition(":")[0] == what
