"""Compare-and-set as a pure decision: what several changes make of the documents that are there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from outlay.errors import Conflict
from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Fence

#: Collection and key.
Place: TypeAlias = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Held:
    """What a store keeps in a place. A deleted document leaves its version behind (body None), so that a version
    never comes twice; a deletion counts as a change."""

    version: int
    body: bytes | None

    def document(self, place: Place) -> Document | None:
        return None if self.body is None else Document(*place, self.version, self.body)


NOTHING = Held(0, None)
#: Of a collection or a key in UTF-8: what PostgreSQL can index of both together.
NAME_BYTES = 1_000


def places(changes: Iterable[Change]) -> list[Place]:
    """Each place once, in one order for all writers: who locks in it cannot meet in a deadlock."""
    return sorted({(change.collection, change.key) for change in changes})


def decide(changes: Sequence[Change], held: Mapping[Place, Held]) -> tuple[dict[Place, Held], tuple[int, ...]]:
    """What is to be written, and the new version of each change, 0 for a deletion.

    A change sees those before it. Deleting what is not there leaves no trace. Raises Conflict at the first version
    that is not the expected one.
    """
    new: dict[Place, Held] = {}
    versions: list[int] = []
    for change in changes:
        place = (change.collection, change.key)
        now = new.get(place) or held.get(place, NOTHING)
        version = 0 if now.body is None else now.version
        if change.expect is not None and change.expect != version:
            raise _conflict(change, now.document(place))
        if change.body is not None or version:
            new[place] = Held(now.version + 1, change.body)
        versions.append(0 if change.body is None else now.version + 1)
    return new, tuple(versions)


def holds(fence: Fence, held: Mapping[Place, Held]) -> bool:
    """Whether the fence's document is there at the fence's version. One that was deleted fences everybody out."""
    now = held.get((fence.collection, fence.key), NOTHING)
    return now.body is not None and now.version == fence.version


def check_name(*names: str) -> None:
    """Raises ValueError for names that not every store can keep."""
    for name in names:
        if name.isascii() and "\0" not in name and len(name) <= NAME_BYTES:
            continue
        try:
            plain = "\0" not in name and len(name.encode()) <= NAME_BYTES
        except UnicodeEncodeError:
            plain = False
        if not plain:
            raise ValueError(
                f"a collection or key must be text of at most {NAME_BYTES:,} bytes "
                f"without NUL or lone surrogates, not {name[:80]!r}"
            )


def _conflict(change: Change, theirs: Document | None) -> Conflict:
    there = f"version {theirs.version} is there" if theirs else "there is none"
    wanted = f"version {change.expect}" if change.expect else "none"
    return Conflict(
        f"the document {change.key!r} of {change.collection!r} was changed by somebody else: "
        f"{there}, {wanted} was expected",
        mine=change,
        theirs=theirs,
        hint="read it again and decide anew",
    )
