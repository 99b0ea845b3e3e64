"""Runs a flow in forked processes that kill themselves at one event after another, then goes on with what is left.

    kill_child.py STORE_TEMPLATE LOG_FOLDER SEED

For each point one JSON line: what was recorded when the process died, what the next one did, and how it ended.
STORE_TEMPLATE has `{n}` where each point needs a store of its own, or none where they share one.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import random
import signal
import sys
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from outlay import Agent, node, open_store, run, tool
from outlay.events import decode
from outlay.events.records import CallFinished, CallStarted, Event, ToolFinished, ToolStarted
from outlay.patterns import FanOut, Pipeline, Refine, Router
from outlay.testing import Reply, ScriptedModel

LAST = 10**6


def log(path: Path, text: str) -> None:
    """One line that a killed process leaves behind."""
    with open(path, "ab", buffering=0) as file:
        file.write(text.encode() + b"\n")


def flow(calls: Path, mails: Path, seed: int) -> Any:
    """router → fan-out of pipelines → refine → a tool with a side effect; latencies are drawn anew in each process."""
    draw = random.Random(seed)

    def model() -> ScriptedModel:
        async def answer(request: Any) -> Any:
            await asyncio.sleep(draw.random() / 500)
            log(calls, f"{request.path} {request.text[:40]!r}")
            return hashlib.sha256(f"{request.agent} {request.text}".encode()).hexdigest()[:8]

        return ScriptedModel(answer, price=(1, 2))

    async def mailer(request: Any) -> Any:
        await asyncio.sleep(draw.random() / 500)
        if request.messages[-1].role == "tool":
            log(calls, f"{request.path} after the tool")
            return "mailed"
        log(calls, f"{request.path} before the tool")
        return Reply(tool_calls=[("send", {"to": "a@b"}), ("look", {"what": "x"})])

    @tool(side_effect=True)
    def send(to: str) -> str:
        """Send a mail."""
        log(mails, to)
        return "sent"

    @tool
    def look(what: str) -> str:
        """Look something up."""
        return f"{what} found"

    @node
    async def kind(ctx: Any, text: str) -> str:
        await ctx.effect("classify", lambda: len(text))
        return "work"

    line = Pipeline(Agent("draft", model()), Agent("polish", model()), name="line")
    work = Pipeline(
        FanOut(line, split=split, merge=merge),
        Refine(Agent("write", model()), never, max_rounds=2),
        Agent("send", ScriptedModel(mailer, price=(1, 2)), tools=[send, look]),
    )
    return Router(kind, {"work": work}, default=nothing)


def split(text: str) -> list[str]:
    return [f"{text}{i}" for i in range(3)]


def merge(found: list[str]) -> str:
    return " ".join(found)


def never(text: str) -> str:
    return "not yet"


def nothing(text: str) -> str:
    return ""


def in_a_child(work: Callable[[], Any]) -> Any:
    """What `work` gives, done in a forked process; None where that was killed."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            found = json.dumps(work()).encode()
            with open(write, "wb") as file:
                file.write(found)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(write)
    with open(read, "rb") as file:
        said = file.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return None
    assert os.WEXITSTATUS(status) == 0, "see the traceback above"
    return json.loads(said)


def leg(url: str, run_id: str, root: Any, kill_at: int = LAST, answer: str | None = None) -> dict[str, Any]:
    """One leg of the run, killed at its event number `kill_at`."""
    seen = 0

    def count(_: Event) -> None:
        nonlocal seen
        seen += 1
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    async def main() -> dict[str, Any]:
        async with open_store(url) as store:
            on_ask = None if answer is None else (lambda _: answer)
            result = await run(root, "x", store=store, run_id=run_id, on_event=count, on_ask=on_ask)
        bill = result.bill
        return {
            "output": result.output,
            "stop_reason": result.stop_reason,
            "error": str(result.error or ""),
            "pending": [item.kind for item in result.pending],
            "total": str(bill.total),
            "in_doubt": str(bill.in_doubt),
            "events": len(result.events),
        }

    return asyncio.run(main())


def recorded(url: str, run_id: str) -> dict[str, Any]:
    """What a dead process left in the store."""

    async def main() -> dict[str, Any]:
        async with open_store(url) as store:
            events = [decode(row.body) for row in await store.events(run_id)]
        begun = Counter(e.path for e in events if isinstance(e, CallStarted))
        done = Counter(e.path for e in events if isinstance(e, CallFinished))
        tools = {e.key for e in events if isinstance(e, ToolFinished) and not e.error}
        doubt = [e.tool for e in events if isinstance(e, ToolStarted) and e.key not in tools]
        return {"events": len(events), "begun": begun, "done": done, "tools_in_doubt": doubt}

    return asyncio.run(main())


def lines(path: Path) -> Counter[str]:
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def point(template: str, folder: Path, seed: int, n: int) -> dict[str, Any] | None:
    """Kill at event `n`, go on, decide what is in doubt. None where the flow is over before that event."""
    url, run_id = template.format(n=f"{seed}-{n}"), f"run-{seed}-{n}"
    calls, mails = folder / f"calls-{seed}-{n}", folder / f"mails-{seed}-{n}"
    first = in_a_child(lambda: leg(url, run_id, flow(calls, mails, seed), n))
    if first is not None:
        return None
    left = in_a_child(lambda: recorded(url, run_id))
    before, mailed_before = lines(calls), lines(mails).total()
    second = in_a_child(lambda: leg(url, run_id, flow(calls, mails, seed + 1000)))
    again = lines(calls) - before
    mailed_unasked = lines(mails).total()
    last = second
    if second["pending"]:
        last = in_a_child(lambda: leg(url, run_id, flow(calls, mails, seed + 2000), answer="happened"))
    return {
        "n": n,
        "left": left,
        "called_before": before,
        "called_again": again,
        "mailed": [mailed_before, mailed_unasked, lines(mails).total()],
        "second": second,
        "last": last,
    }


def main() -> None:
    template, folder, seed = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    quiet = leg(template.format(n=f"{seed}-quiet"), f"quiet-{seed}", flow(folder / "quiet", folder / "mail", seed))
    print(json.dumps({"quiet": quiet}), flush=True)
    n = 1
    while (found := point(template, folder, seed, n)) is not None:
        print(json.dumps(found), flush=True)
        n += 1


main()
