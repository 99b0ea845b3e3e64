"""What can be known to be wrong before anything is spent."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from outlay.agents.agent import Agent
from outlay.agents.cascade import ModelCascade
from outlay.agents.function import FunctionNode
from outlay.errors import ConfigError
from outlay.protocols.batches import batches_of
from outlay.protocols.logprobs import check_logprobs
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.protocols.store import Store
from outlay.runtime.budgets import unpriced
from outlay.runtime.directory import Directory
from outlay.runtime.replacements import check_replacements
from outlay.runtime.walking import tool_nodes, walk
from outlay.runtime.windows import check as check_window
from outlay.values.budget import Budget

_well_formed: WeakSet[Node[Any, Any]] = WeakSet()
#: The model that an agent was last found to suit. One each: a stand-in is a new model in every run.
_suits: WeakKeyDictionary[Agent[Any], Model] = WeakKeyDictionary()


def check(
    root: Node[Any, Any],
    directory: Directory,
    budgets: Sequence[Budget],
    store: Store | None,
    *,
    by_batch: bool | None = None,
) -> None:
    """Raises ConfigError for what cannot run: names, models and what replaces them, keys, stand-ins, settings,
    prices under a money budget, a budget over many runs without a store to count in, a deadline that is shorter than a
    batch may take. `by_batch`: so go the agents that say nothing else; None where nothing does, as in a forecast."""
    if root not in _well_formed:
        for node in walk(root):
            _distinct_names(node)
        _well_formed.add(root)
    check_replacements(root, directory)  # first: an agent that was to be replaced may have no key
    for budget in budgets:
        check_window(budget, store)
    for node, limits, strict in _with_budgets(root, tuple(budgets), _strict(budgets), set()):
        for budget in node.budgets:
            check_window(budget, store)
        if isinstance(node, Agent):
            batched = by_batch is not None and (node.lane == "batch" or (by_batch and node.lane != "live"))
            _check_agent(node, directory, limits, strict, batched=batched)


def _with_budgets(
    node: Node[Any, Any], above: tuple[Budget, ...], strict: Budget | None, seen: set[tuple[int, bool]]
) -> Iterator[tuple[Node[Any, Any], tuple[Budget, ...], Budget | None]]:
    """Each node with all budgets that hold for it, and the first of them under which all prices must be known."""
    limits, strict = above + node.budgets, strict or _strict(node.budgets)
    mark = (id(node), strict is not None)
    if mark in seen:
        return
    seen.add(mark)
    yield node, limits, strict
    for child in (*node.children, *tool_nodes(node)):
        yield from _with_budgets(child, limits, strict, seen)


def _strict(budgets: Sequence[Budget]) -> Budget | None:
    for budget in budgets:
        if budget.usd is not None and not budget.allow_unpriced:
            return budget
    return None


def _distinct_names(node: Node[Any, Any]) -> None:
    seen: dict[str, Node[Any, Any]] = {}
    for child in node.children:
        other = seen.setdefault(child.name, child)
        if other is not child and not _same_function(other, child):
            rename = "@node(name='…')" if isinstance(child, FunctionNode) else f"{child.name}.replace(name='…')"
            raise ConfigError(
                f"{node.name or node.type} has two children named {child.name!r}", hint=f"rename one: {rename}"
            )


def _same_function(one: Node[Any, Any], other: Node[Any, Any]) -> bool:
    """A plain function that stands in two places was wrapped twice, and is one node all the same."""
    if not (isinstance(one, FunctionNode) and isinstance(other, FunctionNode)):
        return False
    return one.function is other.function and one.budget is other.budget and one.optional == other.optional


def _check_agent(
    agent: Agent[Any], directory: Directory, limits: Sequence[Budget], strict: Budget | None, *, batched: bool
) -> None:
    own = agent.models
    for i, choice in enumerate((*own, *agent.fallback)):
        model = directory.model(agent.name, choice, agent.offline, spare=i >= len(own))
        check_model(agent, model)
        if isinstance(agent.model, ModelCascade) and agent.model.reads_logprobs(i):
            _check_logprobs(agent, model)
        if strict is not None and directory.price(model) is None:
            raise unpriced(model.id, agent.name)
        if batched and i < len(own):
            _check_batches(agent, model, directory, limits, strict)


def check_model(agent: Agent[Any], model: Model) -> None:
    """Raises ConfigError, with the agent's name, for a missing key and for what this model would refuse of it. An agent
    that no node names as its child is met in the middle of a run, and checked then."""
    if _suits.get(agent) is model:
        return
    try:
        model.check(agent.fixed_prelude or agent.prelude_of(()), agent.settings, agent.max_output_tokens)
    except ConfigError as error:
        error.message = f"agent {agent.name!r}: {error.message}"
        raise
    _suits[agent] = model


def _check_logprobs(agent: Agent[Any], model: Model) -> None:
    try:
        check_logprobs(model, agent.settings)
    except ConfigError as error:
        error.message = f"agent {agent.name!r}: {error.message}"
        raise


def _check_batches(
    agent: Agent[Any], model: Model, directory: Directory, limits: Sequence[Budget], strict: Budget | None
) -> None:
    batches = batches_of(model)
    if batches is None and getattr(model, "asked_at_once", False):  # a simulation
        return
    if batches is None:
        raise ConfigError(
            f"agent {agent.name!r}: {model.id} has no batches",
            hint=f"say Agent({agent.name!r}, …, lane='live'), or use a model of a provider that has them",
        )
    short = min((budget.seconds for budget in limits if budget.seconds is not None), default=None)
    if short is not None and short < batches.window:
        raise ConfigError(
            f"agent {agent.name!r} goes by batch, which may take {batches.window:,.0f} s, and has {short:,g} s",
            hint=f"leave out seconds= or give {batches.window:,.0f} or more, or use lane='live'",
        )
    if strict is not None and directory.price_at(model, "batch") is None:
        raise ConfigError(
            f"agent {agent.name!r}: nobody knows what {model.id} costs in a batch, and there is a money budget",
            hint=f"give its price in outlay.toml ('{model.id}@batch'), lane='live', or Budget(allow_unpriced=True)",
        )
