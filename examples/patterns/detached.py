"""A detached node: the customer has an answer at once, the quality log is written beside it and delays nobody.

Offline the agents are programs; the reviewer takes 0.5 s, the answer 0.1 s. What the reviewer costs is on the bill.
"""

import asyncio

from outlay import Agent, RunContext, node, run_sync
from outlay.patterns import Detached, Pipeline

MODEL = "anthropic:claude-haiku-4-5"


async def reply(request):
    await asyncio.sleep(0.1)
    return "We open at nine." if "open" in request.text else "We do not know."


async def review(request):
    await asyncio.sleep(0.5)
    return "helpful" if "nine" in request.text else "no help"


answer = Agent("answer", MODEL, instructions="Answer the customer.", offline=reply)
reviewer = Agent("reviewer", MODEL, instructions="Was that helpful?", offline=review)


@node(children=(reviewer,))
async def log(ctx: RunContext, text: str) -> None:
    ctx.emit("review", answer=text, verdict=await ctx.run(reviewer, text))


@node
async def send(ctx: RunContext, text: str) -> str:
    ctx.emit("sent", text=text)
    return text


flow = Pipeline(answer, Detached(log), send, name="shop")

if __name__ == "__main__":
    result = run_sync(flow, "When do you open?", models="offline")
    for event in result.events:
        if event.path and type(event).__name__ in ("Emitted", "NodeFinished"):
            print(f"{event.time - result.events[0].time:5.2f} s  {type(event).__name__:12} {event.path}")
    print(result.output, result.bill, sep="\n\n")
