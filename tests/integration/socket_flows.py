"""Random flows for a provider behind a real socket, and a process that runs one and is killed while it does.

    socket_flows.py STORE SEED URL LOG

Forks a process that runs the seed's flow, kills it with SIGKILL after a drawn time, and has another go on, until one
is left in peace. What tools did is in LOG, a line for each.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, NoReturn

from outlay import Agent, Budget, Result, RunContext, open_store, run
from outlay.agents.tool import Tool
from outlay.checkers import length
from outlay.emulator import EmulatedReply, EmulatedRequest, Fault, Faults, ToolCall
from outlay.models import Anthropic, OpenAI
from outlay.patterns import FanOut, Pipeline, Plan, Refine, Supervisor, Task, Vote
from outlay.protocols.transport import Timeouts
from outlay.runtime.asking import HAPPENED
from outlay.runtime.directory import default_prices

RUN = "over-sockets"
#: Seconds, so that what hangs is over soon.
TIMEOUTS = Timeouts(connect=5.0, first_byte=0.4, silence=0.4, total=1.5)
#: Those that make nobody wait for long.
RETRY_AFTER = (None, "0", "-1", "NaN", "inf", "soon", "", "3600", "Thu, 01 Jan 1970 00:00:00 GMT", "1e400")
KINDS: tuple[Fault | int, ...] = (
    529,
    500,
    Fault.timeout(),
    Fault.timeout(billed=True),
    Fault.reset(),
    Fault.reset(billed=True),
    Fault.html(200),
    Fault.not_json(),
    Fault.truncated(),
    Fault.half_stream(ending="cut"),
    Fault.half_stream(ending="clean"),
    Fault.half_stream(ending="hang"),
    Fault.error_event(),
    Fault.drip(0.01),
    Fault.drip(0.1),
    Fault.twice(),
    Fault.extras(),
)


def faults(seed: int) -> Faults:
    """A third of the requests meet something, each kind alike."""
    kinds = [*KINDS, *(Fault.http(429, retry_after=value) for value in RETRY_AFTER)]
    return Faults(rates={kind: 0.35 / len(kinds) for kind in kinds}, seed=seed)


def says(request: EmulatedRequest) -> Any:
    """What the provider answers: a function of what it is asked."""
    if request.schema is not None:
        plan = [{"id": f"t{i}", "worker": "worker", "task": f"do {i}", "depends_on": []} for i in range(3)]
        return {"subtasks": plan, "synthesis_instructions": ""}
    if request.tools and not request.tool_results:
        return EmulatedReply(tool_calls=(ToolCall("look", {"what": "x"}), ToolCall("send", {"to": "a@b"})))
    return f"said {hashlib.sha256(request.text.encode()).hexdigest()[:8]}"


def flow(seed: int, url: str, log: Path) -> Any:
    """Three patterns in a row, drawn from the seed, over one of two providers; half of the seeds stream."""
    draw = Random(f"sockets {seed}")
    options: dict[str, Any] = {"api_key": "k", "timeouts": TIMEOUTS}
    cap = draw.choice([60, 5_000])  # an adapter may stream what is longer
    model: Any = (
        Anthropic("claude-haiku-4-5", base_url=url, **options)
        if draw.random() < 0.5
        else OpenAI("gpt-5.4", base_url=f"{url}/v1", **options)
    )

    async def act(kind: str, key: str) -> str:
        with open(log, "ab", buffering=0) as file:  # noqa: ASYNC230 - one line, on disk before the effect is over
            file.write(f"{kind} {key}\n".encode())
        await asyncio.sleep(0.01)
        return "done"

    async def look(ctx: RunContext[Any], what: str) -> str:
        return await act("look", ctx.idempotency_key)

    async def send(ctx: RunContext[Any], to: str) -> str:
        return await act("send", ctx.idempotency_key)

    def agent(name: str, **more: Any) -> Agent[Any]:
        return Agent(name, model, instructions="Be brief.", max_output_tokens=cap, **more)

    def many() -> Any:
        return FanOut(agent("each"), lambda text: [f"{text} {i}" for i in range(8)], " ".join, name="many")

    def crew() -> Any:
        def asked(task: Task) -> str:
            return task.task

        worker = agent("worker", prompt=asked, description="Works.")
        return Supervisor(agent("planner", output_type=Plan), [worker], agent("writer"), name="crew")

    def voted() -> Any:
        return Vote(agent("voter"), 3, name="voted")

    def refined() -> Any:
        return Refine(agent("drafter"), length(max_chars=100), name="refined")

    def acting() -> Any:
        tools = [Tool("look", look, "Looks."), Tool("send", send, "Sends.", side_effect=True)]
        return agent("actor", tools=tools)

    first, second, third = draw.sample([many, crew, voted, refined, acting], 3)
    return Pipeline(first().replace(optional=True), second().replace(optional=True), third(), name="flow")


def budget(seed: int) -> Budget | None:
    """Enough, or not."""
    return Random(f"budget {seed}").choice(
        [None, Budget(usd="1"), Budget(usd="0.1"), Budget(usd="0.01"), Budget(calls=9), Budget(usd="0.5", seconds=20)]
    )


async def play(
    seed: int, url: str, log: Path, store: str | None = None, on_event: Callable[[Any], None] | None = None
) -> Result[Any]:
    """One leg; a human is there, and says of what is in doubt that it happened."""

    def decides(item: Any) -> str:
        return HAPPENED if item.kind == "in_doubt" else "approve"

    options: dict[str, Any] = {"budget": budget(seed), "on_alert": lambda alert: None, "on_ask": decides, "seed": seed}
    if Random(f"listener {seed}").random() < 0.5 or on_event is not None:
        options["on_event"] = on_event or (lambda event: None)  # who listens is told of each token
    if store is None:
        return await run(flow(seed, url, log), "a question", **options)
    async with open_store(store) as opened:
        return await run(flow(seed, url, log), "a question", store=opened, run_id=RUN, **options)


def main(store: str, seed: int, url: str, log: Path) -> None:
    """Legs that are killed some time after they began, and one that is not; says on stdout how the last one ended."""
    draw = Random(f"kills {seed}")
    import outlay.models.exchange  # noqa: F401 - it takes aiohttp along, which each leg would wait for

    default_prices().find("anthropic", "claude-haiku-4-5")
    for last in (*([False] * draw.randint(1, 3)), True):
        begins, ends = os.pipe()
        child = os.fork()
        if child == 0:
            _leg(seed, url, log, store, ends, last=last)
        os.close(ends)
        os.read(begins, 1)
        os.close(begins)
        if not last:
            time.sleep(draw.uniform(0.0, 0.5))
            os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _leg(seed: int, url: str, log: Path, store: str, begun: int, *, last: bool) -> NoReturn:
    """In a process of its own; the first event goes to the one that will kill it."""
    told = False

    def listen(event: Any) -> None:
        nonlocal told
        if not told:
            told = True
            os.write(begun, b"!")

    try:
        result = asyncio.run(play(seed, url, log, store, listen))
        if last:
            print(result.stop_reason, flush=True)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
