"""What is wrong in a SQLite file: SQLite's own check, and the sum of every row."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from outlay.protocols.documents import Document
from outlay.protocols.store import Row
from outlay.stores.checksums import intact, of_blob, of_document, of_row

_EVENTS = "SELECT r.run, e.run, e.seq, e.time, e.kind, e.body, e.crc FROM events e LEFT JOIN runs r ON r.id = e.run"
_BLOBS = "SELECT digest, content, crc FROM blobs"
_DOCUMENTS = "SELECT collection, key, version, body, crc FROM documents WHERE body IS NOT NULL"


def faults(connection: sqlite3.Connection) -> Iterator[str]:
    """One line for each. Where the file is so broken that it cannot be read on, the last says so."""
    try:
        for (said,) in connection.execute("PRAGMA integrity_check"):
            if said != "ok":
                yield f"SQLite's check: {said}"
        for run, number, seq, time, kind, body, crc in connection.execute(_EVENTS):
            if run is None:
                yield f"event {seq} belongs to run number {number}, which is not there"
            elif not intact(crc, of_row, Row(run, seq, time, kind, body)):
                yield f"event {seq} of run {run} is not what was written"
        for digest, content, crc in connection.execute(_BLOBS):
            if not intact(crc, of_blob, digest, content):
                yield f"the content {bytes(digest).hex()} is not what was written"
        for collection, key, version, body, crc in connection.execute(_DOCUMENTS):
            if not intact(crc, of_document, Document(collection, key, version, body)):
                yield f"the document {key!r} of {collection!r} is not what was written"
    except sqlite3.Error as error:
        yield f"the file cannot be read any further: {error}"
