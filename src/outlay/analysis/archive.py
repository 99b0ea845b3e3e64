"""The file that a run travels in: lines of JSON, compressed with gzip.

    {"outlay": "run", "version": 1, "run": ID, "contents": true}         what it is
    {"event": [RUN, SEQ, TIME, KIND, BODY]}                              events, by run and place, parents first
    {"content": DIGEST, "type": TYPE or null, "data": BASE64}            contents, in any order
    {"end": {"events": N, "contents": N, "digest": DIGEST}}              of all lines before it

Nothing in it is a path, and nothing is executed. A reader believes none of it: see `read`.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, TypeAlias

from outlay.errors import ConfigError
from outlay.events.codec import decode
from outlay.protocols.store import Row

VERSION = 1
#: Of one line, in bytes: an artifact of the largest kind in Base64 fits.
MAX_LINE = 96 * 2**20
#: Of the whole file, unpacked. A few hundred bytes of gzip can unpack to gigabytes.
MAX_BYTES = 2 * 2**30
#: Of all events together, which are held until the end was seen.
MAX_EVENTS = 256 * 2**20
_RUN = re.compile(r"[A-Za-z0-9._:-]{1,128}\Z")
_DIGEST = re.compile(r"(?:[0-9a-f]{32}|[0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Head:
    """Which run it is. Without contents it can be looked at, but not gone on with."""

    run: str
    contents: bool


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes behind a digest; `type` is an artifact's, None for anything else."""

    digest: bytes
    data: bytes
    type: str | None = None


Piece: TypeAlias = Head | Row | Content


class Writing:
    """Puts pieces into a file; `close` writes the end."""

    def __init__(self, file: BinaryIO, head: Head) -> None:
        # Without time and name: the same run gives the same bytes.
        self._file = gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6)
        self._sum = hashlib.blake2b(digest_size=32)
        self.events = self.contents = 0
        self._put({"outlay": "run", "version": VERSION, "run": head.run, "contents": head.contents})

    def put(self, piece: Row | Content) -> None:
        if isinstance(piece, Row):
            self.events += 1
            self._put({"event": [piece.run, piece.seq, piece.time, piece.kind, piece.body.decode()]})
        else:
            self.contents += 1
            data = base64.b64encode(piece.data).decode()
            self._put({"content": piece.digest.hex(), "type": piece.type, "data": data})

    def close(self) -> None:
        self._put({"end": {"events": self.events, "contents": self.contents, "digest": self._sum.hexdigest()}})
        self._file.close()

    def _put(self, line: dict[str, Any]) -> None:
        data = json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        self._sum.update(data)
        self._file.write(data)


def read(file: BinaryIO, is_genuine: Callable[[Content], bool], max_bytes: int = MAX_BYTES) -> Iterator[Piece]:
    """The pieces of a file, one at a time, the head first; the last is given only if the end was there and right.

    Every event is one, stands in its place and says so itself; contents are what their digest says (`is_genuine`).
    Raises ConfigError for anything else, and for more than `max_bytes` unpacked. Events stand together before the
    contents, and are given after them.
    """
    lines = _lines(file, max_bytes)
    total = hashlib.blake2b(digest_size=32)
    first = next(lines, b"")
    head = _head(first)
    total.update(first)
    yield head
    rows, contents, size = list[Row](), 0, 0
    for line in lines:
        fields = _fields(line)
        if "end" in fields:
            if fields["end"] != {"events": len(rows), "contents": contents, "digest": total.hexdigest()}:
                raise _bad("its end does not fit what is before it")
            if next(lines, b""):
                raise _bad("something follows its end")
            yield from rows
            return
        total.update(line)
        if "event" in fields:
            row = _row(fields["event"], rows[-1] if rows else None)
            size += len(row.body)
            if size > MAX_EVENTS:
                raise _bad(f"its events have more than {MAX_EVENTS:,} bytes")
            rows.append(row)
        else:
            contents += 1
            content = _content(fields)
            if not is_genuine(content):
                raise _bad(f"the content {content.digest.hex()} is not what its digest says")
            yield content
    raise _bad("its end is missing", hint="it was cut off: export or copy it again")


def _lines(file: BinaryIO, max_bytes: int) -> Iterator[bytes]:
    left = max_bytes
    try:
        with gzip.GzipFile(fileobj=file, mode="rb") as unpacked:
            while line := unpacked.readline(min(left, MAX_LINE) + 1):
                left -= len(line)
                if left < 0:
                    raise _bad(
                        f"it unpacks to more than {max_bytes:,} bytes", hint="see where it is from; or --max-size"
                    )
                if len(line) > MAX_LINE:
                    raise _bad(f"a line of it has more than {MAX_LINE:,} bytes")
                yield line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise _bad(str(error), hint="name a file that `outlay runs export` wrote, copied whole") from error


def _fields(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _bad("a line of it is no JSON") from error
    if not isinstance(found, dict):
        raise _bad("a line of it is no JSON object")
    return found  # pyright: ignore[reportUnknownVariableType]


def _head(line: bytes) -> Head:
    fields = _fields(line) if line else {}
    if fields.get("outlay") != "run":
        raise _bad("it is something else", hint="name a file that `outlay runs export` wrote")
    version = fields.get("version")
    if version != VERSION:
        raise _bad(f"it has version {str(version)[:20]}, this Outlay reads {VERSION}", hint="update Outlay")
    run, contents = fields.get("run"), fields.get("contents")
    if not isinstance(run, str) or not _RUN.match(run) or not isinstance(contents, bool):
        raise _bad("its first line does not say which run it is")
    return Head(run, contents)


def _row(fields: Any, before: Row | None) -> Row:
    match fields:
        case [str(run), int(seq), int(time) | float(time), str(kind), str(body)] if _RUN.match(run):
            row = Row(run, seq, float(time), kind, body.encode(errors="surrogatepass"))
        case _:
            raise _bad("an event of it is not in the form of one")
    place = before.seq + 1 if before is not None and before.run == run else 0
    if seq != place:
        raise _bad(f"run {run}: event {place} is missing or not in its place")
    try:
        event = decode(row.body)
        says = json.loads(row.body)["kind"]
    except ValueError as error:
        raise _bad(f"event {seq} of run {run} cannot be read: {error}") from error
    if (event.run, event.seq, event.time, says) != (run, seq, row.time, kind):
        raise _bad(f"event {seq} of run {run} says that it is another one")
    return row


def _content(fields: dict[str, Any]) -> Content:
    match fields:
        case {"content": str(digest), "type": str() | None as type, "data": str(data)} if _DIGEST.match(digest):
            try:
                return Content(bytes.fromhex(digest), base64.b64decode(data, validate=True), type)
            except ValueError as error:
                raise _bad(f"the content {digest} is no Base64") from error
        case _:
            raise _bad("a line of it is neither an event nor a content")


def _bad(what: str, hint: str = "it was damaged or made by hand: export the run again") -> ConfigError:
    return ConfigError(f"not the file of a run: {what}", hint=hint)
