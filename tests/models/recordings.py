"""Reads recorded provider traffic (`../shared/data/recordings`, INDEX.md there) and plays it back as a Transport.

Three families of files: VCR cassettes in their dialects (YAML or JSON; body as text, base64, gzip, or parsed), bare
response bodies (`ai__*.json`), and bare stream events, one JSON document a line (`*.chunks.txt`).
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from outlay.protocols.transport import HttpReply, Timeouts

DATA = Path(__file__).resolve().parents[2].parent / "shared/data"
FOLDER = DATA / "recordings"


@dataclass(frozen=True)
class Interaction:
    """One request and its answer. `request` is None where only the answer was kept, or is no JSON.

    `endpoint` is the path below `/v1`, ids replaced: `messages`, `chat/completions`, `files/{id}`. Header names are
    lower case; the body is decompressed.
    """

    file: str
    index: int
    provider: str
    endpoint: str
    method: str
    request: Any
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def streamed(self) -> bool:
        return self.body.lstrip()[:6] in (b"event:", b"data: ", b"data:{")

    def __str__(self) -> str:
        return f"{self.file}#{self.index}"


@cache
def interactions() -> tuple[Interaction, ...]:
    """Every recorded interaction, in the order of file names; empty where the data are absent."""
    found: list[Interaction] = []
    for path in sorted(FOLDER.glob("*")):
        if path.name != "INDEX.md":
            found.extend(_read(path))
    return tuple(found)


def recorded(provider: str, *endpoints: str) -> list[Any]:
    """Parameters for `pytest.mark.parametrize("recording", …)`; one skipped parameter where the data are absent."""
    if not FOLDER.is_dir():
        return [pytest.param(None, marks=pytest.mark.skip(reason="no recordings at ../shared/data/recordings"))]
    return [
        pytest.param(one, id=str(one))
        for one in interactions()
        if one.provider == provider and one.endpoint in endpoints
    ]


def pieces(body: bytes) -> list[bytes]:
    """The body cut at awkward places: single bytes at first, then odd sizes that split lines and characters."""
    found: list[bytes] = []
    at, size = 0, 1
    while at < len(body):
        found.append(body[at : at + size])
        at += size
        size = size % 61 + 6 if at > 40 else 1
    return found


@dataclass
class Playback:
    """A Transport that answers every request with one recorded answer and keeps what was sent."""

    recording: Interaction
    sent: list[tuple[str, Mapping[str, str], bytes]] = field(default_factory=list)

    @property
    def request(self) -> Any:
        """The last body that was sent, parsed."""
        return json.loads(self.sent[-1][2])

    async def post(self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts = ...) -> HttpReply:  # type: ignore[assignment]
        self.sent.append((url, headers, body))
        return HttpReply(self.recording.status, self.recording.headers, self.recording.body)

    @asynccontextmanager
    async def stream(self, url: str, headers: Mapping[str, str], body: bytes, timeouts: Timeouts = ...) -> Any:  # type: ignore[assignment]
        self.sent.append((url, headers, body))
        yield _Body(self.recording.status, self.recording.headers, self.recording.body)


@dataclass
class _Body:
    status: int
    headers: Mapping[str, str]
    body: bytes

    async def chunks(self) -> AsyncIterator[bytes]:
        for piece in pieces(self.body):
            yield piece

    async def read(self) -> bytes:
        return self.body


def _read(path: Path) -> list[Interaction]:
    raw = path.read_bytes()
    if path.name.endswith(".chunks.txt"):
        events = [json.loads(line) for line in raw.splitlines() if line.strip()]
        body = b"".join(
            (f"event: {event['type']}\n" if "type" in event else "").encode()
            + b"data: "
            + json.dumps(event).encode()
            + b"\n\n"
            for event in events
        )
        return [_bare(path, 0, body)]
    document = json.loads(raw) if path.suffix == ".json" else yaml.load(raw, Loader=_Loader)
    match document:
        case {"interactions": list() as found} | {"http_interactions": list() as found}:
            return [_interaction(path, i, one) for i, one in enumerate(found)]
        case {"request": _, "response": _}:
            return [_interaction(path, 0, document)]
        case {"results": list() as results, "batch": _}:  # a batch as the ellmer package keeps it
            return [_bare(path, i, json.dumps(one["message"]).encode()) for i, one in enumerate(results)]
        case _:
            return [_bare(path, 0, raw)]


def _bare(path: Path, index: int, body: bytes) -> Interaction:
    anthropic = "anthropic" in path.name
    status = 400 if body.startswith(b'{"error"') or b'"error": {' in body[:40] else 200
    return Interaction(
        path.name,
        index,
        "anthropic" if anthropic else "openai",
        "messages" if anthropic else "responses",
        "POST",
        None,
        status,
        {"content-type": "application/json"},
        body,
    )


def _interaction(path: Path, index: int, one: Any) -> Interaction:
    request, response = one["request"], one["response"]
    url = urlsplit(request.get("uri") or request["url"])
    endpoint = re.sub(r"/[a-z]+(?:_|-)[A-Za-z0-9_-]{12,}", "/{id}", url.path.removeprefix("/v1/"))
    status: Any = response.get("status_code") or response.get("status")
    if isinstance(status, dict):
        status = status["code"]
    headers = {
        str(name).lower(): str(value[0] if isinstance(value, list) else value)
        for name, value in (response.get("headers") or {}).items()
    }
    headers.pop("content-encoding", None)
    return Interaction(
        path.name,
        index,
        "anthropic" if "anthropic" in (url.hostname or "") else "openai",
        endpoint,
        request["method"].upper(),
        _request(request),
        int(status),
        headers,
        _body(response),
    )


def _request(request: Any) -> Any:
    if "parsed_body" in request:
        return request["parsed_body"]
    try:
        return json.loads(_body(request))
    except ValueError:
        return None


def _body(side: Any) -> bytes:
    if "parsed_body" in side:
        return json.dumps(side["parsed_body"]).encode()
    found: Any = side.get("body", side.get("content"))
    if isinstance(found, dict):
        found = base64.b64decode(found["base64_string"]) if "base64_string" in found else found.get("string", "")
    if isinstance(found, str):
        found = found.encode()
    if not isinstance(found, bytes):
        return b""
    return gzip.decompress(found) if found[:2] == b"\x1f\x8b" else found


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """YAML without dates: bodies hold times that must stay the text they are."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:timestamp"]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
