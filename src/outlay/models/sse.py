"""Server-sent events out of chunks of bytes, as the WHATWG HTML standard parses them (section 9.2.6).

`id` and `retry` are for browsers that reconnect; a model's answer cannot be resumed, so they are read over.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator
from typing import Final, NamedTuple

from outlay.errors import BadResponse

#: Bytes of one event. The largest real ones are whole answers of about a megabyte.
MAX_EVENT: Final = 16 * 1024 * 1024
_BOM: Final = b"\xef\xbb\xbf"


class SseEvent(NamedTuple):
    event: str
    data: str


class SseParser:
    """Feed it chunks as they come; where they are cut makes no difference. A blank line completes an event."""

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self._max = max_event
        self._line: list[bytes] = []  # the pieces of a line whose end has not come
        self._data: list[bytes] = []
        self._event = b""
        self._line_size = self._data_size = 0
        self._start: bytes | None = b""  # what may yet be a byte order mark; None once that is settled
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """The events that this chunk completes. Raises BadResponse for an event larger than the limit."""
        if self._start is not None:
            chunk = self._start + chunk
            if len(chunk) < len(_BOM) and _BOM.startswith(chunk):
                self._start = chunk
                return []
            self._start = None
            chunk = chunk.removeprefix(_BOM)
        if self._after_cr and chunk:
            self._after_cr = False
            if chunk[:1] == b"\n":  # the other half of a CRLF
                chunk = chunk[1:]
        if not chunk:
            return []
        lines = chunk.splitlines()  # for bytes: at LF, CR and CRLF only
        self._after_cr = chunk[-1] == 13
        rest = b"" if chunk[-1] in b"\r\n" else lines.pop()
        found: list[SseEvent] = []
        if lines and self._line:
            lines[0] = b"".join(self._line) + lines[0]
            self._line.clear()
            self._line_size = 0
        for line in lines:
            if line:
                self._field(line)
            else:
                self._dispatch(found)
        if rest:
            self._line.append(rest)
            self._line_size += len(rest)
        if self._line_size + self._data_size > self._max:
            raise BadResponse(f"an event of the stream is larger than {self._max:,} bytes", retryable=False)
        return found

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if name == b"data":
            self._data.append(value)
            self._data_size += len(value) + 1
        elif name == b"event":
            self._event = value

    def _dispatch(self, found: list[SseEvent]) -> None:
        if self._data:
            data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
            found.append(SseEvent(self._event.decode(errors="replace") or "message", data.decode(errors="replace")))
            self._data.clear()
            self._data_size = 0
        self._event = b""


async def events(chunks: AsyncIterable[bytes], max_event: int = MAX_EVENT) -> AsyncIterator[SseEvent]:
    """The events of a body. What stands after the last blank line is dropped, as the standard says."""
    parser = SseParser(max_event)
    async for chunk in chunks:
        for event in parser.feed(chunk):
            yield event
