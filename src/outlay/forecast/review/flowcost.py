"""What one revision of a flow costs: plain values that travel from the process that imported it."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from outlay.agents.agent import Agent
from outlay.agents.cascade import ModelCascade
from outlay.errors import ConfigError
from outlay.forecast.assumptions import Assumptions, Beliefs
from outlay.forecast.closed import NotApplicable, closed_form
from outlay.forecast.expected import Expected, Share, added
from outlay.forecast.foresight import forecast, unpriced_models
from outlay.forecast.repeated import Repeated
from outlay.forecast.simulated import Chance, SimulatedModels
from outlay.forecast.statics import Static, repetitions, static_of
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk
from outlay.runtime.shape import shape_of


class AgentCost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One agent. Tokens a call, estimated; `made`: a function makes more of its instructions in each run, of a length
    that nobody knows before.

    `calls` and `dollars` a run in the mean, None where they are not known. `place` is where it stands in
    the flow, by number, `mark` the digest of all that it sends with every call: by these a renamed agent is known.
    """

    name: str
    model: str
    instructions: int
    tools: int
    schema: int
    made: bool = False
    calls: float | None = None
    dollars: float | None = None
    place: str = ""
    mark: str = ""

    @property
    def tokens(self) -> int:
        return self.instructions + self.tools + self.schema


class FlowCost(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One flow. `dollars` and `calls` a run in the mean, at list prices: None where `unknown` says why not.

    `basis` says where they come from: the closed form, or so many simulated runs. Models without a price are
    `unpriced`, and then `dollars` is a lower bound. `shape` is the digest of all its parts, code included.
    """

    name: str
    address: str
    agents: tuple[AgentCost, ...]
    repeated: tuple[Repeated, ...]
    dollars: float | None
    calls: float | None
    basis: str = ""
    unknown: str = ""
    unpriced: tuple[str, ...] = ()
    shape: str = ""

    @property
    def tokens(self) -> int:
        """Tokens of one call of each agent."""
        return sum(agent.tokens for agent in self.agents)

    @property
    def extra(self) -> int:
        """Tokens that agents repeat after one another."""
        return sum(one.extra for one in self.repeated)


def flow_cost(
    root: Node[Any, Any],
    address: str,
    assumptions: Assumptions | None = None,
    inputs: Sequence[Any] = (),
    *,
    simulate: int = 0,
) -> FlowCost:
    """What the flow costs in the mean over these inputs (none: a text of 50 tokens), by the closed form.

    Where there is none, by the mean of `simulate` runs in virtual time, if any are asked for. Raises ConfigError for
    models that do not exist and what else cannot run.
    """
    given = assumptions or Assumptions()
    directory = SimulatedModels(root, Beliefs(given), Chance())
    unpriced = unpriced_models(root, directory)
    closed = [closed_form(root, one, given, directory=directory) for one in inputs or (None,)]
    shares: dict[str, Share] | None = None
    basis = unknown = ""
    if why := next((one for one in closed if isinstance(one, NotApplicable)), None):
        unknown = f"{why.node}: {why.reason}"
        if simulate:
            shares, unknown = _simulated(root, given, inputs, simulate)
            basis = f"{simulate:,} simulated runs{'' if inputs else ' on a made-up text'}"
    else:
        parts = [one.agents for one in closed if isinstance(one, Expected)]
        shares = {name: share * (1 / len(parts)) for name, share in added(*parts).items()}
        basis = "closed form"
    dollars = None if shares is None else math.fsum(share.dollars for share in shares.values())
    if dollars == 0 and unpriced:
        dollars, unknown = None, f"no price is known for {', '.join(unpriced)}"
    return FlowCost(
        name=root.name,
        address=address,
        agents=tuple(_agents(root, shares, frozenset(unpriced))),
        repeated=repetitions(root),
        dollars=dollars,
        calls=None if shares is None else math.fsum(share.calls for share in shares.values()),
        basis="" if shares is None else basis,
        unknown=unknown,
        unpriced=unpriced,
        shape=shape_of(root),
    )


def _simulated(
    root: Node[Any, Any], given: Assumptions, inputs: Sequence[Any], runs: int
) -> tuple[dict[str, Share] | None, str]:
    """Means of simulated runs, by agent; None where they say nothing, and why."""
    try:
        found = forecast(root, inputs, n=runs, assumptions=given, workers=1)
    except ConfigError as error:
        return None, f"no run can be simulated: {error.message}"
    if not found.success.share:
        why = f" ({found.failures[0][0]})" if found.failures else ""
        what = "these inputs" if inputs else "a text without meaning: give --rows"
        return None, f"every simulated run failed on {what}{why}"
    never = {node.name: Share() for node in walk(root) if isinstance(node, Agent)}
    return never | {one.name: Share(one.calls, one.dollars) for one in found.agents}, ""


def _agents(root: Node[Any, Any], shares: Mapping[str, Share] | None, unpriced: frozenset[str]) -> Iterator[AgentCost]:
    """Each agent once. Of different ones with one name, the calls and dollars of all stand with the first."""
    seen: dict[str, set[str]] = {}
    for agent, place in _placed(root):
        static = static_of(agent)
        models = _models(agent)
        mark = _mark(agent)
        known = seen.setdefault(agent.name, set())
        if mark + models in known:
            continue
        known.add(mark + models)
        share = shares.get(agent.name) if shares is not None and len(known) == 1 else None
        priced = share is not None and not unpriced & {str(getattr(one, "id", one)) for one in agent.models}
        yield AgentCost(
            name=agent.name if len(known) == 1 else f"{agent.name} #{len(known)}",
            model=models,
            **_tokens(static),
            made=any(callable(part) for part in agent.instruction_parts),
            calls=None if share is None else share.calls,
            dollars=share.dollars if share is not None and priced else None,
            place=place,
            mark=mark,
        )


def _tokens(static: Static) -> dict[str, int]:
    return {"instructions": static.instructions, "tools": static.tools, "schema": static.schema}


def _placed(root: Node[Any, Any]) -> Iterator[tuple[Agent[Any], str]]:
    """The agents in the order of the walk, each with where it stands first."""
    places: dict[int, str] = {}

    def go(node: Node[Any, Any], place: str) -> None:
        if id(node) in places:
            return
        places[id(node)] = place
        for number, child in enumerate(node.children):
            go(child, f"{place}/{number}")

    go(root, "")
    for node in walk(root):
        if isinstance(node, Agent):
            yield node, places.get(id(node), "")


def _models(agent: Agent[Any]) -> str:
    names = [str(getattr(one, "id", one)) for one in agent.models]
    if isinstance(agent.model, ModelCascade):
        return " then ".join(names)
    return names[0]


def _mark(agent: Agent[Any]) -> str:
    """The digest of instructions, tools and schema."""
    parts = [part if isinstance(part, str) else getattr(part, "__qualname__", "") for part in agent.instruction_parts]
    prelude = agent.prelude_of(tuple(part for part in parts if part))
    return hashlib.blake2b(prelude.digest, digest_size=8).hexdigest()
