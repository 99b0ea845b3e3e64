"""A local server that speaks the providers' wire protocols, so that everything can be tested without a key.

`Emulator` serves the Anthropic Messages protocol (streaming, count_tokens, Message Batches) and OpenAI's
Responses, Chat Completions, Files and Batches, with prompt caches, rate limits, latency and faults on demand.
The official SDKs work against it unchanged.
"""

from outlay.emulator.answer import BilledUsage
from outlay.emulator.behaviour import Behaviour, Said, default_reply
from outlay.emulator.emulator import Emulator
from outlay.emulator.exchange import (
    EmulatedMessage,
    EmulatedReply,
    EmulatedRequest,
    ReplyUsage,
    ToolCall,
    ToolSpec,
)
from outlay.emulator.faults import Fault, Faults
from outlay.emulator.latency import Latency
from outlay.emulator.ledger import Record
from outlay.emulator.limits import Limits

__all__ = [
    "Behaviour",
    "BilledUsage",
    "EmulatedMessage",
    "EmulatedReply",
    "EmulatedRequest",
    "Emulator",
    "Fault",
    "Faults",
    "Latency",
    "Limits",
    "Record",
    "ReplyUsage",
    "Said",
    "ToolCall",
    "ToolSpec",
    "default_reply",
]
