"""Server-sent events, as the WHATWG standard parses them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import BadResponse
from outlay.models.sse import SseEvent, SseParser, events


def parse(*chunks: bytes) -> list[SseEvent]:
    parser = SseParser()
    return [event for chunk in chunks for event in parser.feed(chunk)]


def parse_all(parser: SseParser, chunks: list[bytes]) -> None:
    for chunk in chunks:
        parser.feed(chunk)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"data: a\n\n", [("message", "a")]),
        (b"event: ping\ndata: a\n\n", [("ping", "a")]),
        (b"data:a\n\n", [("message", "a")]),
        (b"data:  a\n\n", [("message", " a")]),
        (b"data: a\ndata: b\n\n", [("message", "a\nb")]),
        (b"data: a\r\rdata: b\r\n\r\n", [("message", "a"), ("message", "b")]),
        (b"\xef\xbb\xbfdata: a\n\n", [("message", "a")]),
        (b": a comment\n\ndata: a\n\n", [("message", "a")]),
        (b"event: lost\n\ndata: a\n\n", [("message", "a")]),
        (b"data\n\n", [("message", "")]),
        (b"data\ndata\n\n", [("message", "\n")]),
        (b"id: 1\nretry: 5\nunknown: x\ndata: a\n\n", [("message", "a")]),
        (b"data: a: b\n\n", [("message", "a: b")]),
        (b"data: never ended\n", []),
        (b"data: \xff\n\n", [("message", "\ufffd")]),
        ("data: é\u2028ö\n\n".encode(), [("message", "é\u2028ö")]),
        (b"", []),
    ],
)
def test_the_standard_is_followed(body: bytes, expected: list[tuple[str, str]]) -> None:
    """Fields, line ends, comments, byte order mark and blank lines mean what the standard says."""
    assert parse(body) == expected


LINES = st.lists(
    st.sampled_from(
        ["data: a", "data:", "data: é€😀", "data: \ufeff", ": c", "event: ping", "", "", "id: 1", 'data: {"x": 1}']
    ),
    max_size=12,
)
ENDS = st.sampled_from(["\n", "\r", "\r\n"])


@given(LINES, ENDS, st.booleans(), st.lists(st.integers(0, 200), max_size=8))
def test_where_the_chunks_are_cut_makes_no_difference(lines: list[str], end: str, bom: bool, cuts: list[int]) -> None:
    """A body cut anywhere, inside characters and line ends too, gives the same events."""
    body = (b"\xef\xbb\xbf" if bom else b"") + "".join(line + end for line in lines).encode()
    places = sorted({min(cut, len(body)) for cut in cuts})
    chunks = [body[a:b] for a, b in zip([0, *places], [*places, len(body)], strict=True)]
    assert parse(*chunks) == parse(body) == parse(*(bytes([b]) for b in body))


def test_an_endless_event_is_refused() -> None:
    """A server that never ends an event cannot fill the memory, in one line or in many."""
    for piece in (b"x" * 100, b"data: xxxx\n" * 10):
        parser = SseParser(max_event=1000)
        with pytest.raises(BadResponse, match="larger than 1,000 bytes"):
            parse_all(parser, [piece] * 100)


def test_many_comments_are_no_large_event() -> None:
    """A stream that is kept alive by comments for hours stays within the limit."""
    parser = SseParser(max_event=1000)
    for _ in range(1000):
        assert parser.feed(b": still thinking\n\n") == []


async def test_events_of_a_body() -> None:
    """`events` is the parser over an asynchronous body."""

    async def body() -> AsyncIterator[bytes]:
        for piece in (b"event: a\nda", b"ta: 1\n\ndata: 2", b"\n\n"):
            yield piece

    assert [event async for event in events(body())] == [("a", "1"), ("message", "2")]
