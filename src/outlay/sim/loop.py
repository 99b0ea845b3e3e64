"""An asyncio loop on virtual time (SEMANTICS 8).

Only the clock and the wait are replaced: everything that asyncio does with callbacks, timers and tasks is its own
code. Where a real loop would sleep until the next timer, this one moves its clock there. Nothing can come from
outside, so sockets, pipes, processes and signals raise and name the line that wanted them.
"""

from __future__ import annotations

import asyncio
import itertools
import math
import sys
import sysconfig
import threading
from asyncio import base_events
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NoReturn, cast

from outlay.errors import ConfigError, OutlayError
from outlay.protocols.clock import loop_factory
from outlay.sim import leaks
from outlay.sim.clock import START, VirtualClock

#: Real seconds to wait for another thread's `call_soon_threadsafe` before a standstill counts as one.
PATIENCE = 5.0


class VirtualTimeError(OutlayError, RuntimeError):
    """Something that cannot work on virtual time."""


class OutsideWorld(VirtualTimeError, ConfigError):
    """A blocking sleep, a socket, a process or an executor under virtual time. `wanted` is what was called, `where` the
    caller's line. No agent is told of it and no pattern does without: the program cannot be played like this.
    """

    def __init__(self, wanted: str) -> None:
        self.wanted = wanted
        self.where = _callers_line()
        super().__init__(
            f"{wanted} is not possible on virtual time",
            path=self.where,
            hint="use ctx.sleep, simulated models and an in-memory store, or run this without virtual_time()",
        )


class Standstill(VirtualTimeError):
    """Nothing is ready and no timer is set: every task waits for another. `waiting` says where each one is."""

    def __init__(self, waiting: list[str]) -> None:
        self.waiting = tuple(waiting)
        super().__init__(
            "virtual time stands still: nothing is ready and no timer is set\n"
            + "\n".join(f"  waiting: {line}" for line in waiting or ["no task"]),
            hint="something that should wake these tasks never will; in real time this would hang",
        )


class NumberedTask(asyncio.Task[Any]):
    """A task whose hash is its number: asyncio keeps tasks in sets, whose order would else follow memory."""

    def __init__(self, coro: Coroutine[Any, Any, Any], *, number: int, **options: Any) -> None:
        self._number = number  # first: Task.__init__ puts itself into a set
        super().__init__(coro, **options)

    def __hash__(self) -> int:
        return self._number


class _Wait:
    """Takes the place of the loop's selector: where that would block, the clock moves instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.woken = threading.Event()

    def select(self, timeout: float | None) -> list[Any]:
        loop = self._loop
        loop.turns += 1
        if loop.turns == loop.most_turns:
            raise loop.too_long()
        if timeout is None or (timeout > 0 and (loop.threads_work or not loop.jump())):
            self._outlast()
        if self.woken.is_set():
            self.woken.clear()
        return []

    def _outlast(self) -> None:
        others = threading.active_count() > 1
        if self.woken.wait(None if self._loop.threads_work else PATIENCE if others else 0):
            return
        raise Standstill(sorted(_waiting(task) for task in asyncio.all_tasks(self._loop)))

    def close(self) -> None: ...


class VirtualLoop(base_events.BaseEventLoop):
    """`asyncio.Runner(loop_factory=VirtualLoop)`. `time()` counts from 0, `wall()` from the clock's start.

    Tasks run in the order in which they became ready, and are numbered, so the same program does the same in every
    process. `inline_threads` tells the runtime to run synchronous tools where they are; so does `asyncio.to_thread`.
    """

    inline_threads = True

    def __init__(self, clock: VirtualClock | None = None) -> None:
        super().__init__()
        self.clock = clock or VirtualClock()
        #: How often the loop has gone round since the last `rewind`, and when that is too often: then it raises what
        #: `too_long` makes. 0 is never.
        self.turns = self.most_turns = 0
        self.too_long: Callable[[], Exception] = lambda: VirtualTimeError("this does not end")
        self._numbers = itertools.count(1)
        self._from_threads: set[asyncio.Future[Any]] = set()
        self._selector = _Wait(self)
        self._resolve(self.clock.elapsed)
        self.set_task_factory(None)

    def time(self) -> float:
        return self.clock.elapsed

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self.clock.now

    def jump(self) -> bool:
        """Move to the next timer: to its very time, because adding up waits would round. False if that is never."""
        scheduled = cast("list[asyncio.TimerHandle]", vars(self)["_scheduled"])
        when = scheduled[0].when()
        if when == math.inf:
            return False
        self.clock.advance_to(when)
        self._resolve(when)
        return True

    def skip_to(self, when: float) -> bool:
        """Move there at once, if all that a task's sleep until then would do is pass the time: nothing is ready and no
        timer comes before or with it. A sleep goes through the loop and back through every coroutine around it.
        """
        own = vars(self)
        scheduled = cast("list[asyncio.TimerHandle]", own["_scheduled"])
        if own["_ready"] or (scheduled and scheduled[0].when() <= when + self._clock_resolution):
            return False
        self.clock.advance_to(when)
        self._resolve(when)
        return True

    def rewind(self) -> None:
        """Begin again at 0, between two runs: times that have grown large would round what comes after them."""
        self.clock = VirtualClock(self.clock.start)
        self.turns = 0
        self._resolve(0.0)

    def _resolve(self, time: float) -> None:
        # asyncio fires what is due before `time() + resolution`. Its own nanosecond vanishes in rounding after a few
        # months, and the loop would spin; one unit in the last place is always enough and never too much.
        self._clock_resolution = math.ulp(time)

    # ── tasks ─────────────────────────────────────────────────────────────────────────────────────────────
    def set_task_factory(self, factory: Any) -> None:
        """A factory set here should make its tasks with the one it finds (`get_task_factory`), which numbers them."""
        super().set_task_factory(self._numbered if factory is None else factory)

    def _numbered(self, loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> NumberedTask:
        return NumberedTask(coro, loop=loop, number=next(self._numbers), **options)

    # ── threads ───────────────────────────────────────────────────────────────────────────────────────────
    @property
    def threads_work(self) -> bool:
        """Whether a thread of ours is busy in real time: the clock must not run away from it."""
        return bool(self._from_threads)

    def create_thread_future(self) -> asyncio.Future[Any]:
        """A future that another thread will resolve with `call_soon_threadsafe`. No virtual time passes until then."""
        future: asyncio.Future[Any] = self.create_future()
        self._from_threads.add(future)
        future.add_done_callback(self._from_threads.discard)
        return future

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:
        """Inline for the default executor (`asyncio.to_thread`): a thread would finish at no virtual time."""
        if executor is not None:
            raise OutsideWorld("run_in_executor with an executor of your own")
        future: asyncio.Future[Any] = self.create_future()
        try:
            future.set_result(func(*args))
        except StopIteration as error:  # a future cannot hold it
            future.set_exception(RuntimeError(f"{func!r} raised StopIteration").with_traceback(error.__traceback__))
        except Exception as error:
            future.set_exception(error)
        return future

    def _write_to_self(self) -> None:
        self._selector.woken.set()

    def _process_events(self, event_list: list[Any]) -> None: ...


@contextmanager
def virtual_time(start: float = START) -> Generator[VirtualClock]:
    """Inside, `run_sync` runs on virtual time: sleeps, latencies and time-outs cost none of the real one.

    Runs one after another share the clock. `start` is in seconds since the epoch. A `time.sleep`, and a socket that is
    connected, on the loop's own thread are OutsideWorld, which names the line.
    """
    clock = VirtualClock(start)
    token = loop_factory.set(lambda: VirtualLoop(clock))
    try:
        with leaks.found(_refuse):
            yield clock
    finally:
        loop_factory.reset(token)


def _refuse(wanted: str) -> None:
    """Raises OutsideWorld on a virtual loop. Our own stores may wait for a file that another process has locked."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return
    if isinstance(loop, VirtualLoop) and not sys._getframe(2).f_code.co_filename.startswith(_PACKAGE):  # pyright: ignore[reportPrivateUsage]
        raise OutsideWorld(wanted)


def _forbid(name: str) -> Callable[..., NoReturn]:
    def method(self: VirtualLoop, *args: Any, **kwargs: Any) -> NoReturn:
        raise OutsideWorld(f"loop.{name}")

    method.__name__ = name
    return method


for _name in (
    *("create_connection", "create_server", "create_datagram_endpoint", "connect_accepted_socket", "start_tls"),
    *("create_unix_connection", "create_unix_server", "getaddrinfo", "getnameinfo", "sendfile"),
    *("sock_recv", "sock_recv_into", "sock_recvfrom", "sock_recvfrom_into", "sock_sendall", "sock_sendto"),
    *("sock_connect", "sock_accept", "sock_sendfile"),
    *("add_reader", "remove_reader", "add_writer", "remove_writer", "connect_read_pipe", "connect_write_pipe"),
    *("subprocess_exec", "subprocess_shell", "add_signal_handler", "remove_signal_handler"),
):
    setattr(VirtualLoop, _name, _forbid(_name))

_LIBRARIES = tuple({sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")})
_PACKAGE = str(Path(__file__).parent.parent)


def _callers_line() -> str:
    """The innermost line of the call that is neither Python's, nor a library's, nor ours."""
    frame: FrameType | None = sys._getframe(2)  # pyright: ignore[reportPrivateUsage]
    innermost = frame
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(("<frozen", _PACKAGE)) and not name.startswith(_LIBRARIES):
            return f"{name}:{frame.f_lineno}"
        frame = frame.f_back
    return f"{innermost.f_code.co_filename}:{innermost.f_lineno}" if innermost else "an unknown line"


def _waiting(task: asyncio.Task[Any]) -> str:
    """A task's name and the innermost line that it awaits in."""
    where: tuple[CodeType, int] | None = None
    awaited: Any = task.get_coro()
    while awaited is not None:
        frame: FrameType | None = getattr(awaited, "cr_frame", None) or getattr(awaited, "gi_frame", None)
        if frame is not None:
            where = (frame.f_code, frame.f_lineno)
        awaited = getattr(awaited, "cr_await", None) or getattr(awaited, "gi_yieldfrom", None)
    return (
        f"{task.get_name()} at {where[0].co_filename}:{where[1]}, in {where[0].co_name}" if where else task.get_name()
    )
