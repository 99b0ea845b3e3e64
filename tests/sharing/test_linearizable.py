"""Any interleaving of reads and writes is as if they had happened one after the other, name by name.

The judge is the search of Wing and Gong (1993): an order of the operations that respects who was done before whom
began, and in which a model with one value and one version gives each the answer that it got.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.errors import Conflict
from outlay.protocols.documents import Change, Document
from outlay.sharing import Outbox, Outgoing, State
from outlay.stores import MemoryStore

NAMES = ("x", "y")


class SlowStore(MemoryStore):
    """Each operation takes effect some turns of the loop after it is asked for, and answers some turns later."""

    def __init__(self, delays: Sequence[int]) -> None:
        super().__init__()
        self._delays = itertools.cycle(delays)

    async def _wait(self) -> None:
        for _ in range(next(self._delays)):
            await asyncio.sleep(0)

    async def read(self, collection: str, key: str) -> Document | None:
        await self._wait()
        found = await super().read(collection, key)
        await self._wait()
        return found

    async def commit(self, changes: Sequence[Change]) -> tuple[int, ...]:
        await self._wait()
        versions = await super().commit(changes)
        await self._wait()
        return versions


@dataclass
class Op:
    """What was asked, what came of it, and when it began and ended."""

    kind: str
    name: str
    began: int
    value: Any = None
    version: int | None = None
    answer: Any = None
    ended: int = -1


@dataclass
class Register:
    """The model: one name, done one operation after the other."""

    value: Any = None
    version: int = 0
    last: int = 0

    def do(self, op: Op) -> tuple[Any, Register]:
        """The answer, and what is there afterwards."""
        if op.kind == "get":
            return (self.value, self.version), self
        if op.version is not None and op.version != self.version:
            return ("conflict", self.value, self.version), self
        if op.kind == "delete":
            return "deleted", Register(None, 0, self.last + 1)
        if op.kind == "add":
            before = self.value if self.version else 0
            return (before + op.value, self.last + 1), Register(before + op.value, self.last + 1, self.last + 1)
        return (op.value, self.last + 1), Register(op.value, self.last + 1, self.last + 1)


def linearizable(history: Sequence[Op]) -> bool:
    dead: set[tuple[frozenset[int], Any]] = set()

    def search(left: frozenset[int], register: Register) -> bool:
        if not left:
            return True
        place = (left, (register.value, register.version, register.last))
        if place in dead:
            return False
        until = min(history[i].ended for i in left)
        for i in left:
            op = history[i]
            if op.began < until:
                answer, after = register.do(op)
                if answer == op.answer and search(left - {i}, after):
                    return True
        dead.add(place)
        return False

    return search(frozenset(range(len(history))), Register())


@dataclass
class Recorded:
    """A client's view of the state, with what it saw last of each name as its versions."""

    state: State
    clock: itertools.count[int]
    history: list[Op]
    seen: dict[str, int] = field(default_factory=dict[str, int])

    async def do(self, kind: str, name: str, value: int) -> None:
        version = self.seen.get(name, 0)
        if kind == "delete" and not version:
            kind = "get"
        op = Op(kind, name, next(self.clock), value, version if kind in ("set", "delete") else None)
        self.history.append(op)
        try:
            op.answer = await self._ask(kind, name, value, version)
        except Conflict as conflict:
            self.seen[name] = conflict.version
            op.answer = ("conflict", conflict.theirs, conflict.version)
        op.ended = next(self.clock)

    async def _ask(self, kind: str, name: str, value: int, version: int) -> Any:
        state = self.state
        if kind == "delete":
            await state.delete(name, version=version)
            self.seen[name] = 0
            return "deleted"
        entry = await {
            "get": lambda: state.get(name),
            "set": lambda: state.set(name, value, version=version),
            "overwrite": lambda: state.overwrite(name, value),
            "add": lambda: state.update(name, lambda n: n + value, default=0),
        }[kind]()
        self.seen[name] = entry.version
        return entry.value, entry.version


STEPS = st.tuples(
    st.sampled_from(["get", "set", "overwrite", "add", "delete"]), st.sampled_from(NAMES), st.integers(1, 9)
)
CLIENTS = st.lists(st.lists(STEPS, min_size=1, max_size=5), min_size=2, max_size=4)
DELAYS = st.lists(st.integers(0, 4), min_size=1, max_size=16)


async def played(clients: Sequence[Sequence[tuple[str, str, int]]], delays: Sequence[int]) -> list[Op]:
    store, clock, history = SlowStore(delays), itertools.count(), list[Op]()

    async def client(steps: Sequence[tuple[str, str, int]]) -> None:
        recorded = Recorded(State(store, "team"), clock, history)
        for step in steps:
            await recorded.do(*step)

    await asyncio.gather(*map(client, clients))
    return history


@settings(max_examples=150)
@given(clients=CLIENTS, delays=DELAYS)
def test_any_interleaving_is_linearizable_per_name(clients: Any, delays: Any):
    history = asyncio.run(played(clients, delays))
    for name in NAMES:
        assert linearizable([op for op in history if op.name == name])


def test_the_judge_knows_a_lost_update():
    """Two increments at once that both say 1; a read that goes back in time."""
    lost = [Op("add", "x", 0, 1, None, (1, 1), 2), Op("add", "x", 1, 1, None, (1, 1), 3)]
    assert not linearizable(lost)
    assert linearizable([lost[0], Op("add", "x", 1, 1, None, (2, 2), 3)])
    stale = [Op("overwrite", "x", 0, 5, None, (5, 1), 1), Op("get", "x", 2, None, None, (None, 0), 3)]
    assert not linearizable(stale)
    assert linearizable([stale[0], Op("get", "x", 0, None, None, (None, 0), 3)])


@settings(max_examples=50)
@given(writers=st.lists(st.integers(1, 4), min_size=2, max_size=4), delays=DELAYS)
def test_logs_and_outboxes_keep_everything_under_any_interleaving(writers: Any, delays: Any):
    """Positions without gaps, each writer's records and messages in its order."""

    async def play() -> None:
        store = SlowStore(delays)
        team = State(store, "team")

        async def writer(name: int, n: int) -> None:
            for i in range(n):
                await team.log("steps").append([name, i])
                await team.overwrite("x", i, outbox=[Outgoing("t", [name, i])])

        await asyncio.gather(*(writer(name, n) for name, n in enumerate(writers)))
        wanted = [[[name, i] for i in range(n)] for name, n in enumerate(writers)]
        records = await team.log("steps").read()
        assert [record.position for record in records] == list(range(sum(writers)))
        messages = [message.body for message in await Outbox(store).waiting()]
        for found in ([record.value for record in records], messages):
            assert [[one for one in found if one[0] == name] for name in range(len(writers))] == wanted

    asyncio.run(play())
