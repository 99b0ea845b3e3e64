"""Batches: a provider's way to answer many requests within a day, for less (models/*_batches.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

from outlay.errors import ModelError
from outlay.protocols.model import Model
from outlay.protocols.transport import Transport
from outlay.values.request import ModelRequest, ModelResponse

#: What became of one request of a batch.
Fate: TypeAlias = Literal["answered", "failed", "expired", "cancelled", "missing"]


@dataclass(frozen=True, slots=True)
class Handed:
    """One request of a batch: its id, and its line as the provider takes it. `request` is what it was made of, for
    providers that are your own code."""

    id: str
    line: bytes
    request: ModelRequest


@dataclass(frozen=True, slots=True)
class Seen:
    """A batch as it stands. `refused` says why none of it was run; `results` are where its answers are, `requests`
    how many it holds, None if it does not say."""

    id: str
    ended: bool
    refused: ModelError | None = None
    results: tuple[str, ...] = ()
    requests: int | None = None


@dataclass(frozen=True, slots=True)
class Lost:
    """A submission of which nobody knows whether it arrived. `token` is what it was marked with, `ids` its requests,
    `since` when it was begun, in seconds since the epoch; `others` are batches that are known to be something else."""

    token: str
    ids: Sequence[str]
    since: float
    others: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Traced:
    """What a look for a lost submission found: its batch, or nothing; `unclear` while a batch that could be it does
    not show its requests yet."""

    id: str = ""
    unclear: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """One result: an answer, or an error that says whether it was billed and whether another attempt may help."""

    fate: Fate
    response: ModelResponse | None = None
    error: ModelError | None = None


class Batches(Protocol):
    """The batches of one model at one account. Every method that asks the provider raises ModelError where that
    refuses or cannot be reached; `may_be_billed` of a failed `submit` says that the batch may be there all the same.

    `group` names what may share a batch, at which account; `most_requests` and `most_bytes` are the provider's limits,
    and `window` the seconds that a batch may take.
    """

    @property
    def group(self) -> str: ...
    @property
    def most_requests(self) -> int: ...
    @property
    def most_bytes(self) -> int: ...
    @property
    def window(self) -> float: ...

    def hand(self, id: str, request: ModelRequest) -> Handed: ...

    async def submit(self, token: str, handed: Sequence[Handed], transport: Transport) -> str:
        """Send a batch, marked with `token` where the provider keeps marks; its id there."""
        ...

    async def look(self, batch: str, transport: Transport) -> Seen: ...

    async def lines(self, seen: Seen, transport: Transport) -> list[bytes]:
        """The results of a batch that has ended: JSON lines with a `custom_id` each, in any order."""
        ...

    def read(self, line: dict[str, Any]) -> Read:
        """One result. Never raises: a line that says nothing is a failed request."""
        ...

    async def trace(self, lost: Lost, transport: Transport) -> Traced:
        """Look for a submission that was begun and has no id."""
        ...


def batches_of(model: Model) -> Batches | None:
    """The batches of a model, None of one whose provider has none."""
    made = getattr(model, "batches", None)  # a protocol's `isinstance` takes long, and most models are not asked
    return None if made is None else made()
