"""Stored answers: a model's answer given again to exactly the same request, where its agent allows it.

The same request is the same effect: agent, model, conversation, instructions, tools, settings, at the same place of the
flow (so that the samples of a vote stay samples), with the same label and in the same scope. Nothing crosses tenants,
labels, or the line between models and their offline stand-ins. A store that fails costs an answer, never a run.
"""

from __future__ import annotations

import asyncio
import logging
from hashlib import blake2b
from typing import Any, Final, Literal, cast

import msgspec

from outlay.errors import OutlayError
from outlay.protocols.clock import wall_clock
from outlay.protocols.documents import Change, Documents
from outlay.values.label import TRUSTED
from outlay.values.request import ModelRequest, ModelResponse
from outlay.values.stored import dump, load
from outlay.values.usage import Usage

log = logging.getLogger("outlay")
COLLECTION: Final = "answers"
#: What was cut off or declined is no answer that anybody wants again.
_WHOLE: Final = ("end", "tool")


class _Answer(msgspec.Struct, array_like=True):
    """`at` in seconds since the epoch; `usage` in tokens: uncached, read, written, output, written for an hour."""

    at: float
    stop: Literal["end", "tool"]
    message: str
    usage: tuple[int, int, int, int, int] | None
    model: str = ""


_decode: Final = msgspec.json.Decoder(_Answer).decode


class AnswerCache:
    """The stage `cache` of a call's path. `fresh`: nothing is given again, what is new is stored."""

    def __init__(self, store: Documents, *, fresh: bool = False) -> None:
        self._store = store
        self._fresh = fresh

    async def find(self, key: str, request: ModelRequest) -> ModelResponse | None:
        found = None if request.reuse is None else await self._within(request.reuse.seconds, key, request)
        return None if found is None else found[0]

    async def stale(self, key: str, request: ModelRequest) -> tuple[ModelResponse, float] | None:
        return None if request.reuse is None else await self._within(request.reuse.stale, key, request)

    async def _within(self, seconds: float, key: str, request: ModelRequest) -> tuple[ModelResponse, float] | None:
        """The stored answer that is younger than so many seconds, and its age."""
        if self._fresh or seconds <= 0:
            return None
        try:
            document = await self._store.read(COLLECTION, _name(key, request))
            if document is None:
                return None
            answer = _decode(document.body)
            age = _now() - answer.at
            if not 0 <= age < seconds:
                return None
            message = load(answer.message.encode())
        except OutlayError:
            log.warning("a stored answer could not be read", exc_info=True)
            return None
        except (msgspec.MsgspecError, ValueError):  # of another version, or damaged
            return None
        usage = None if answer.usage is None else Usage(*answer.usage)
        return ModelResponse(message, answer.stop, usage, answer.model), age

    async def remember(self, key: str, request: ModelRequest, response: ModelResponse) -> None:
        if request.reuse is None or response.stop not in _WHOLE:
            return
        used = response.usage
        usage = None
        if used is not None:
            short = (used.input_tokens, used.cache_read_tokens, used.cache_write_tokens, used.output_tokens)
            usage = (*short, used.cache_write_1h_tokens)
        stop = cast("Any", response.stop)
        answer = _Answer(_now(), stop, dump(response.message).decode(), usage, response.model)
        change = Change(COLLECTION, _name(key, request), msgspec.json.encode(answer), None)
        try:
            await self._store.commit([change])
        except OutlayError:  # the answer is paid for, and is given all the same
            log.warning("an answer could not be stored", exc_info=True)


def _name(key: str, request: ModelRequest) -> str:
    """The document of this request: its key, its scope, and the label of what it is made of."""
    label = TRUSTED
    for message in request.messages:
        label = label.join(message.label)
    scope = "" if request.reuse is None else request.reuse.scope
    said = [key, scope, label.integrity.name, sorted(label.sources), sorted(label.tags)]
    return blake2b(msgspec.json.encode(said), digest_size=20).hexdigest()


def _now() -> float:
    return wall_clock(asyncio.get_running_loop())()
