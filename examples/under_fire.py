"""Forty bad minutes at a help desk, on virtual time: a search that goes down, a model that is slow now and then and
gone in the end, an agent that is stuck. Each time the flow does what it has declared, and says so in an event.

    python examples/under_fire.py
"""

import asyncio

from outlay import Agent, Breaker, Budget, Tool, Usage, Watchdog, node, open_store, run, run_sync
from outlay.errors import Overloaded
from outlay.events import Decision, Skipped
from outlay.testing import Reply, ScriptedModel, virtual_time

CENT = Usage(output_tokens=100)  # at $100 for a million
TOPICS = ["cards", "refunds", "login"]


def minute():
    return asyncio.get_running_loop().time() / 60


async def find(topic: str) -> str:
    """Find a help article."""
    if minute() >= 10:
        raise ConnectionError("no route to the search")
    return f"the article on {topic}"


async def answer(request):
    """Asks for an article, and answers from it; every twelfth minute slowly, and from the thirtieth on not at all."""
    if minute() >= 30:
        raise Overloaded("the provider is down", retryable=False)
    if request.messages[-1].role != "tool":
        return Reply("", tool_calls=[("find", {"topic": request.text})], usage=CENT)
    await asyncio.sleep(30 if int(minute()) % 12 == 7 and minute() % 1 < 0.05 else 1)
    return Reply(f"From {request.messages[-1].parts[0].content}.", usage=CENT)


def circle(request):
    return Reply("", tool_calls=[("find", {"topic": "everything"})], usage=CENT)


search = Tool("find", find, breaker=Breaker(failures=3, probe=300), when_down="what I remember: the search is down")
limits = {"tools": [search], "max_output_tokens": 100}
desk = Agent("desk", ScriptedModel(answer, name="model", price=(0, 100)), hedge=4, stale_answers=7200, **limits)
stuck = Agent("stuck", ScriptedModel(circle, name="circle", price=(0, 100)), max_turns=99, **limits)


@node
async def shift(ctx, minutes: int) -> list[str]:
    """A customer a minute; the last one gets the agent that never comes to an end."""
    lines = []
    async with open_store(":memory:") as store:
        for number in range(minutes):
            flow = desk if number < minutes - 1 else stuck
            budget, dog = Budget(usd="0.20"), Watchdog(same_call=5, then="stop")
            topic = TOPICS[number % len(TOPICS)]
            result = await run(flow, topic, store=store, budget=budget, watchdog=dog)
            said = [e.about for e in result.events if isinstance(e, Decision) and e.about in ("hedge", "tool_down")]
            said += [e.reason for e in result.events if isinstance(e, Skipped)]
            text = result.output or f"stopped by the {result.stop_reason}"
            cost = f"${result.bill.at_least:.2f} + ${result.bill.in_doubt:.2f} in doubt"
            lines.append(f"{number:2}  {result.seconds:4.1f} s  {cost}  {text}  {', '.join(dict.fromkeys(said))}")
            await ctx.sleep(60 - result.seconds)
    return lines


def main(minutes=40):
    with virtual_time():
        lines = run_sync(shift, minutes).unwrap()
    print(*lines, sep="\n")
    return lines


if __name__ == "__main__":
    main()
