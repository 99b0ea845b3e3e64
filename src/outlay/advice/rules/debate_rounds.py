"""Debates that go on after they have changed what they will change."""

from __future__ import annotations

from collections.abc import Iterator

from outlay.advice.rule import Rule, Sight
from outlay.advice.survey import Survey
from outlay.patterns.debate import Debate

MOST_ROUNDS = 2


def look(survey: Survey) -> Iterator[Sight]:
    for node in survey.nodes:
        if isinstance(node, Debate) and node.max_rounds > MOST_ROUNDS:
            members = len(node.debaters)
            calls, enough = (members * (1 + rounds) + rounds + 1 for rounds in (node.max_rounds, MOST_ROUNDS))
            what = f"{node.name}: {members} debaters, up to {node.max_rounds} rounds: {calls} calls, {enough} with two"
            yield Sight(
                (node.name,), what, f"Debate(…, max_rounds={MOST_ROUNDS}); `outlay compare` says what a third adds"
            )


RULE = Rule(
    "debate-rounds",
    "a debate over two rounds",
    ("money", "latency"),
    "each round asks every debater again with a transcript that has grown; minds change early or not at all",
    look,
)
