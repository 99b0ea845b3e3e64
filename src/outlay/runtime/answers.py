"""Stored answers: a model's answer given again to exactly the same request, where its agent allows it, and to one that
is nearly the same where it allows that, too.

The same request is the same effect: agent, model, conversation, instructions, tools, settings, at the same place of the
flow (so that the samples of a vote stay samples), with the same label and in the same scope. Nothing crosses tenants,
labels, or the line between models and their offline stand-ins. A store that fails costs an answer, never a run.
"""

from __future__ import annotations

import logging
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final, Literal, cast

import msgspec

from outlay.errors import OutlayError
from outlay.protocols.clock import wall_now
from outlay.protocols.documents import Change, Documents
from outlay.protocols.stages import AnswerKey, Given
from outlay.runtime.alike import Alike, question_of
from outlay.stores.memory import MemoryStore
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

    def __init__(self, store: Documents | None, *, fresh: bool = False) -> None:
        """Without a store, answers last as long as this cache."""
        self._given = store
        self.fresh = fresh

    @cached_property
    def _store(self) -> Documents:
        return MemoryStore() if self._given is None else self._given

    async def find(self, key: AnswerKey, request: ModelRequest) -> Given | None:
        reuse = request.reuse
        if reuse is None or self.fresh:
            return None
        found = await self._answer(_name(key, request), reuse.seconds)
        if found is not None:
            return Given(found[0])
        question = None if reuse.similar is None else question_of(request)
        if reuse.similar is None or question is None:
            return None
        try:
            alike = await Alike.of(self._store, _group(key, request), reuse.similar, reuse.seconds, wall_now())
        except OutlayError:
            log.warning("stored answers could not be read", exc_info=True)
            return None
        near = alike.near(question)
        if near is None:
            return None
        found = await self._answer(near.name, reuse.seconds)
        if found is None:
            alike.forget(near.name)
            return None
        if reuse.fits is not None and await reuse.fits(found[0].message.text) is not None:
            return None
        return Given(found[0], near.similarity)

    async def stale(self, key: AnswerKey, request: ModelRequest) -> tuple[ModelResponse, float] | None:
        if request.reuse is None or self.fresh:
            return None
        return await self._answer(_name(key, request), request.reuse.stale)

    async def remember(self, key: AnswerKey, request: ModelRequest, response: ModelResponse) -> None:
        reuse = request.reuse
        if reuse is None or response.stop not in _WHOLE:
            return
        used = response.usage
        usage = None
        if used is not None:
            short = (used.input_tokens, used.cache_read_tokens, used.cache_write_tokens, used.output_tokens)
            usage = (*short, used.cache_write_1h_tokens)
        stop = cast("Any", response.stop)
        name, now = _name(key, request), wall_now()
        answer = _Answer(now, stop, dump(response.message).decode(), usage, response.model)
        changes = [Change(COLLECTION, name, msgspec.json.encode(answer), None)]
        question = None if reuse.similar is None else question_of(request)
        try:
            if reuse.similar is not None and question is not None and not response.message.tool_calls:
                alike = await Alike.of(self._store, _group(key, request), reuse.similar, reuse.seconds, now)
                changes.append(alike.remembered(question, name, response.message.text, now))
            await self._store.commit(changes)
        except OutlayError:  # the answer is paid for, and is given all the same
            log.warning("an answer could not be stored", exc_info=True)

    async def _answer(self, name: str, seconds: float) -> tuple[ModelResponse, float] | None:
        """The stored answer that is younger than so many seconds, and its age."""
        if seconds <= 0:
            return None
        try:
            document = await self._store.read(COLLECTION, name)
            if document is None:
                return None
            answer = _decode(document.body)
            age = wall_now() - answer.at
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


def _name(key: AnswerKey, request: ModelRequest) -> str:
    """The document of this request: its key, its scope, and the label of what it is made of."""
    return _digest([key.provider, key.effect, *_bounds(key, request)])


def _group(key: AnswerKey, request: ModelRequest) -> str:
    """What two questions must have in common for one to be given the other's answer: all but the question."""
    place, _, n = key.effect.split("-")
    settings, prelude = request.settings.key.hex(), request.prelude.digest.hex()
    asked = [request.agent, prelude, settings, request.max_output_tokens]
    return _digest([key.provider, key.model, place, n, asked, *_bounds(key, request)])


def _bounds(key: AnswerKey, request: ModelRequest) -> list[Any]:
    """What no answer crosses: tenants, the scope, the label."""
    label = TRUSTED
    for message in request.messages:
        label = label.join(message.label)
    scope = "" if request.reuse is None else request.reuse.scope
    return [list(key.tenants), scope, label.integrity.name, sorted(label.sources), sorted(label.tags)]


def _digest(said: Any) -> str:
    return blake2b(msgspec.json.encode(said), digest_size=20).hexdigest()
