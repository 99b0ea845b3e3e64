"""Documents: small versioned values with compare-and-set, the one thing that everything shared is made of.

Leases, the inbox, windowed budgets, shared state and its outbox are all documents in a collection of their own. A
commit is several changes at once or none, so what belongs together (a state change and the message it causes) cannot
come apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Document:
    """`version` is 1 when it is new and grows by one with each change. A deletion is a change too, and the version
    goes on after it: 1, 2, deleted, 4. Collection and key are text of up to 1,000 bytes each, without NUL."""

    collection: str
    key: str
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Change:
    """Set a document to `body`, or delete it (None), if its version is still `expect`.

    `expect=0`: there must be none. `expect=None`: whatever is there, which is last writer wins.
    """

    collection: str
    key: str
    body: bytes | None
    expect: int | None


class Documents(Protocol):
    async def read(self, collection: str, key: str) -> Document | None: ...

    async def list(self, collection: str, prefix: str = "") -> list[Document]:
        """The documents whose key begins with `prefix`, by key (in the order of its UTF-8 bytes)."""
        ...

    async def commit(self, changes: Sequence[Change]) -> tuple[int, ...]:
        """All changes at once, durable on return: the new version of each, 0 for a deletion. A change sees those
        before it. What was appended before is durable then, too.

        Raises Conflict where a version is no longer the expected one, and then nothing is changed: `.mine` is the
        refused Change and `.theirs` the Document that is there, or None. Raises StoreFailed as an append does,
        ValueError for a name that cannot be kept.
        """
        ...
