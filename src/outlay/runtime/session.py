"""Sessions: a conversation over several runs. One run at a time holds a session; the others wait.

A session is one document: the newest page of each conversation (`tips`), and who is at it (`holder`). A run's own end
says in its journal what its turn made of the conversations, in the same commit; the document follows. So a turn is in
the conversation exactly if its run came to an output, also where the process died between the two.
"""

from __future__ import annotations

import asyncio
import json
import reprlib
import secrets
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import replace
from typing import Any
from weakref import WeakKeyDictionary

from outlay.agents.agent import Agent
from outlay.agents.function import FunctionNode
from outlay.errors import ConfigError, Conflict, DeadlineExceeded, JournalMismatch, OutlayError
from outlay.events.codec import decode
from outlay.events.records import RunFinished
from outlay.protocols.clock import wall_clock
from outlay.protocols.documents import Change
from outlay.protocols.node import Node
from outlay.protocols.store import Store
from outlay.runtime.conversations import Conversations, Page, read, read_page
from outlay.runtime.ownership import me, ownership_in
from outlay.runtime.preflight import walk
from outlay.runtime.recall import Past
from outlay.runtime.recorder import Recorder
from outlay.runtime.result import Result
from outlay.values.budget import Budget
from outlay.values.transcript import Transcript

COLLECTION = "sessions"
_MOST_CHARACTERS = 200
#: How long to wait before looking again whether another process is done, in seconds: the first time, and the longest.
_POLL = (0.05, 1.0)

#: What runs of this process hold: a holder of ours that is not among them is left over.
_held: set[str] = set()
#: The sessions of the runs that this code runs in.
_inside: ContextVar[frozenset[str]] = ContextVar("outlay_sessions", default=frozenset())


def check(id: str | None, store: Store | None, history: Transcript | None, root: Node[Any, Any]) -> None:
    """Raises ConfigError for a history that is none, and for a session that cannot work."""
    if history is not None and not isinstance(history, Transcript):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"history={reprlib.repr(history)} is no conversation", hint="give the .transcript of an earlier result"
        )
    if id is None:
        return
    if not isinstance(id, str) or not 0 < len(id) <= _MOST_CHARACTERS or not id.isprintable():  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ConfigError(
            f"session={str(id)[:80]!r} is not allowed", hint=f"use 1 to {_MOST_CHARACTERS} printable characters"
        )
    if store is None:
        raise ConfigError(
            f"session={id!r} needs a store to keep the conversation in",
            hint='run(…, session=…, store="outlay.db"), or without a store: history=result.transcript',
        )
    if history is not None:
        raise ConfigError(
            "history= and session= are two conversations", hint="leave out history=: the session has its own"
        )
    if not isinstance(root, Agent) and not any(map(_may_remember, walk(root))):
        raise ConfigError(
            f"session={id!r}: no agent of {root.name} would remember",
            hint="give history=True to the agents that are to go on with the conversation",
        )
    if id in _inside.get():
        raise ConfigError(
            f"session {id!r} is held by the run that this one runs in: it would wait for itself",
            hint="use ctx.run, or another session",
        )


def session_of(past: Past, session: str | None) -> str | None:
    """The session of a run that goes on. Raises JournalMismatch where it was begun in another one."""
    begun = past.started.session or None
    if session is not None and session != begun:
        raise JournalMismatch(
            f"run {past.started.run} was begun in {f'session {begun!r}' if begun else 'no session'}",
            hint="leave out session=: a run that goes on stays where it was begun; or give another run_id",
        )
    return begun


async def in_session(
    store: Store,
    id: str,
    run_id: str,
    flow: str,
    past: Past | None,
    budgets: Sequence[Budget],
    deadline: float | None,
    turn: Callable[[Session, Conversations, float], Awaitable[Result[Any]]],
) -> Result[Any]:
    """Wait for the session, have a turn in it, and let the next one. The wait counts against the `seconds` of
    `budgets`; `turn` is told how long it was. `deadline` is in loop time."""
    loop = asyncio.get_running_loop()
    asked, active = loop.time(), 0.0 if past is None else past.journal.active
    seconds = min((budget.seconds for budget in budgets if budget.seconds is not None), default=None)
    if deadline is None and seconds is not None:
        deadline = asked + seconds - active
    session = Session(store, id, run_id, 0 if past is None else len(past.events))
    try:
        async with asyncio.timeout_at(deadline):
            await session.take(wall_clock(loop))
    except TimeoutError:
        stop = DeadlineExceeded(
            f"session {id!r} was not free in time: another run is at it",
            seconds=seconds,
            hint="raise seconds= of the budget, or use another session",
        )
        return Result(None, "deadline", True, run_id, flow, loop.time() - asked, stop)
    try:
        conversations = await read(store, session.tips if past is None else past.conversation)
        with session.inside():
            result = await turn(session, conversations, loop.time() - asked)
    except BaseException:
        with suppress(OutlayError):  # what ended the run is what the caller should see
            await session.give_back()
        raise
    try:
        await session.give_back()
    except OutlayError as error:  # the answer is paid for: it is handed over, and what became of the turn is said
        if result.error is None:
            return replace(result, stop_reason="error", degraded=True, error=error)
    return result


def turn_of(
    session: Session | None, conversations: Conversations | None, past: Past | None, recorder: Recorder
) -> dict[str, str]:
    """The conversations of the session with a run's turn in them, empty where it adds none: outside a session, and
    where it has told its turn in an earlier leg."""
    if session is None or conversations is None or (past is not None and past.journal.told):
        return {}
    told = session.tell(conversations, recorder.keep_content)
    return told if recorder.failed is None else {}


def _may_remember(node: Node[Any, Any]) -> bool:
    """An agent that does, or a function, which may run one."""
    return getattr(node, "history", False) is True or isinstance(node, FunctionNode)


class Session:
    """One run's hold on a session. `tips` are the newest pages by place when the run got it."""

    __slots__ = ("_after", "_line", "_pages", "_run", "_since", "_store", "_token", "id", "tips")

    def __init__(self, store: Store, id: str, run_id: str, since: int) -> None:
        self._store = store
        self.id = id
        self.tips: dict[str, str] = {}
        self._run = run_id
        #: The first event of this leg of the run: what came before is not its turn.
        self._since = since
        self._token = ""
        self._pages: dict[str, Page] = {}
        self._after: dict[str, str] | None = None
        self._line: _Line | None = None

    async def take(self, wall: Callable[[], float]) -> None:
        """Wait until nobody else is at the session: in this process in the order of asking, else as it comes."""
        lines = _lines.setdefault(self._store, {})
        line = lines.setdefault(self.id, _Line())
        line.users += 1
        try:
            await line.lock.acquire()
        except BaseException:
            self._leave(line)
            raise
        self._line = line
        try:
            pause = _POLL[0]
            while not await self._try(wall):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _POLL[1])
            self._pages = {place: await read_page(self._store, tip) for place, tip in self.tips.items()}
        except BaseException:
            with suppress(OutlayError):
                await self.give_back()
            raise

    def tell(self, conversations: Conversations, keep: Callable[[bytes], str]) -> dict[str, str]:
        """What the run's turn makes of the conversations, by place. It stands behind those that came meanwhile."""
        turns = {place: turn for place, turn in conversations.turns().items() if turn.said}
        told = {
            place: (Page() if turn.anew else self._pages.get(place, Page())).extended(turn.said, keep)
            for place, turn in turns.items()
        }
        return {**self.tips, **told} if told else {}

    def told(self, tips: Mapping[str, str]) -> None:
        """The journal says so, durably."""
        self._after = dict(tips) if tips else None

    async def give_back(self) -> None:
        """Free the session, with the run's turn where it has one.

        Raises Conflict where this process was thought dead and another has gone on with the session.
        """
        try:
            if self._token:
                await self._free()
        finally:
            _held.discard(self._token)
            self._token = ""
            if self._line is not None:
                self._line.lock.release()
                self._leave(self._line)
                self._line = None

    @contextmanager
    def inside(self) -> Generator[None]:
        """While the run runs: a run in it that asks for the same session would wait for ever."""
        token = _inside.set(_inside.get() | {self.id})
        try:
            yield
        finally:
            _inside.reset(token)

    async def _free(self) -> None:
        found = await self._store.read(COLLECTION, self.id)
        state: dict[str, Any] = {} if found is None else json.loads(found.body)
        holder: dict[str, Any] | None = state.get("holder")
        if found is not None and holder is not None and holder["token"] == self._token:
            body = _body(self.tips if self._after is None else self._after, None)
            await self._store.commit((Change(COLLECTION, self.id, body, found.version),))
        elif self._after is not None:
            raise Conflict(
                f"session {self.id!r} has gone on without run {self._run}: this process had been thought dead",
                theirs=state.get("tips"),
                hint="the answer stands; say it again in the session if the conversation needs it",
            )

    async def _try(self, wall: Callable[[], float]) -> bool:
        found = await self._store.read(COLLECTION, self.id)
        state: dict[str, Any] = {} if found is None else json.loads(found.body)
        tips: dict[str, str] = state.get("tips", {})
        holder: dict[str, Any] | None = state.get("holder")
        if holder is not None:
            if holder["token"] in _held or await self._is_alive(holder["owner"], wall):
                return False
            tips = await self._left_by(holder) or tips
        token = secrets.token_hex(8)
        mine = {"owner": me(), "run": self._run, "since": self._since, "token": token}
        change = Change(COLLECTION, self.id, _body(tips, mine), 0 if found is None else found.version)
        _held.add(token)
        commit = asyncio.ensure_future(self._store.commit((change,)))
        try:
            await asyncio.shield(commit)
        except Conflict:
            _held.discard(token)
            return False
        except OutlayError:
            _held.discard(token)
            raise
        except asyncio.CancelledError:
            self._token = token  # it may be ours: giving it back will tell
            await asyncio.wait([commit])
            raise
        self._token, self.tips = token, tips
        return True

    async def _is_alive(self, owner: str, wall: Callable[[], float]) -> bool:
        return owner != me() and await ownership_in(self._store).lease_of(owner, wall) > 0

    async def _left_by(self, holder: Mapping[str, Any]) -> dict[str, str]:
        """The tips of a holder that died after its run had come to its end."""
        for row in reversed(await self._store.events(holder["run"], ("run_finished",))):
            if row.seq >= holder["since"]:
                event = decode(row.body)
                if isinstance(event, RunFinished) and event.conversation:
                    return dict(event.conversation)
        return {}

    def _leave(self, line: _Line) -> None:
        line.users -= 1
        lines = _lines.get(self._store, {})
        if not line.users and lines.get(self.id) is line:
            del lines[self.id]


class _Line:
    """Who waits for one session in this process; an asyncio.Lock lets them through in their order."""

    __slots__ = ("lock", "users")

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0


_lines: WeakKeyDictionary[Store, dict[str, _Line]] = WeakKeyDictionary()


def _body(tips: Mapping[str, str], holder: Mapping[str, Any] | None) -> bytes:
    return json.dumps({"holder": holder, "tips": tips}, separators=(",", ":")).encode()
