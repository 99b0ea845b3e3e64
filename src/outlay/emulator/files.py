"""Files of the OpenAI protocol: uploads that batches read, and the outputs that they write."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from outlay.emulator.batches import page
from outlay.emulator.ids import Ids
from outlay.emulator.json import Json
from outlay.emulator.problems import not_found

_KEPT = 2_592_000
"""Seconds after which a batch's file expires."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file and its contents."""

    id: str
    name: str
    purpose: str
    content: bytes
    created: float

    def body(self) -> Json:
        """The file object."""
        return {
            "object": "file",
            "id": self.id,
            "purpose": self.purpose,
            "filename": self.name,
            "bytes": len(self.content),
            "created_at": int(self.created),
            "expires_at": int(self.created) + _KEPT if self.purpose.startswith("batch") else None,
            "status": "processed",
            "status_details": None,
        }


class Files:
    """All files."""

    def __init__(self, ids: Ids, clock: Callable[[], float]) -> None:
        self._ids = ids
        self._clock = clock
        self._files: dict[str, StoredFile] = {}

    def clear(self) -> None:
        """Forget them."""
        self._files.clear()

    def store(self, name: str, purpose: str, content: bytes) -> StoredFile:
        """A new file."""
        stored = StoredFile(self._ids.draw("file-"), name, purpose, content, self._clock())
        self._files[stored.id] = stored
        return stored

    def find(self, file_id: str) -> StoredFile:
        """A file by its id."""
        if (stored := self._files.get(file_id)) is None:
            raise not_found(f"No such File object: {file_id}")
        return stored

    def delete(self, file_id: str) -> Json:
        """Forget one."""
        self.find(file_id)
        del self._files[file_id]
        return {"id": file_id, "object": "file", "deleted": True}

    def list(self, query: Mapping[str, str]) -> Json:
        """Files, the newest first."""
        purpose = query.get("purpose")
        bodies = [f.body() for f in reversed(self._files.values()) if purpose in (None, f.purpose)]
        return listing(bodies, query, limit=10_000)


def listing(bodies: list[Json], query: Mapping[str, str], limit: int) -> Json:
    """One page of a list as OpenAI writes it."""
    shown, more = page(bodies, after=query.get("after"), limit=int(query.get("limit", limit)))
    return {
        "object": "list",
        "data": shown,
        "first_id": shown[0]["id"] if shown else None,
        "last_id": shown[-1]["id"] if shown else None,
        "has_more": more,
    }
