"""What the tests of both OpenAI adapters share: requests in short, and a Transport that answers with given bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from recordings import Interaction, Playback

from outlay.values.message import Message, user
from outlay.values.request import ModelRequest, OutputSpec, Prelude, ToolSpec
from outlay.values.settings import ModelSettings
from outlay.values.transcript import EMPTY


def asking(
    *messages: Message | str,
    system: tuple[str, ...] = (),
    tools: tuple[ToolSpec, ...] = (),
    output: OutputSpec | None = None,
    max_output_tokens: int = 1024,
    **settings: Any,
) -> ModelRequest:
    """A request of these messages; a string is a user's."""
    said = [user(one) if isinstance(one, str) else one for one in messages or ("hello",)]
    return ModelRequest(
        agent="tester",
        path="tester",
        prelude=Prelude(system, tools, output),
        transcript=EMPTY.append(*said),
        max_output_tokens=max_output_tokens,
        settings=ModelSettings(**settings),
    )


def answering(body: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Playback:
    """A Transport that gives one answer: bytes as they are, a list as a stream of events, else JSON."""
    if isinstance(body, list):
        body = sse(*body)
    elif not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return Playback(Interaction("scripted", 0, "openai", "", "POST", None, status, dict(headers or {}), body))


def sse(*events: Any) -> bytes:
    """A stream: a string stands as it is after `data:`, the rest as JSON."""
    lines = [event if isinstance(event, str) else json.dumps(event) for event in events]
    return "".join(f"data: {line}\n\n" for line in lines).encode()


def stream_events(body: bytes) -> list[dict[str, Any]]:
    """The JSON events of a recorded stream, read without the library's own parser."""
    text = body.decode().replace("\r\n", "\n")
    lines = [line[5:].strip() for block in text.split("\n\n") for line in block.split("\n") if line[:5] == "data:"]
    return [json.loads(line) for line in lines if line and line != "[DONE]"]
