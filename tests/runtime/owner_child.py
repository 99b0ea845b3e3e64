"""A process that works on a run: `owner_child.py STORE RUN LOG`. It says on stdout how it ended."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from outlay import Agent, RunContext, node, open_store, run
from outlay.errors import Conflict, OutlayError
from outlay.testing import ScriptedModel


def flow(log: Path, pause: float = 0.0) -> Any:
    """Twenty effects, each with a line in the log, then an agent."""
    agent = Agent("a", ScriptedModel(lambda request: f"said {request.text}"))

    def write(n: int) -> int:
        with open(log, "ab", buffering=0) as file:
            file.write(f"{n}\n".encode())
        return n

    @node(name="work", children=(agent,))
    async def work(ctx: RunContext, text: str) -> str:
        total = 0
        for n in range(20):
            total += await ctx.effect("write", write, n)
            await asyncio.sleep(pause)
        return await ctx.run(agent, f"{total}")

    return work


async def main(store: str, run_id: str, log: str) -> None:
    async with open_store(store) as opened:
        try:
            result = await run(flow(Path(log), 0.02), "x", store=opened, run_id=run_id)
        except Conflict as refused:
            print("refused", refused.message, refused.hint, sep="|", flush=True)
            return
        error: BaseException | None = result.error
        print(result.stop_reason, type(error).__name__, result.output, sep="|", flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main(*sys.argv[1:]))
    except OutlayError as error:
        print("raised", type(error).__name__, error.message, sep="|", flush=True)
