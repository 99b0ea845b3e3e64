"""Races that break off and go on: the same branches come out in the same order, and nothing is paid twice."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from crash import crashed, go, journal
from flows import cents, dear

from outlay import Agent, RunContext, node
from outlay.events import CallStarted
from outlay.events.records import CallFinished
from outlay.patterns import Debate, Hearing, Judgement, Vote
from outlay.stores.memory import MemoryStore


def guesser(seed: int, name: str = "a") -> Agent[str]:
    """Answers and latencies that depend on the seed only: another seed is another day."""
    draw = random.Random(seed)

    async def answer(request: Any) -> Any:
        await asyncio.sleep(draw.random())
        return cents(1, draw.choice("ABC"))

    return Agent(name, dear(answer))


def first_to_three(agent: Agent[str]) -> Any:
    """Seven at once; the block is left as soon as three agree, with calls in flight."""

    @node(children=[agent])
    async def flow(ctx: RunContext, question: str) -> tuple[str, int]:
        said: Counter[str] = Counter()
        async with ctx.race(ctx.run(agent, question, key=str(i)) for i in range(7)) as answers:
            async for answer in answers:
                said[answer] += 1
                if said[answer] == 3:
                    break
        return said.most_common(1)[0][0], said.total()

    return flow


def second(hearing: Hearing) -> Judgement:
    return Judgement(False, list(hearing.rounds[-1].values())[-1])


FLOWS: dict[str, Callable[[int], Any]] = {
    "race": lambda seed: first_to_three(guesser(seed)),
    "vote": lambda seed: Vote(guesser(seed), 7),
    "vote of all": lambda seed: Vote(guesser(seed), 7, early_stop=False),
    "debate": lambda seed: Debate([guesser(seed, "a"), guesser(seed + 1, "b")], second),
}


@pytest.mark.parametrize("kind", FLOWS)
def test_a_run_that_has_done_all_its_calls_gives_the_same_answer_without_another(kind: str) -> None:
    """The last events are lost: the branches are read in the recorded order, so the same ones count (replaying all
    at once gave another winner in 17 of 300 runs, and sent 331 calls again).
    """
    for seed in range(30):
        store = MemoryStore()
        whole = go(FLOWS[kind](seed), "q", store)
        events = journal(store)
        last_call = max(i for i, event in enumerate(events) if isinstance(event, CallFinished))
        left = crashed(store, last_call + 1)
        again = go(FLOWS[kind](seed + 1000), "q", left)
        assert (again.output, again.stop_reason) == (whole.output, "completed")
        assert again.facts == whole.facts
        assert again.bill.total == whole.bill.total
        assert not [e for e in journal(left)[last_call + 1 :] if isinstance(e, CallStarted)]


@pytest.mark.parametrize("kind", FLOWS)
def test_a_crash_after_any_event_repeats_no_finished_call(kind: str) -> None:
    """Whatever the rest says on another day, what was paid for counts and is not asked again."""
    store = MemoryStore()
    go(FLOWS[kind](3), "q", store)
    events = journal(store)
    for length in range(1, len(events)):
        left = crashed(store, length)
        result = go(FLOWS[kind](length + 1000), "q", left)
        assert result.stop_reason == "completed", (length, result.error)
        done = {e.key for e in events[:length] if isinstance(e, CallFinished)}
        assert not done & {e.key for e in journal(left)[length:] if isinstance(e, CallStarted)}, length
