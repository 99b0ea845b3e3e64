"""Examples out of a store: what an agent was asked and what it answered, as its runs recorded it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from outlay.events.codec import decode
from outlay.events.records import CallFinished, CallStarted
from outlay.protocols.store import Store
from outlay.routing.distil.examples import Example, output_of
from outlay.routing.turns import Turn, first_turns


@dataclass(frozen=True, slots=True)
class Recorded:
    """`examples` in the order of their answers. `left_out` counts answers by why they are none. `calls`, `cost` in US
    dollars (None where one is unknown) and `days` are those of all calls of the agent; `teacher` is the model that
    answered most."""

    examples: Sequence[Example]
    left_out: Mapping[str, int]
    calls: int
    cost: Decimal | None
    days: float
    teacher: str


async def recorded_examples(store: Store, agent: str) -> Recorded:
    """The answers of `agent` that stood: the last call of each of its places in a run, where that call began the
    conversation (a correction says that the one before was wrong) and a person could have sent what it was asked."""
    begun: dict[tuple[str, str, str, int], CallStarted] = {}
    last: dict[tuple[str, str], tuple[CallFinished, CallStarted | None]] = {}
    models: dict[str, int] = {}
    calls, cost, times = 0, Decimal(0), (0.0, 0.0)
    unknown = False
    for row in await store.events(None, ("call_started", "call_finished")):
        event = decode(row.body)
        if not isinstance(event, CallStarted | CallFinished) or event.agent != agent:
            continue
        place = event.run, event.path, event.key, event.attempt
        if isinstance(event, CallStarted):
            begun[place] = event
            continue
        calls += 1
        times = (times[0] or event.time, event.time)
        unknown = unknown or event.cost is None
        cost += event.cost or 0
        if event.purpose != "gate" and not event.model.startswith("student:"):
            models[event.model] = models.get(event.model, 0) + 1
            last[event.run, event.path] = event, begun.get(place)
    left_out: dict[str, int] = {}
    wanted: list[tuple[CallFinished, CallStarted]] = []
    for event, started in last.values():
        if event.stop != "end":
            left_out[f"ended with {event.stop or 'nothing'}"] = (
                left_out.get(f"ended with {event.stop or 'nothing'}", 0) + 1
            )
        elif started is None:
            left_out["begun elsewhere"] = left_out.get("begun elsewhere", 0) + 1
        else:
            wanted.append((event, started))
    examples: list[Example] = []
    turns = await first_turns(store, [(started.head, event.head) for event, started in wanted])
    for (_, started), turn in zip(wanted, turns, strict=True):
        found = turn if isinstance(turn, str) else _example(turn)
        if isinstance(found, str):
            left_out[found] = left_out.get(found, 0) + 1
        else:
            examples.append(Example(found[0], found[1], started.prelude))
    teacher = max(models, key=lambda model: models[model], default="")
    days = (times[1] - times[0]) / 86_400
    return Recorded(examples, left_out, calls, None if unknown else cost, days, teacher)


def _example(turn: Turn) -> tuple[str, dict[str, Any]] | str:
    """The text asked and the answer by field, or why there is none."""
    said = turn.said
    try:
        answer = json.loads(said) if said.lstrip()[:1] == "{" else said
    except (ValueError, RecursionError):
        return "not JSON"
    output = output_of(answer)
    return "something nested in the answer" if output is None else (turn.asked, output)
