"""A board: named entries with versions. Immutable; a write gives the next board (optimistic concurrency control)."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from outlay.errors import Conflict


@dataclass(frozen=True, slots=True)
class Entry:
    """A value, how often the entry was written, and by whom last."""

    value: Any
    version: int
    author: str


@dataclass(frozen=True, slots=True)
class Board:
    """Entries by name. Values are copied in and out: nobody changes an entry but by a write.

    `history` is every version in the order of writing, as (entry, version, author).
    """

    entries: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    history: tuple[tuple[str, int, str], ...] = ()

    def read(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """The values of these entries, or of all."""
        return {name: _copied(self.entries[name].value) for name in (self.entries if names is None else names)}

    def versions(self, names: Iterable[str]) -> dict[str, int]:
        """The versions of these entries, 0 for one that was never written."""
        return {name: self.entries[name].version if name in self.entries else 0 for name in names}

    def write(self, author: str, values: Mapping[str, Any], seen: Board) -> Board:
        """The board after these writes, all or none. An equal value is no change, and no new version.

        Raises Conflict where an entry has changed since the author saw the board as `seen`.
        """
        changed = {
            name: _copied(value)
            for name, value in values.items()
            if name not in self.entries or not _equal(self.entries[name].value, value)
        }
        for name, value in changed.items():
            now, then = self.versions((name,))[name], seen.versions((name,))[name]
            if now != then:
                raise Conflict(
                    f"{author} wrote {name!r} as of version {then}, and {self.entries[name].author} has written "
                    f"version {now} since",
                    mine=value,
                    theirs=self.entries[name].value,
                )
        versions = {name: version + 1 for name, version in self.versions(changed).items()}
        entries = {name: Entry(value, versions[name], author) for name, value in changed.items()}
        return Board(
            {**self.entries, **entries}, (*self.history, *((name, versions[name], author) for name in changed))
        )


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # locks, sockets and the like: what cannot be copied is shared
        return value


def _equal(one: Any, other: Any) -> bool:
    try:
        return type(one) is type(other) and bool(one == other)
    except Exception:  # arrays compare by element: a value that cannot say counts as changed
        return False
