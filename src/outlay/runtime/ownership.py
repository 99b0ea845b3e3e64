"""Who works on a run: one process at a time (SEMANTICS 9).

A process holds one lease in each store, which it renews while it has runs going. A run whose process is gone (its
lease ran out, or it is a dead process of this machine) may be taken over: the new owner's first event takes the next
place in the run's order, so that the old one, should it wake up, finds its place taken and can write no more.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from weakref import WeakKeyDictionary, ref

from outlay.errors import Conflict, OutlayError
from outlay.protocols.documents import Change
from outlay.protocols.store import Fence, Store

#: A process that has not renewed its lease for so long has lost its runs.
LEASE_SECONDS = 15.0
#: By how much two machines' clocks may differ, in seconds, before a lease counts as one of another time.
_SKEW = 5.0
#: The documents that say until when each process owns what it works on.
LEASES = "owners"
_RUNS = "runs.owner"
#: The process that a simulation plays, which has several of them in one of the machine's; empty for the machine's own.
played: ContextVar[str] = ContextVar("outlay_played_process", default="")


@dataclass(frozen=True, slots=True)
class Seen:
    """Who took a run over last, by version; nobody yet at version 0. Its journal may not say so yet."""

    version: int
    owner: str


class Ownership:
    """This process's runs in one store. `wall` gives seconds since the epoch."""

    def __init__(self, store: Store) -> None:
        self._to_store = ref(store)  # it holds this; a strong reference back would keep both for ever
        self._until = 0.0
        #: Leases that reach further than any can: at which version, and since when in loop time, they were seen so.
        self._ahead: dict[str, tuple[int, float]] = {}
        self._live: Counter[str] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._renewal: asyncio.Task[None] | None = None

    @property
    def _store(self) -> Store:
        store = self._to_store()
        assert store is not None, "somebody who has the store is asking"
        return store

    async def begin(self, run_id: str, wall: Callable[[], float]) -> str:
        """This process works on the run from now on; the owner's name, for its first event.

        Raises Conflict where it is at work on it already.
        """
        if self._live[run_id]:
            raise Conflict(
                f"run {run_id} is going on in this process",
                hint="await the run that is going, or give this one another run_id",
            )
        self._live[run_id] += 1
        try:
            if not LEASE_SECONDS / 2 <= self._until - wall() <= LEASE_SECONDS:  # the clock may have been set back
                await self._renew(wall)
        except BaseException:
            self.end(run_id)
            raise
        self._watch(wall)
        return me()

    async def seen(self, run_id: str) -> Seen:
        """Who took the run over last."""
        found = await self._store.read(_RUNS, run_id)
        return Seen(0, "") if found is None else Seen(found.version, str(json.loads(found.body)))

    async def take_over(self, run_id: str, seen: Seen) -> Fence:
        """What this process's events of a run that goes on are written under: whoever takes it over next shuts it
        out, and it is let in again where it was shut out itself before.

        Raises Conflict where somebody took it over since `seen`: who looked, stalled and wakes up late must not shut
        out an owner at work.
        """
        (version,) = await self._store.commit((Change(_RUNS, run_id, json.dumps(me()).encode(), seen.version),))
        return Fence(_RUNS, run_id, version)

    async def forget(self, runs: Iterable[str]) -> None:
        """The runs were deleted: whoever may still be about to write to one is shut out."""
        if changes := [Change(_RUNS, run_id, None, None) for run_id in runs]:
            await self._store.commit(changes)

    def end(self, run_id: str) -> None:
        del self._live[run_id]
        if not self._live and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    async def check_free(self, run_id: str, owner: str, wall: Callable[[], float]) -> None:
        """Raises Conflict where `owner`, who worked on the run last and did not finish it, may still be at it."""
        if owner == me() or (left := await self.lease_of(owner, wall)) <= 0:
            return
        while (seen := self._ahead.get(owner)) is not None:  # by its date it would last until the clock has caught up
            await asyncio.sleep(left)
            if (left := await self.lease_of(owner, wall)) <= 0:
                return
            if self._ahead.get(owner) != seen:
                break  # it was renewed
        raise Conflict(
            f"run {run_id} is being worked on by {owner.rpartition(':')[0]}",
            theirs=owner,
            hint=f"wait for it; should that process be gone, the run is free in {left:.0f} s",
        )

    async def lease_of(self, owner: str, wall: Callable[[], float]) -> float:
        """The seconds for which `owner` may still be at work on its runs; 0 or less where it is gone.

        A lease further in the future than any can be was made before a clock was set back: it counts from when it was
        first seen so, and is over if it is not renewed in that time.
        """
        if not owner or _is_dead_here(owner):
            return 0.0
        lease = await self._store.read(LEASES, owner)
        if lease is None:
            return 0.0
        left = float(json.loads(lease.body)["until"]) - wall()
        if left <= LEASE_SECONDS + _SKEW:
            self._ahead.pop(owner, None)
            return left
        now = asyncio.get_running_loop().time()
        version, since = self._ahead.get(owner, (0, now))
        if version != lease.version:
            since = now
        self._ahead[owner] = lease.version, since
        return since + LEASE_SECONDS - now

    async def is_worked_on(self, run_id: str, owner: str, wall: Callable[[], float]) -> bool:
        """Whether this process, or `owner`, who worked on it last, may still be at it."""
        return self._live[run_id] > 0 or (owner != me() and await self.lease_of(owner, wall) > 0)

    async def _renew(self, wall: Callable[[], float]) -> None:
        until = wall() + LEASE_SECONDS
        body = json.dumps({"until": until}).encode()
        await self._store.commit((Change(LEASES, me(), body, None),))
        self._until = until

    def _watch(self, wall: Callable[[], float]) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LEASE_SECONDS / 3, self._tick, wall)

    def _tick(self, wall: Callable[[], float]) -> None:
        self._timer = None
        if self._live:
            self._renewal = asyncio.ensure_future(self._renew_quietly(wall))
            self._watch(wall)

    async def _renew_quietly(self, wall: Callable[[], float]) -> None:
        with suppress(OutlayError):  # the next effect will find the store broken, and say so
            await self._renew(wall)


_in: WeakKeyDictionary[Store, Ownership] = WeakKeyDictionary()


def ownership_in(store: Store) -> Ownership:
    """This process's runs in a store."""
    found = _in.get(store)
    if found is None:
        found = _in[store] = Ownership(store)
    return found


def me() -> str:
    """This process: machine, process number, start, and a random part."""
    return played.get() or _me(os.getpid())


_names: dict[int, str] = {}


def _me(pid: int) -> str:
    if pid not in _names:  # a forked child is another process
        _names[pid] = f"{_machine()}:{pid}:{_started(pid)}:{secrets.token_hex(4)}"
    return _names[pid]


def _is_dead_here(owner: str) -> bool:
    """Is it a process of this machine that is no longer there?"""
    machine, pid, started, *_ = (*owner.rsplit(":", 3), "", "", "")
    if machine != _machine() or not pid.isdigit() or not started:
        return False
    return _started(int(pid)) != started


def _machine() -> str:
    """The host, and what tells two containers on it apart: a process number says nothing across them."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8])
        parts.append(str(os.stat("/proc/self/ns/pid").st_ino))
    return ".".join(parts)


def _started(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty where it is not there or the system does not say."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]
