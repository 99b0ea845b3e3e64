"""A minimal Messages API in a process of its own: the least a server can do, so that the client is what is measured.

    python -m bench.server            prints its port and serves until stdin ends

The first part of the path is the latency in milliseconds: `http://127.0.0.1:PORT/200/v1/messages`.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

_BODY = json.dumps(
    {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "claude-haiku-4-5-20251001",
        "content": [{"type": "text", "text": "Because the air scatters blue light more than red."}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 24,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 14,
            "service_tier": "standard",
        },
    },
    separators=(",", ":"),
).encode()
_HEAD = (
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nrequest-id: req_bench\r\n"
    "anthropic-ratelimit-requests-remaining: 99\r\nanthropic-ratelimit-requests-reset: 2027-01-15T08:00:01Z\r\n"
    "anthropic-ratelimit-tokens-remaining: 100000\r\nanthropic-ratelimit-tokens-reset: 2027-01-15T08:00:01Z\r\n"
)
_ANSWER = f"{_HEAD}content-length: {len(_BODY)}\r\n\r\n".encode() + _BODY


class Messages(asyncio.Protocol):
    """HTTP/1.1 as far as the clients here speak it: bodies with a length, one request at a time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._pieces = bytearray()
        self._whole = 0  # length of the request that is arriving, 0 while its head is not there yet
        self._delay = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._pieces += data
        if not self._whole:
            end = self._pieces.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._pieces[:end]).lower()
            at = head.index(b"content-length:") + 15
            self._whole = end + 4 + int(head[at : at + 20].split(b"\r\n", 1)[0])
            self._delay = int(head.split(b"/", 2)[1]) / 1000
        if len(self._pieces) >= self._whole:
            del self._pieces[: self._whole]
            self._whole = 0
            if self._delay:
                self._loop.call_later(self._delay, self._transport.write, _ANSWER)
            else:
                self._transport.write(_ANSWER)


async def main() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Messages(loop), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(main())
