"""Steps whose output is not what the next one takes."""

from __future__ import annotations

from collections.abc import Iterator

from outlay.advice.fitting import fits, shown
from outlay.advice.handoffs import passages
from outlay.advice.rule import Rule, Sight
from outlay.advice.survey import Survey


def look(survey: Survey) -> Iterator[Sight]:
    for node in survey.nodes:
        for passage in passages(node):
            wanted = passage.taker.input_type
            if wanted is None or passage.given is None or fits(passage.given, wanted):
                continue
            given = shown(passage.given)
            what = f"{passage.giver} gives {given}, and {passage.taker.name} takes {shown(wanted)}"
            change = f"let {passage.taker.name} take {given}"
            if passage.author is not None:
                change += f", or {passage.author.name}: output_type={shown(wanted)}"
            yield Sight((passage.taker.name,), what, change)


RULE = Rule(
    "handoff-types",
    "an output type that does not fit the next step's input type",
    ("reliability",),
    "it fails at run time, after the steps before it were paid for",
    look,
)
