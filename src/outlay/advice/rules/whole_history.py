"""Whole conversations that are handed on, where a task and a result would do."""

from __future__ import annotations

from collections.abc import Iterator

from outlay.advice.rule import Rule, Sight
from outlay.advice.survey import Survey
from outlay.patterns.mesh import Mesh
from outlay.patterns.roundrobin import RoundRobin

#: A talk of more turns than this reads each of them so often that somebody should sum it up.
LONG_TALK = 20


def look(survey: Survey) -> Iterator[Sight]:
    for node in survey.nodes:
        if isinstance(node, Mesh) and node.history:
            what = (
                f"each handoff of {node.name} carries the sender's whole conversation, up to {node.max_handoffs} times"
            )
            yield Sight(
                (node.name,), what, "Mesh(…, history=False): task and artifact go along, Handoff(to, task, artifact)"
            )
        if isinstance(node, RoundRobin) and node.max_turns > LONG_TALK:
            read = node.max_turns * (node.max_turns - 1) // 2
            what = f"each of {node.max_turns} turns reads all before it: {read:,} turns are read in all"
            yield Sight(
                (node.name,), what, f"RoundRobin(…, max_turns={LONG_TALK}), or several talks with a summary between"
            )


RULE = Rule(
    "whole-history",
    "the whole history is handed on",
    ("money", "latency", "reliability"),
    "every token of it is paid again by each who reads it, and what matters drowns in it",
    look,
)
