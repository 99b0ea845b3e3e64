"""Where an effect stands: paths, scopes and keys (SEMANTICS 1).

A scope is a task's lineage: tasks are numbered per parent and coroutine name, so two branches that race have
different scopes whatever their timing. `key=` replaces the lineage where a worker pool makes it meaningless.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Callable, Coroutine, Hashable
from contextvars import ContextVar, copy_context
from struct import Struct
from typing import Any, TypeVar

from outlay.errors import ConfigError

A = TypeVar("A")
_SEGMENT = re.compile(r"[A-Za-z0-9_.-]{1,64}\Z")
_ITEM = re.compile(r"^(.*?)\[(.*)\]$", re.DOTALL)
_DIGEST = 16
#: The lengths of so many parts; made once, because there are several hashes in each call.
_LENGTHS = [Struct(f">{n}I").pack for n in range(9)]


def digest(*parts: bytes) -> bytes:
    """A hash of at most eight parts that cannot run into each other: their lengths stand before them."""
    return hashlib.blake2b(_LENGTHS[len(parts)](*map(len, parts)) + b"".join(parts), digest_size=_DIGEST).digest()


def segment(name: str) -> str:
    """A name as a piece of a path; what could carry user text is hashed."""
    if _SEGMENT.match(name):
        return name
    return "h-" + hashlib.blake2b(name.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def item(name: str) -> str:
    """`name` or `name[key]` as a piece of a path, each of the two by itself."""
    found = _ITEM.match(name)
    return segment(name) if found is None else f"{segment(found[1])}[{segment(found[2])}]"


class Scope:
    """One task's place in the lineage, with the counters that tell its equal effects apart."""

    __slots__ = ("_counts", "_id", "_keys", "_n", "_name", "_parent", "_tasks")

    def __init__(self, id: bytes = b"", parent: Scope | None = None, name: str = "", n: int = 0) -> None:
        self._id = id
        self._parent = parent
        self._name = name
        self._n = n
        # made when they are needed, which in most scopes is never
        self._tasks: dict[str, int] | None = None
        self._counts: dict[object, int] | None = None
        self._keys: set[str] | None = None

    @property
    def id(self) -> bytes:
        """Worked out when it is asked for: most tasks (of calls, of HTTP) have no effect of their own."""
        if self._parent is not None:
            self._id = digest(self._parent.id, b"task", self._name.encode(), str(self._n).encode())
            self._parent = None
        return self._id

    def task(self, name: str) -> Scope:
        """The scope of the next task of this coroutine name."""
        if self._tasks is None:
            self._tasks = {}
        n = self._tasks.get(name, 0)
        self._tasks[name] = n + 1
        return Scope(b"", self, name, n)

    def keyed(self, path: str, key: str) -> Scope:
        """The scope of a child with a key of its own. Raises ConfigError where it is taken."""
        place = f"{path}[{key}]"
        if self._keys is None:
            self._keys = set()
        if place in self._keys:
            raise ConfigError(
                f"key {key!r} is used twice under {path}", hint="keys name children apart: make each one unique"
            )
        self._keys.add(place)
        return Scope(digest(self.id, b"key", place.encode(errors="surrogatepass")))

    def occurrence(self, what: Hashable) -> int:
        """How often `what` has happened in this scope before."""
        if self._counts is None:
            self._counts = {}
        n = self._counts.get(what, 0)
        self._counts[what] = n + 1
        return n


current_scope: ContextVar[Scope | None] = ContextVar("outlay_scope", default=None)

_installed: dict[int, tuple[int, Any]] = {}


def install(loop: asyncio.AbstractEventLoop) -> None:
    """Number the loop's tasks by lineage; an existing task factory is chained. Balanced by `uninstall`."""
    count, previous = _installed.get(id(loop), (0, loop.get_task_factory()))
    if count == 0:
        loop.set_task_factory(_factory(previous))
    _installed[id(loop)] = (count + 1, previous)


def uninstall(loop: asyncio.AbstractEventLoop) -> None:
    """The last run on this loop is over: leave the loop as it was found."""
    count, previous = _installed[id(loop)]
    if count > 1:
        _installed[id(loop)] = (count - 1, previous)
        return
    del _installed[id(loop)]
    loop.set_task_factory(previous)


def unnumbered(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, A]) -> asyncio.Task[A]:
    """A task of the runtime's own that no effect is begun in: it takes no number, and no scope."""
    _, make = _installed.get(id(loop), (0, None))
    return asyncio.Task(work, loop=loop) if make is None else make(loop, work)


def _factory(previous: Callable[..., Any] | None) -> Any:
    def make(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any], **options: Any) -> Any:
        scope = current_scope.get()
        if scope is not None:
            context = options.get("context")
            if context is None:
                context = options["context"] = copy_context()
            name = getattr(coro, "__qualname__", type(coro).__name__)
            context.run(current_scope.set, scope.task(name))
        if previous is not None:
            return previous(loop, coro, **options)
        return asyncio.Task(coro, loop=loop, **options)

    return make
