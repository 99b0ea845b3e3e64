"""Cache writes that nobody will read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from outlay.advice.rule import Rule, Sight
from outlay.advice.survey import Survey
from outlay.agents.agent import Agent
from outlay.patterns.cascade import Cascade
from outlay.patterns.fanout import FanOut
from outlay.patterns.gate import Gate
from outlay.patterns.pipeline import Pipeline
from outlay.patterns.refine import Refine
from outlay.patterns.router import Router
from outlay.patterns.supervisor import Supervisor
from outlay.protocols.node import Node


def look(survey: Survey) -> Iterator[Sight]:
    for agent in survey.agents:
        seen = survey.evidence.fits.get(agent.name)
        if seen is not None and seen.events and seen.cache_write and not seen.cache_read and seen.turns <= 1:
            what = f"{agent.name} wrote to the cache in {seen.events:,} calls and nothing was ever read from it"
            yield Sight((agent.name,), what, f'{agent.name}: cache="off"')
        elif seen is None and _writes_for_nobody(survey, agent):
            what = f'{agent.name} writes its prompt (cache="{agent.cache}") and ends after one turn'
            yield Sight((agent.name,), what, f'{agent.name}: cache="auto", which writes only where a read is expected')


def _writes_for_nobody(survey: Survey, agent: Agent[Any]) -> bool:
    """It is told to write, its provider charges for that, and neither it nor its siblings come back to read."""
    if agent.cache not in ("5m", "1h") or agent.tools or agent.history or survey.runs > 1:
        return False
    models = survey.models(agent)
    price = survey.price(models[0]) if models else None
    if price is None or price.rates.cache_write <= price.rates.input:
        return False
    return survey.root is not agent and not _repeats(survey, agent)


def _repeats(survey: Survey, node: Node[Any, Any]) -> bool:
    """Whether a run may come back to a node, as a member of what runs its members again, or below one."""
    seen: set[int] = set()
    waiting = [(node, parent) for parent in survey.parents(node)]
    while waiting:
        child, parent = waiting.pop()
        if _runs_again(parent, child):
            return True
        if id(parent) not in seen:
            seen.add(id(parent))
            waiting += [(parent, further) for further in survey.parents(parent)]
    return False


def _runs_again(node: Node[Any, Any], child: Node[Any, Any]) -> bool:
    """Whether a node may run this member more than once. A function may, and nobody knows."""
    if isinstance(node, Pipeline | Router | Gate):
        return False
    if isinstance(node, FanOut):
        return child is node.worker
    if isinstance(node, Supervisor):
        return child in node.workers or node.max_rounds > 1
    if isinstance(node, Cascade):
        return node.attempts > 1
    if isinstance(node, Refine):
        return node.max_rounds > 1 and child is not node.fallback
    return True


RULE = Rule(
    "one-turn-cache",
    "one-turn children that write to the prompt cache",
    ("money",),
    "a write costs more than reading the prompt plainly; it pays only if somebody reads it within its life",
    look,
)
