"""A run as one file: what comes out of it elsewhere is the run, and nothing that is not."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from flows import cents, dear

from outlay import Agent, RunContext, fork, node, run
from outlay.analysis.archive import Content, read
from outlay.errors import ConfigError, Conflict, JournalMismatch
from outlay.patterns import FanOut, Pipeline
from outlay.runtime.transfer import export_run, import_run, is_genuine
from outlay.stores.memory import MemoryStore


class Office:
    """A flow of two agents that counts who was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def flow(self, last: str = "b") -> Any:
        return Pipeline(self._agent("a"), FanOut(self._agent(last), split=list, merge="".join), name="line")

    def _agent(self, name: str) -> Agent[str]:
        def answer(request: Any) -> Any:
            self.asked.append(name)
            return cents(1, f"{name}{request.text}")

        return Agent(name, dear(answer))


async def exported(store: MemoryStore, run_id: str = "r", **options: Any) -> bytes:
    file = io.BytesIO()
    await export_run(store, run_id, file, **options)
    return file.getvalue()


async def a_run(office: Office) -> MemoryStore:
    store = MemoryStore()
    await run(office.flow(), "x", store=store, run_id="r")
    return store


def edited(file: bytes, edit: Callable[[list[Any]], Any]) -> bytes:
    """The file with its lines changed by hand, and its end made to fit again."""
    import hashlib

    lines = [json.loads(line) for line in gzip.decompress(file).splitlines()]
    edit(lines)
    total = hashlib.blake2b(digest_size=32)
    body = b""
    for line in lines[:-1]:
        data = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        total.update(data)
        body += data
    events, contents = (sum(kind in line for line in lines) for kind in ("event", "content"))
    end = {"end": {"events": events, "contents": contents, "digest": total.hexdigest()}}
    return gzip.compress(body + json.dumps(end).encode())


async def test_an_imported_run_is_the_run() -> None:
    """Its result is given again for nothing, and a fork of it shares what it paid for."""
    office = Office()
    store, elsewhere = await a_run(office), MemoryStore()
    first = await run(office.flow(), "x", store=store, run_id="r")
    office.asked.clear()
    done = await import_run(elsewhere, io.BytesIO(await exported(store)))
    assert (done.runs, done.new) == (("r",), len(await store.events("r")))
    assert await elsewhere.events("r") == await store.events("r")
    again = await run(office.flow(), "x", store=elsewhere, run_id="r")
    assert (again.output, again.bill.total) == (first.output, first.bill.total)
    forked = await fork("r", office.flow("c"), store=elsewhere)
    assert forked.output == "cacx"
    assert office.asked == ["c", "c"]


async def test_a_run_that_broke_off_goes_on_elsewhere() -> None:
    office, tries = Office(), list[int]()

    @node
    async def fragile(ctx: RunContext, text: str) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("no")
        return text

    flow = Pipeline(office.flow(), fragile)
    store, elsewhere = MemoryStore(), MemoryStore()
    assert (await run(flow, "x", store=store, run_id="r")).stop_reason == "error"
    await import_run(elsewhere, io.BytesIO(await exported(store)))
    paid = len(office.asked)
    assert (await run(flow, "x", store=elsewhere, run_id="r")).output == "babx"
    assert len(office.asked) == paid


async def test_a_fork_brings_what_it_stands_on() -> None:
    office = Office()
    store, elsewhere = await a_run(office), MemoryStore()
    forked = await fork("r", office.flow("c"), store=store, fork_id="f")
    done = await import_run(elsewhere, io.BytesIO(await exported(store, "f")))
    assert done.runs == ("r", "f")
    office.asked.clear()
    assert (await run(office.flow("c"), "x", store=elsewhere, run_id="f")).output == forked.output
    assert office.asked == []


async def test_an_artifact_that_a_run_read_is_in_the_file() -> None:
    @node
    async def work(ctx: RunContext, text: str) -> str:
        await ctx.state.artifacts.put("note.md", text, type="text/x-own")
        found = await ctx.state.artifacts.text("note.md")
        return await ctx.ask(f"{found}?")

    store, elsewhere = MemoryStore(), MemoryStore()
    await run(work, "kept", store=store, run_id="r")
    await import_run(elsewhere, io.BytesIO(await exported(store)))
    assert (await run(work, "kept", store=elsewhere, run_id="r", on_ask=lambda _: "yes")).output == "yes"


async def test_importing_twice_is_harmless_and_a_run_that_went_on_stays() -> None:
    office = Office()
    store, elsewhere = await a_run(office), MemoryStore()
    file = await exported(store)
    await import_run(elsewhere, io.BytesIO(file))
    assert (await import_run(elsewhere, io.BytesIO(file))).new == 0
    assert (await import_run(store, io.BytesIO(file))).new == 0
    half = MemoryStore()
    half.append((await store.events("r"))[:5])  # an import that was killed
    assert (await import_run(half, io.BytesIO(file))).new == len(await store.events("r")) - 5
    assert await half.events("r") == await store.events("r")


async def test_another_run_of_that_id_is_left_as_it_is() -> None:
    office = Office()
    store, elsewhere = await a_run(office), MemoryStore()
    await run(office.flow(), "another", store=elsewhere, run_id="r")
    before = await elsewhere.events()
    with pytest.raises(Conflict, match="run r is in the store already, with another event 0"):
        await import_run(elsewhere, io.BytesIO(await exported(store)))
    assert await elsewhere.events() == before


async def test_without_contents_nothing_that_was_said_is_in_the_file() -> None:
    """It can be billed, and says why it cannot go on."""
    agent = Agent("a", dear(lambda request: cents(1, "an answer to keep quiet about")), instructions="a secret prompt")
    store, elsewhere = MemoryStore(), MemoryStore()
    await run(agent, "a private question", store=store, run_id="r")
    file = await exported(store, contents=False)
    plain = gzip.decompress(file)
    for said in (b"keep quiet", b"secret prompt", b"private question"):
        assert said not in plain
    await import_run(elsewhere, io.BytesIO(file))
    assert (await import_run(elsewhere, io.BytesIO(file))).new == 0
    with pytest.raises(JournalMismatch, match="were pruned"):
        await run(agent, "a private question", store=elsewhere, run_id="r")
    assert (await exported(elsewhere))[:2] == b"\x1f\x8b"  # what is left of it travels on


async def test_the_same_run_gives_the_same_file() -> None:
    store = await a_run(Office())
    assert await exported(store) == await exported(store)


# ── files that are not what they seem ─────────────────────────────────────────────────────────────────────


async def refused(file: bytes, match: str, **options: Any) -> None:
    """The file is refused, and no event of it is written."""
    store = MemoryStore()
    with pytest.raises(ConfigError, match=match):
        await import_run(store, io.BytesIO(file), **options)
    assert await store.events() == []


async def test_every_cut_is_noticed() -> None:
    file = await exported(await a_run(Office()))
    for length in (0, 1, 9, 10, len(file) // 2, len(file) - 9, len(file) - 1):
        await refused(file[:length], "not the file of a run")


async def test_every_flipped_byte_is_noticed() -> None:
    """But those of gzip's own head, which mean nothing: time stamp and system."""
    file = bytearray(await exported(await a_run(Office())))
    for at in range(10, len(file), 31):
        file[at] ^= 0x55
        await refused(bytes(file), "not the file of a run")
        file[at] ^= 0x55


def swap_content(lines: list[Any]) -> None:
    next(line for line in lines if "content" in line)["data"] = "Zm9yZ2Vk"


def as_artifact(lines: list[Any]) -> None:
    next(line for line in lines if "content" in line)["type"] = "text/plain"


def skip_event(lines: list[Any]) -> None:
    del lines[3]


def move_event(lines: list[Any]) -> None:
    lines[3]["event"][1] = 7


def other_time(lines: list[Any]) -> None:
    lines[3]["event"][2] += 1


def other_kind(lines: list[Any]) -> None:
    lines[3]["event"][3] = "fact"


def foreign_run(lines: list[Any]) -> None:
    body = json.loads(lines[1]["event"][4]) | {"run": "foreign"}
    lines.insert(1, {"event": ["foreign", 0, body["time"], "run_started", json.dumps(body)]})


def no_start(lines: list[Any]) -> None:
    body = {"kind": "fact", "run": "r", "seq": 0, "time": 1.0}
    lines[1:] = [{"event": ["r", 0, 1.0, "fact", json.dumps(body)]}, {"end": {}}]


def no_run(lines: list[Any]) -> None:
    lines[1:-1] = []


def path_as_id(lines: list[Any]) -> None:
    lines[0]["run"] = "../../etc/passwd"


def newer(lines: list[Any]) -> None:
    lines[0]["version"] = 2


def garbage(lines: list[Any]) -> None:
    lines.insert(2, {"path": "../../x"})


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (swap_content, "is not what its digest says"),
        (as_artifact, "is not what its digest says"),
        (skip_event, "missing or not in its place"),
        (move_event, "missing or not in its place"),
        (other_time, "says that it is another one"),
        (other_kind, "says that it is another one"),
        (foreign_run, "it is not one run and what it is a fork of"),
        (no_start, "does not begin with its start"),
        (no_run, "it is not one run and what it is a fork of"),
        (path_as_id, "does not say which run it is"),
        (newer, "it has version 2, this Outlay reads 1"),
        (garbage, "neither an event nor a content"),
    ],
)
async def test_what_was_made_by_hand_is_refused(edit: Any, match: str) -> None:
    """Its end fits: whoever made it knows the form."""
    await refused(edited(await exported(await a_run(Office())), edit), match)


async def test_a_bomb_is_not_unpacked() -> None:
    """20 KB of file for 20 MB of zeros, in one line and in many."""
    file = await exported(await a_run(Office()))
    head = gzip.decompress(file).splitlines(keepends=True)[0]
    for bomb in (b" " * 20_000_000, b"{}\n" * 7_000_000):
        small = gzip.compress(head + bomb)
        assert len(small) < 60_000
        await refused(small, "unpacks to more than 1,000,000 bytes|neither an event", max_bytes=1_000_000)


@pytest.mark.parametrize("file", [b"", b"text", gzip.compress(b""), gzip.compress(b"[" * 10_000), gzip.compress(b"1")])
async def test_other_files_are_refused(file: bytes) -> None:
    await refused(file, "not the file of a run")


async def test_contents_come_before_the_events_that_name_them() -> None:
    """An import that is killed leaves contents that nobody names, and never an event without its content."""
    pieces = list(read(io.BytesIO(await exported(await a_run(Office()))), is_genuine))
    kinds = [isinstance(piece, Content) for piece in pieces[1:]]
    assert kinds == sorted(kinds, reverse=True)
    assert any(kinds)
