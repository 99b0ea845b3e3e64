"""A process of its own for the tests of windows: `window_child.py ADDRESS CALLS CENTS [hang|again]`.

Calls cost one cent of the four that they reserve; it prints how many cents its bill says.
"""

import asyncio
import sys
from typing import Any

from outlay import Agent, Budget, Usage, run
from outlay.patterns import FanOut
from outlay.testing import Reply, ScriptedModel


async def answer(request: Any) -> Reply:
    if "hang" in sys.argv and request.text == "1":
        print("ready", flush=True)
        await asyncio.sleep(60)
    await asyncio.sleep(0.002)
    return Reply("yes", usage=Usage(output_tokens=100))


async def main(address: str, calls: str, cents: str) -> None:
    model = ScriptedModel(answer, price=(0, 100))
    flow = FanOut(Agent("a", model, max_output_tokens=400, min_output_tokens=400), max_parallel=8)
    budget = Budget(usd=f"{int(cents) / 100}", scope="all", per="month")
    options: Any = {"run_id": "hangs"} if len(sys.argv) > 4 else {}
    result = await run(flow, [str(i) for i in range(int(calls))], store=address, budget=budget, **options)
    print(int(result.bill.at_least * 100), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
