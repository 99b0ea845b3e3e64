"""What a scripted model or an offline stand-in answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from outlay.values.request import StopKind
from outlay.values.usage import Usage


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer in tests and stand-ins: text, tool calls as `(name, arguments)`, or both.

    Without `usage`, tokens are estimated from the text (four characters a token, at least one). `logprobs` are the
    pieces of the text with the natural logarithm of each one's probability, for a gate that goes by them.
    """

    text: str = ""
    tool_calls: Sequence[tuple[str, Mapping[str, Any]]] = ()
    usage: Usage | None = None
    stop: StopKind | None = None
    thinking: str = ""
    logprobs: Sequence[tuple[str, float]] = ()
