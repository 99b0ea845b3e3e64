"""What can be said of a flow without running it: caps, prices, limits, and what the prompt cache will do.

Only what is true of the flow as it stands: what depends on the input, on tools or on other processes is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Final, Literal

from outlay.agents.agent import Agent
from outlay.errors import ConfigError
from outlay.policies.cache_plan import MOST_MARKS, Segment, break_even, plan_cache
from outlay.policies.reuse import Turns, further_turns
from outlay.protocols.caching import terms_of
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.protocols.prices import did_you_mean
from outlay.runtime.directory import Directory, default_prices
from outlay.runtime.loops import uncapped_loops
from outlay.runtime.prefixes import chain
from outlay.runtime.preflight import check, walk
from outlay.stores.memory import MemoryStore
from outlay.values.caching import Mark
from outlay.values.estimate import CHARACTERS_PER_TOKEN
from outlay.values.request import ModelRequest
from outlay.values.transcript import EMPTY

State = Literal["ok", "note", "broken"]
#: What bounds the loop of a pattern, by the name of its field.
_CAPS: Final = ("max_rounds", "max_turns", "max_steps", "max_handoffs", "max_subtasks", "n")


#: Turns from which on reading all of a conversation again is most of what it costs.
_LONG: Final = 20


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `next` says what to do where it is not as it should be."""

    about: str
    state: State
    text: str
    detail: str = ""
    next: str = ""


@dataclass(frozen=True, slots=True)
class CacheOutlook:
    """What the prompt cache will do for one agent. `tokens` of the prefix that is cached, about; `reads` are the
    further requests that are expected to begin with it within five minutes, `pays_from` those that it takes."""

    agent: str
    model: str
    breakpoints: tuple[str, ...]
    tokens: int
    reads: float
    pays_from: float | None
    why: str


@dataclass(frozen=True, slots=True)
class Checkup:
    flow: str
    agents: int
    tools: int
    findings: tuple[Finding, ...]
    cache: tuple[CacheOutlook, ...] = field(default=())

    @property
    def broken(self) -> bool:
        return any(finding.state == "broken" for finding in self.findings)


def checkup(root: Node[Any, Any], lane: Literal["live", "offline"] = "live", runs: int = 1) -> Checkup:
    """Look at a flow that is to run with real models or with its stand-ins; prices and caches are those of the models
    it names. `runs`: how many of it are expected within five minutes, for the prompt cache."""
    directory = Directory("live", default_prices())
    nodes = list(walk(root))
    agents = [node for node in nodes if isinstance(node, Agent)]
    tools = {tool for agent in agents for tool in agent.toolbox}
    findings = (
        _ready(root, Directory(lane, default_prices()), lane),
        _caps(root, nodes),
        _prices(agents, directory),
        _budget(nodes),
        *_conversations(agents, directory),
    )
    outlooks = tuple(_outlook(agent, directory, runs) for agent in agents)
    return Checkup(root.name, len(agents), len(tools), findings, outlooks)


def _ready(root: Node[Any, Any], directory: Directory, lane: str) -> Finding:
    try:
        check(root, directory, (), MemoryStore())  # a command has a store
    except ConfigError as error:
        return Finding("setting", "broken", error.message, next=error.hint)
    return Finding("setting", "ok", "names, models and settings fit", f"to run {lane}")


def _caps(root: Node[Any, Any], nodes: list[Node[Any, Any]]) -> Finding:
    capped = [f"{node.name} {cap}={value}" for node in nodes for cap, value in caps_of(node)]
    loose = [f"{found.node.name} ({found.place})" for found in uncapped_loops(root)]
    if loose:
        return Finding("caps", "note", "a loop has no cap of its own", ", ".join(loose), next="count its turns")
    return Finding("caps", "ok", "every loop has a cap", ", ".join(capped) or "there is no loop")


def caps_of(node: Node[Any, Any]) -> Iterator[tuple[str, int]]:
    """What bounds the loop that a node is, by the name of its argument; nothing for one that is no loop."""
    if isinstance(node, Agent):
        if node.tools or node.verify or node.output_type is not str:
            yield "max_turns", node.max_turns
        return
    for name in _CAPS:
        value = getattr(node, name, None)
        if isinstance(value, int):
            yield name, value


def _prices(agents: list[Agent[Any]], directory: Directory) -> Finding:
    unpriced = sorted(
        {model.id for agent in agents for model in _models(agent, directory) if directory.price(model) is None}
    )
    if unpriced:
        return Finding(
            "prices",
            "note",
            f"no price is known for {', '.join(unpriced)}",
            "a money budget refuses them, and the bill cannot have a total",
            next=f"{did_you_mean(directory.book, *unpriced)}put the price into outlay.toml",
        )
    return Finding("prices", "ok", "every model has a price", f"genai-prices {version('genai-prices')}")


def _models(agent: Agent[Any], directory: Directory) -> list[Model]:
    found: list[Model] = []
    for choice in agent.models:
        try:
            found.append(directory.model(agent.name, choice, agent.offline))
        except ConfigError:
            continue  # "setting" says so
    return found


def _budget(nodes: list[Node[Any, Any]]) -> Finding:
    limited = [f"{node.name} ${budget.usd}" for node in nodes for budget in node.budgets if budget.usd is not None]
    if limited:
        return Finding("budget", "ok", "money is limited", ", ".join(limited))
    return Finding("budget", "note", "the flow itself limits no money", next="outlay run … --budget 0.50, or budget=")


def _conversations(agents: list[Agent[Any]], directory: Directory) -> Iterator[Finding]:
    """Of agents that may talk for long: nothing is said of the others."""
    whole = [f"{a.name} max_turns={a.max_turns}" for a in agents if a.compaction is None and _may_be_long(a)]
    if whole:
        yield Finding(
            "conversations",
            "note",
            "all that was said is read again in each turn",
            ", ".join(whole),
            next="Agent(…, compaction=Compaction()) shortens it where that is cheaper",
        )
    shortened = [agent for agent in agents if agent.compaction is not None]
    if blind := [a.name for a in shortened if not any(map(directory.price, _models(a, directory)[:1]))]:
        text = f"without a price, {', '.join(blind)} shortens before the context window is full only"
        yield Finding("compaction", "note", text, next="put the price into outlay.toml")
    elif shortened:
        yield Finding("compaction", "ok", "long conversations are shortened", ", ".join(a.name for a in shortened))


def _may_be_long(agent: Agent[Any]) -> bool:
    return bool(agent.tools) and agent.max_turns >= _LONG


def _outlook(agent: Agent[Any], directory: Directory, runs: int) -> CacheOutlook:
    models = _models(agent, directory)
    prelude = agent.fixed_prelude or agent.prelude_of(tuple(p for p in agent.instruction_parts if isinstance(p, str)))
    request = ModelRequest(agent.name, "", prelude, EMPTY, agent.max_output_tokens, agent.settings, cache=agent.cache)
    model = models[0] if models else None
    name = str(agent.model) if model is None else model.id
    terms = None if model is None else terms_of(model, request)
    price = None if model is None else directory.price(model)
    if model is None or terms is None:
        return CacheOutlook(agent.name, name, (), 0, 0.0, None, "nothing that Outlay steers caches its prompts")
    if price is None:
        return CacheOutlook(agent.name, name, (), 0, 0.0, None, "the price of this model is unknown")
    soon, hour = further_turns(Turns(), likely=bool(prelude.tools), left=agent.max_turns - 1)
    others = runs - 1
    marks: list[Mark] = []
    segments: list[Segment] = []
    carried = 0
    for i, (_, length) in enumerate(chain(prelude)):
        carried += length // CHARACTERS_PER_TOKEN
        if length:
            marks.append(Mark("tools", 0, "5m") if i == 0 else Mark("system", i - 1, "5m"))
            segments.append(Segment(marks[-1].name, carried, soon + others, hour + others))
            carried = 0
    free = not terms.marks and price.rates.cache_write <= price.rates.input
    mode = "5m" if free and agent.cache == "auto" else agent.cache
    planned = plan_cache(segments, price.rates, terms.minimum, mode, terms.marks or MOST_MARKS)
    why = planned.why
    if agent.fixed_prelude is None:
        why += "; what its instructions' functions say is not known before a run"
    places = tuple(f"{marks[i].name} {life}" for i, life in planned.marks) if terms.marks else ()
    if planned.marks and not terms.marks:
        places = ("automatic",)
    life = planned.marks[0][1] if planned.marks else "5m"
    return CacheOutlook(agent.name, name, places, planned.tokens, soon + others, break_even(price.rates, life), why)
