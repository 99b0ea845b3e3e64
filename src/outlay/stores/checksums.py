"""What tells a file that a disk or a hand has changed: SQLite itself notices broken trees, not changed contents.

CRC-32 finds accidents, not forgeries.
"""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct, error
from typing import ParamSpec
from zlib import crc32

from outlay.protocols.documents import Document
from outlay.protocols.store import Row

P = ParamSpec("P")
_PLACE = Struct("<dq").pack


def intact(crc: int | None, of: Callable[P, int], *args: P.args, **kwargs: P.kwargs) -> bool:
    """Whether the sum is that of what was read. What has none was written before there were sums."""
    try:
        return crc is None or crc == of(*args, **kwargs)
    except (TypeError, error):  # not even of the type that was written
        return False


def of_row(row: Row) -> int:
    return crc32(row.body, crc32(_PLACE(row.time, row.seq) + f"{row.run} {row.kind}".encode()))


def of_blob(digest: bytes, content: bytes) -> int:
    return crc32(content, crc32(digest))


def of_document(document: Document) -> int:
    names = f"{document.collection}\0{document.key}"
    return crc32(document.body, crc32(_PLACE(0.0, document.version) + names.encode()))
