"""Sessions: a conversation over several runs in the store."""

from __future__ import annotations

import asyncio
import itertools
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from crash import go
from flows import at_once

from outlay import Agent, Budget, RunContext, fork, node, run, stream, tool
from outlay.errors import ConfigError, Conflict, DeadlineExceeded, JournalMismatch
from outlay.events import RunFinished, decode
from outlay.patterns import FanOut, Pipeline, Refine
from outlay.protocols.documents import Change
from outlay.runtime.conversations import PAGE
from outlay.runtime.session import COLLECTION
from outlay.stores import open_store
from outlay.stores.memory import MemoryStore
from outlay.testing import Reply, ScriptedModel
from outlay.values.content import ProviderBlock, Text
from outlay.values.label import Integrity, Labelled, untrusted
from outlay.values.message import Message
from outlay.values.request import ModelResponse
from outlay.values.usage import Usage


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outlay.db"


def counting(latency: float = 0.0) -> ScriptedModel:
    """Says what it was asked, and after how many messages."""
    return ScriptedModel(lambda r: f"{r.text}:{len(r.messages)}", latency=latency)


def chat(latency: float = 0.0, **options: Any) -> Agent[str]:
    return Agent("chat", counting(latency), **options)


def say(text: Any, store: Any, **options: Any) -> Any:
    return at_once(run(options.pop("flow", None) or chat(), text, store=store, session="s", **options))


def said(result: Any) -> list[str]:
    return [message.text for message in result.transcript]


# ── a conversation ────────────────────────────────────────────────────────────────────────────────────────


def test_the_next_run_goes_on_with_the_conversation() -> None:
    """The root agent sees what was said; the result's transcript holds it all."""
    store = MemoryStore()
    assert say("a", store).output == "a:1"
    assert say("b", store).output == "b:3"
    third = say("c", store)
    assert third.output == "c:5"
    assert said(third) == ["a", "a:1", "b", "b:3", "c", "c:5"]


def test_sessions_do_not_meet() -> None:
    """Another id is another conversation, and a run without a session sees none."""
    store = MemoryStore()
    say("a", store)
    assert at_once(run(chat(), "b", store=store, session="other")).output == "b:1"
    assert at_once(run(chat(), "b", store=store)).output == "b:1"


async def test_a_restarted_process_goes_on(path: Path) -> None:
    """The conversation is in the store, and nowhere else."""
    for text, messages in (("a", 1), ("b", 3)):
        result = await run(chat(), text, store=str(path), session="s")
        assert result.output == f"{text}:{messages}"


def test_agents_below_the_root_remember_each_in_its_place() -> None:
    """`history=True` remembers, others start afresh; two places are two conversations."""
    store = MemoryStore()
    model = counting()
    flow = FanOut([Agent("old", model, history=True), Agent("older", model, history=True), Agent("new", model)])
    say("a", store, flow=flow)
    assert say("b", store, flow=flow).output == {"old": "b:3", "older": "b:3", "new": "b:1"}


def test_visits_of_one_agent_in_one_run_all_stay() -> None:
    """They run at once and see what was there before; the next run sees the turns of all, in the order they ended."""
    store = MemoryStore()
    model = ScriptedModel(lambda r: ",".join(m.text for m in r.messages if m.role == "user"), latency=1)
    flow = FanOut(Agent("old", model, history=True))
    say(["a", "b"], store, flow=flow)
    assert say(["c"], store, flow=flow).output == ["a,b,c"]


def test_a_refined_draft_is_one_conversation() -> None:
    """The second round goes on in the first one's transcript, and nothing is kept twice."""
    store = MemoryStore()

    def critic(text: str) -> str | None:
        return None if text.endswith(("3", "7")) else "again"

    flow = Refine(chat(history=True), critic)
    assert say("a", store, flow=flow).output.endswith(":3")
    result = say("b", store, flow=flow)
    assert result.output.endswith(":7")
    assert said(result)[0] == "a"
    assert len(result.transcript) == 8


def test_what_only_the_provider_understands_is_kept() -> None:
    """Signed thinking goes back to the provider in the next run, byte for byte."""
    store = MemoryStore()
    block = ProviderBlock("anthropic", "thinking", '{"signature":"xyz"}', "hm")
    seen: list[Any] = []

    class Thinking(ScriptedModel):
        async def send(self, request: Any, transport: Any, on_text: Any = None) -> ModelResponse:
            seen.append(request.messages)
            return ModelResponse(Message("assistant", (block, Text("yes"))), "end", Usage(1, 0, 0, 1), "m")

    flow = Agent("chat", Thinking([]))
    say("a", store, flow=flow)
    say("b", store, flow=flow)
    assert seen[1][1].parts == (block, Text("yes"))


def test_labels_of_what_was_said_survive() -> None:
    """What was untrusted in one run is untrusted in the next, and so is what follows from it."""
    store = MemoryStore()
    at_once(run(chat(), Labelled("a", untrusted("mail")), store=store, session="s"))
    labels: list[Any] = []

    @node
    async def look(ctx: RunContext, _: str) -> None:
        before = ctx.label
        await ctx.run(remembers, "b")
        labels.extend([before.integrity, ctx.label.integrity])

    remembers = chat(history=True)
    at_once(run(look, Labelled("a", untrusted("mail")), store=store, session="t"))
    labels.clear()
    at_once(run(look, "b", store=store, session="t"))
    assert labels == [Integrity.TRUSTED, Integrity.UNTRUSTED]
    result = say("b", store)
    assert [m.label.integrity for m in result.transcript][::2] == [Integrity.UNTRUSTED, Integrity.TRUSTED]


def test_it_grows_by_what_is_said() -> None:
    """100 turns of two messages of a kilobyte: at most 4 KB a message, from first to last; and it reads back whole."""
    store = MemoryStore()
    model = ScriptedModel(lambda r: "y" * 1000)

    def size() -> int:
        return sum(map(len, store._blobs.values()))  # pyright: ignore[reportPrivateUsage]

    sizes = [0]
    for turn in range(100):
        store._runs.clear()  # pyright: ignore[reportPrivateUsage]
        say(f"{turn} " + "x" * 1000, store, flow=Agent("chat", model))
        sizes.append(size())
    steps = [after - before for before, after in itertools.pairwise(sizes)]
    assert max(steps) < 2 * 4096
    assert sum(steps[75:]) < 1.1 * sum(steps[:25]) + 25 * 16 * PAGE
    assert len(say("last", store, flow=Agent("chat", model)).transcript) == 202


# ── which turns count ─────────────────────────────────────────────────────────────────────────────────────


def test_a_run_that_failed_leaves_nothing_in_the_conversation() -> None:
    """No question without an answer, and no half of a tool exchange."""
    store = MemoryStore()
    say("a", store)

    @tool
    def broken(x: int) -> str:
        """Breaks."""
        raise ValueError("no")

    calls = ScriptedModel(lambda r: Reply(tool_calls=[("broken", {"x": 1})]))
    failed = say("b", store, flow=Agent("chat", calls, tools=[broken]))
    assert failed.stop_reason == "error"
    assert say("c", store).output == "c:3"


def test_a_run_that_was_stopped_without_an_output_leaves_nothing_either() -> None:
    """A budget stop before the answer is no turn; resumed with more, it is."""
    store = MemoryStore()
    dear = Agent("chat", ScriptedModel(["yes"], price=(0, 100)))
    stopped = say("a", store, flow=dear, run_id="r", budget=Budget(usd="0.000001"))
    assert stopped.stop_reason == "budget"
    assert say("b", store).output == "b:1"
    resumed = at_once(run(dear, "a", store=store, run_id="r", budget=Budget(usd=1)))
    assert said(resumed) == ["a", "yes"]
    assert said(say("c", store)) == ["b", "b:1", "a", "yes", "c", "c:5"]


def test_a_cancelled_run_leaves_nothing_and_frees_the_session() -> None:
    """The next one need not wait."""
    store = MemoryStore()

    async def main() -> Any:
        task = asyncio.create_task(run(chat(latency=9), "a", store=store, session="s"))
        await asyncio.sleep(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        before = asyncio.get_running_loop().time()
        result = await run(chat(), "b", store=store, session="s")
        return result.output, asyncio.get_running_loop().time() - before

    assert at_once(main()) == ("b:1", 0)


# ── resume and fork ───────────────────────────────────────────────────────────────────────────────────────


def test_a_crash_after_any_event_adds_the_turn_once() -> None:
    """The resumed run sees the history that it began with and pays nothing twice; the conversation has its turn once.

    Where the crash came after the run's end, the next run of the session finds the turn although nobody wrote it to
    the session.
    """
    flow = Pipeline(chat(history=True), Agent("other", counting()))
    whole = MemoryStore()
    go(flow, "x", whole, session="s")
    go(flow, "a", whole, session="s", run_id="second")
    events = list(whole._runs["second"].values())  # pyright: ignore[reportPrivateUsage]
    for length in range(1, len(events) + 1):
        left = _crashed_in_session(whole, "second", length)
        after = go(flow, "a", left, run_id="second")
        assert after.output == "a:3:1"
        third = go(flow, "z", left, run_id="third", session="s")
        assert said(third) == ["x", "x:1", "a", "a:3", "z", "z:5"], length


def _crashed_in_session(whole: MemoryStore, run_id: str, length: int) -> MemoryStore:
    """The store as a crash of this run after `length` events left it, its process still in the session's document."""
    left = MemoryStore()
    left._blobs.update(whole._blobs)  # pyright: ignore[reportPrivateUsage]
    first = list(whole._runs["r"].values())  # pyright: ignore[reportPrivateUsage]
    left.append(first)
    left.append(list(whole._runs[run_id].values())[:length])  # pyright: ignore[reportPrivateUsage]
    ended = decode(first[-1].body)
    assert isinstance(ended, RunFinished)
    tips = ended.conversation
    holder = {"owner": "elsewhere:1:2:3", "run": run_id, "since": 0, "token": "gone"}
    body = json.dumps({"holder": holder, "tips": tips}).encode()
    with asyncio.Runner() as runner:
        runner.run(left.commit((Change(COLLECTION, "s", body, 0),)))
    return left


def test_a_resumed_run_sees_the_history_that_it_began_with() -> None:
    """And its turn stands behind those that came meanwhile."""
    store = MemoryStore()
    go(chat(), "a", store, session="s", run_id="first")
    down = Agent("chat", ScriptedModel([ValueError("down")]))
    assert go(down, "b", store, session="s", run_id="second").stop_reason == "error"
    go(chat(), "c", store, session="s", run_id="third")
    assert go(chat(), "b", store, run_id="second").output == "b:3"
    assert said(say("d", store)) == ["a", "a:1", "c", "c:3", "b", "b:3", "d", "d:7"]


def test_a_finished_run_gives_what_it_gave_and_adds_nothing() -> None:
    """Asked for again, also after the conversation has gone on."""
    store = MemoryStore()
    for text in "ab":
        go(chat(), text, store, session="s", run_id=text)
    again = go(chat(), "a", store, session="s", run_id="a")
    assert (again.output, said(again)) == ("a:1", ["a", "a:1"])
    assert said(say("c", store)) == ["a", "a:1", "b", "b:3", "c", "c:5"]


def test_a_run_stays_in_the_session_that_it_was_begun_in() -> None:
    """Under another one it would see another history."""
    store = MemoryStore()
    go(chat(), "a", store, session="s")
    with pytest.raises(JournalMismatch, match="begun in session 's'"):
        go(chat(), "a", store, session="t")


def test_a_fork_has_the_history_and_leaves_the_conversation_alone() -> None:
    """What would it have said? Nobody else hears it; and the fork of a fork has it too."""
    store = MemoryStore()
    go(chat(), "a", store, session="s", run_id="first")
    go(chat(), "b", store, session="s", run_id="second")

    async def main() -> Any:
        other = await fork("second", chat(), store=store, at="chat", input="B", fork_id="third")
        return other, await fork("third", chat(), store=store, input="BB")

    one, two = at_once(main())
    assert (one.output, two.output) == ("B:3", "BB:3")
    assert say("c", store).output == "c:5"


# ── one at a time ─────────────────────────────────────────────────────────────────────────────────────────


def test_a_second_run_waits_for_the_first_in_the_order_of_asking() -> None:
    """Five at once are five turns one after the other; of another session, nobody waits."""
    store = MemoryStore()

    async def main() -> Any:
        turns = [run(chat(latency=1), str(i), store=store, session="s") for i in range(5)]
        others = [run(chat(latency=1), str(i), store=store, session=f"t{i}") for i in range(5)]
        loop = asyncio.get_running_loop()
        await asyncio.gather(*others)
        after_others = loop.time()
        found = await asyncio.gather(*turns)
        return after_others, loop.time(), [result.output for result in found]

    others, end, outputs = at_once(main())
    assert (others, end) == (1, 6)
    assert outputs == ["0:1", "1:3", "2:5", "3:7", "4:9"]


def test_waiting_counts_against_the_time_budget() -> None:
    """It ends as a deadline, nothing is spent, and the session is as it was; in time, the rest is what is left."""
    store = MemoryStore()

    async def main() -> Any:
        long = asyncio.create_task(run(chat(latency=10), "a", store=store, session="s"))
        await asyncio.sleep(0)
        waits = [
            asyncio.create_task(run(chat(latency=3), "b", store=store, session="s", budget=Budget(seconds=seconds)))
            for seconds in (4, 12, 20)
        ]
        short, cut, enough = await asyncio.gather(*waits)
        await long
        return short, cut, enough

    short, cut, enough = at_once(main())
    assert (short.stop_reason, short.seconds, short.events) == ("deadline", 4, ())
    assert isinstance(short.error, DeadlineExceeded)
    assert cut.stop_reason == "deadline"
    assert enough.output == "b:3"


def test_a_run_in_a_run_of_the_same_session_is_refused() -> None:
    """It would wait for itself."""
    store = MemoryStore()

    @node
    async def outer(ctx: RunContext, text: str) -> Any:
        return (await run(chat(), text, store=store, session="s")).output

    with pytest.raises(ConfigError, match="wait for itself"):
        at_once(run(outer, "a", store=store, session="s"))


def test_a_process_that_was_thought_dead_does_not_overwrite_the_conversation() -> None:
    """Its answer stands, and the result says that it is no turn."""
    store = MemoryStore()

    async def main() -> Any:
        async def meanwhile() -> None:
            await asyncio.sleep(1)
            await store.commit((Change(COLLECTION, "s", b'{"holder":null,"tips":{}}', None),))
            await run(chat(), "b", store=store.__class__(), session="s")

        result, _ = await asyncio.gather(run(chat(latency=2), "a", store=store, session="s"), meanwhile())
        return result

    result = at_once(main())
    assert isinstance(result.error, Conflict)
    assert (result.output, result.degraded) == ("a:1", True)


async def test_two_addresses_of_one_file_are_one_session(path: Path) -> None:
    """Two stores in one process do not know of each other, and wait all the same."""
    found = await asyncio.gather(*(run(chat(), str(i), store=str(path), session="s") for i in range(3)))
    assert sorted(result.output.partition(":")[2] for result in found) == ["1", "3", "5"]


CHILD = """
import asyncio, sys
from outlay import Agent, run
from outlay.testing import ScriptedModel

async def answer(request):
    if sys.argv[2] == "hang":
        print("ready", flush=True)
        await asyncio.sleep(60)
    return f"{request.text}:{len(request.messages)}"

async def main():
    for i in range(int(sys.argv[3])):
        result = await run(Agent("chat", ScriptedModel(answer)), sys.argv[2], store=sys.argv[1], session="s")
        print(result.unwrap(), flush=True)

asyncio.run(main())
"""


def child(path: Path, name: str, times: int = 1) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(path), name, str(times)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


async def test_processes_take_turns_and_a_dead_one_frees_the_session_at_once(path: Path) -> None:
    """Two processes of six turns each, while a third that held the session is killed: twelve turns, none lost."""
    dead = child(path, "hang")
    assert dead.stdout is not None
    assert dead.stdout.readline() == "ready\n"
    dead.kill()
    dead.communicate()
    began = time.monotonic()
    lines = [line for one in [child(path, name, 6) for name in "ab"] for line in one.communicate()[0].split()]
    assert time.monotonic() - began < 12  # no lease had to run out
    assert sorted(int(line.partition(":")[2]) for line in lines) == list(range(1, 25, 2))
    async with open_store(str(path)) as store:
        assert len(await store.events(kinds=("run_finished",))) == 12


# ── misuse ────────────────────────────────────────────────────────────────────────────────────────────────


def test_what_cannot_work_is_refused_before_anything_is_spent() -> None:
    """No store, two conversations, nobody who would remember, no name."""
    store = MemoryStore()
    model = counting()
    with pytest.raises(ConfigError, match="needs a store"):
        at_once(run(chat(), "a", session="s"))
    with pytest.raises(ConfigError, match="two conversations"):
        say("a", store, history=say("a", store).transcript)
    with pytest.raises(ConfigError, match="would remember"):
        say("a", store, flow=Pipeline(Agent("a", model), Agent("b", model)))
    for bad in ("", "x" * 201, "a\nb", 7):
        with pytest.raises(ConfigError, match="not allowed"):
            at_once(run(chat(), "a", store=store, session=bad))  # type: ignore[arg-type]
    assert len(model.calls) == 0


def test_a_damaged_conversation_is_refused() -> None:
    """Nothing goes on from a gap."""
    store = MemoryStore()
    say("a", store)
    finished = next(e for e in at_once(_events(store)) if isinstance(e, RunFinished))
    (tip,) = finished.conversation.values()
    del store._blobs[bytes.fromhex(tip)]  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(JournalMismatch, match="is not in the store"):
        say("b", store)
    store._blobs[bytes.fromhex(tip)] = b"x" * 32  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(JournalMismatch, match="is not what was written"):
        say("b", store)


async def _events(store: MemoryStore) -> list[Any]:
    return [decode(row.body) for row in await store.events()]


def test_a_stream_is_a_turn_too() -> None:
    """`stream(…, session=)`."""
    store = MemoryStore()

    async def main() -> Any:
        async with stream(chat(), "a", store=store, session="s") as s:
            text = "".join([piece async for piece in s.text()])
        return text, (await run(chat(), "b", store=store, session="s")).output

    assert at_once(main()) == ("a:1", "b:3")
