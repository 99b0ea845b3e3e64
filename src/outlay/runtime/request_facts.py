"""What stands in a request: the identity that it gives a call, and what is said of it."""

from __future__ import annotations

from collections import Counter

from outlay.protocols.model import Model
from outlay.runtime.identity import digest
from outlay.values.content import ProviderBlock
from outlay.values.logprobs import LOGPROBS
from outlay.values.message import Message
from outlay.values.request import ModelRequest


def call_key(place: str, scope: bytes, what: bytes, n: int) -> str:
    """The identity of an effect in its run: where it stands (node path and scope), input hash, how often before.

    Readable in parts, so that a resumed run can say what stood in the place of a changed effect.
    """
    return f"{digest(place.encode(errors='surrogatepass'), scope).hex()}-{what.hex()}-{n}"


def request_hash(model: Model, request: ModelRequest) -> bytes:
    """The logical request: what was asked for, never what the runtime made of it at the moment (SEMANTICS 1)."""
    return digest(
        request.agent.encode(),
        model.id.encode(),
        request.whole or request.transcript.head,
        request.prelude.digest,
        request.settings.key + b" logprobs" if request.logprobs else request.settings.key,
        request.max_output_tokens.to_bytes(8, "big"),
    )


def foreign_blocks(request: ModelRequest, model: Model) -> dict[str, int]:
    """The provider-only blocks of the last answer that `model` will not be sent, by kind (SEMANTICS 6).

    The last answer is enough: it is another provider's in the one call that follows the change.
    """
    for link in request.transcript.links():
        message = link.message
        if message is not None and message.role == "assistant":
            blocks = [p for p in message.parts if isinstance(p, ProviderBlock) and p.dialect != model.dialect]
            blocks = [block for block in blocks if block.kind != LOGPROBS]  # no model is sent those
            return dict(Counter(f"{block.dialect} {block.kind}" for block in blocks))
    return {}


def largest_segments(request: ModelRequest, most: int = 3) -> list[tuple[str, int]]:
    """The parts of a request with their sizes in bytes, largest first."""
    found = [(f"instructions {i + 1}", len(text.encode())) for i, text in enumerate(request.system)]
    found += [(f"tool {tool.name}", len(tool.schema) + len(tool.description)) for tool in request.tools]
    if request.prelude.output is not None:
        found.append(("the schema of output_type", len(request.prelude.output.schema)))
    found += [(f"message {i + 1} ({_who(m)})", len(m.canonical)) for i, m in enumerate(request.messages)]
    return sorted(found, key=lambda item: -item[1])[:most]


def _who(message: Message) -> str:
    tools = dict.fromkeys(result.name for result in message.tool_results)
    return f"results of {', '.join(tools)}" if tools else message.role
