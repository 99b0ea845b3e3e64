"""What agents share: a state of versioned values, append-only logs, artifacts. Reached as `ctx.state`.

All values are JSON, and what you get is what everybody gets: a tuple comes back as a list, to its writer too.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from outlay.values.shared import Artifact, Collected, Entry, LogRecord, Outgoing


class State(Protocol):
    """Names and their values in one space, with optimistic concurrency.

    `ctx.state` is the run's own space; `ctx.state.space("team")` is shared by all runs and processes on the store.
    Reading gives a version and writing names it. A write on a stale version is a `Conflict` with `.mine`, `.theirs`
    and `.version` (theirs), and nothing is changed: merge the two, or let `update` do it. What has no JSON, or more
    than 1 MiB of it, is a ConfigError before anything is written.
    """

    async def get(self, name: str) -> Entry:
        """The value and its version; version 0 where there is none."""
        ...

    async def set(self, name: str, value: Any, *, version: int, outbox: Sequence[Outgoing] = ()) -> Entry:
        """Write if the version is still `version` (0: if there is none). Raises Conflict.

        Messages in `outbox` are committed with the change, or neither is; `outlay.sharing.Outbox` sends them.
        """
        ...

    async def overwrite(self, name: str, value: Any, *, outbox: Sequence[Outgoing] = ()) -> Entry:
        """Write whatever is there: the last writer wins."""
        ...

    async def update(
        self, name: str, function: Callable[[Any], Any], *, default: Any = None, outbox: Sequence[Outgoing] = ()
    ) -> Entry:
        """Write what `function` makes of the value (of `default` where there is none), again where somebody was
        faster. The function may run several times: it has no effects, and returns the new value. Raises Conflict
        after a thousand attempts.
        """
        ...

    async def delete(self, name: str, *, version: int, outbox: Sequence[Outgoing] = ()) -> None:
        """Remove the name if its version is still `version`. Raises Conflict."""
        ...

    async def list(self, prefix: str = "") -> builtins.list[Entry]:
        """The entries whose name begins with `prefix`, by name."""
        ...

    def space(self, name: str) -> State:
        """The state of that name that all runs on the store share."""
        ...

    def log(self, name: str) -> Log:
        """An append-only log in this space."""
        ...

    @property
    def artifacts(self) -> Artifacts:
        """The artifacts of this space."""
        ...


class Log(Protocol):
    """Records in one order that all readers see, from any number of processes; none is ever changed."""

    async def append(self, value: Any) -> int:
        """Durable on return; the record's position. One writer's records stand in the order it wrote them."""
        ...

    async def read(self, start: int = 0, limit: int | None = None) -> builtins.list[LogRecord]:
        """The records from position `start` on, at most `limit`. Go on with the last one's position + 1."""
        ...

    async def end(self) -> int:
        """The position that the next record gets."""
        ...


class Artifacts(Protocol):
    """Documents that agents hand on: write-once, content-addressed, typed, with author and source.

    A name is a relative path of printable text, such as `design/api.md`; what could leave a folder or means
    something to a file system (`..`, `/x`, `a\\b`, NUL, `CON`) is a ConfigError.
    """

    async def put(
        self,
        name: str,
        content: Any,
        *,
        type: str | None = None,
        version: int = 1,
        source: str = "",
        author: str = "",
    ) -> Artifact:
        """Keep text, bytes, or a JSON value under a name. The same content again gives what is there.

        Another content is a `Conflict`: give it another name, or the next `version`. `type` is a media type or a
        name of your own; by default `text/plain`, `application/octet-stream` or `application/json`. `author` is the
        path of who wrote it (such as `ctx.last_finished`), where that is not who puts it.
        """
        ...

    async def get(self, name: str, version: int | None = None) -> Artifact | None:
        """What is known of an artifact, of its newest version by default."""
        ...

    async def read(self, name: str, version: int | None = None) -> bytes:
        """Its content, checked against its digest. Raises ConfigError where there is none."""
        ...

    async def text(self, name: str, version: int | None = None) -> str:
        """Its content as text; bytes that are no UTF-8 are shown as U+FFFD."""
        ...

    async def list(self, prefix: str = "") -> builtins.list[Artifact]:
        """The newest version of each name that begins with `prefix`, by name."""
        ...

    def folder(self, path: str | Path, *, ignore: Sequence[str] = ...) -> Workspace:
        """A folder to look at these artifacts in, and to change them in. Names in `ignore` are not collected."""
        ...


class Workspace(Protocol):
    """Artifacts as files of a folder, for tools that work on files; what they change comes back as new versions.

    Whoever works in the folder is not trusted: links, pipes and names that an artifact cannot have are refused, and
    nothing outside the folder is read or written.
    """

    async def fill(self, prefix: str = "") -> builtins.list[Artifact]:
        """Write the newest versions whose names begin with `prefix`; what was written.

        Raises Conflict for a file that was changed and not collected, ConfigError for what stands in the way.
        """
        ...

    async def collect(self, *, source: str = "") -> Collected:
        """Put each new file as version 1 and each changed one as the version after the one that the folder was
        filled with. A file whose artifact has gone on meanwhile is refused, as is what is no plain file.
        """
        ...
