"""Batches, decided: what an attempt is called in one, when one is closed, and what its results account for.

Pure: the time is an argument, and nothing here knows a provider.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias, cast

from outlay.errors import ConfigError

#: What becomes of a call that its batch did not answer: into another batch, at once at the list price, or an error.
OnFailure: TypeAlias = Literal["retry", "live", "fail"]


@dataclass(frozen=True, slots=True)
class Batching:
    """How model calls are collected into batches. Times are in seconds.

    A batch is closed at `max_requests`, at `max_bytes` of request bodies (or at the provider's own limits, where those
    are lower), when its first call has waited `max_wait`, when none has come for `quiet`, and at once when all runs
    wait for it. `poll` is the wait before the first look at a batch, which doubles up to `max_poll`. `settle` is how
    long a submission without an answer may still appear in the provider's list of batches. `on_failure` is for what a
    batch leaves without an answer and another attempt may help (expired, cancelled, missing, not readable, overloaded):
    "retry" puts it into another batch, "live" asks at once and at the list price, "fail" gives it up.

    Raises ConfigError for a limit that nothing could meet.
    """

    max_requests: int = 10_000
    max_bytes: int = 32_000_000
    max_wait: float = 60.0
    quiet: float = 2.0
    poll: float = 1.0
    max_poll: float = 300.0
    settle: float = 60.0
    on_failure: OnFailure = "retry"

    def __post_init__(self) -> None:
        for name in ("max_requests", "max_bytes"):
            if getattr(self, name) < 1:
                raise ConfigError(f"Batching: {name} must be at least 1, not {getattr(self, name)!r}")
        for name in ("max_wait", "quiet", "poll", "max_poll", "settle"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ConfigError(f"Batching: {name} is in seconds and not negative, not {getattr(self, name)!r}")
        if self.poll <= 0 or self.max_poll < self.poll:
            raise ConfigError(f"Batching: poll={self.poll!r} must be over 0 and at most max_poll={self.max_poll!r}")
        if self.on_failure not in ("retry", "live", "fail"):
            raise ConfigError(
                f"Batching: on_failure={self.on_failure!r} is not understood", hint="use retry, live or fail"
            )

    def pause(self, looks: int) -> float:
        """Seconds before the next look at a batch that was looked at so often."""
        return min(self.poll * 2.0 ** min(looks, 30), self.max_poll)


def custom_id(run: str, key: str, model: str) -> str:
    """What one effect is called at the provider, by its run, its key in the journal (which holds the hash of the
    request) and the model that is asked: the same in every process that goes on with the run, and so the key that
    keeps it from being sent twice. 43 of the 64 characters that providers take.
    """
    named = "".join(f"{len(part)}:{part}" for part in (run, key, model)).encode(errors="surrogatepass")
    return "ol-" + hashlib.blake2b(named, digest_size=20).hexdigest()


@dataclass(slots=True)
class Gathering:
    """A batch that is still open: what it holds, and until when it may wait."""

    batching: Batching
    since: float
    last: float = 0.0
    requests: int = 0
    size: int = 0

    def fits(self, size: int) -> bool:
        """Is there room for one more request of so many bytes? There always is for the first."""
        full = self.requests >= self.batching.max_requests or self.size + size > self.batching.max_bytes
        return not self.requests or not full

    def add(self, size: int, now: float) -> None:
        self.requests += 1
        self.size += size
        self.last = now

    def due(self) -> float:
        """When it is to be closed, in the time of `since`."""
        if self.requests >= self.batching.max_requests or self.size >= self.batching.max_bytes:
            return self.last
        return min(self.since + self.batching.max_wait, self.last + self.batching.quiet)


@dataclass(frozen=True, slots=True)
class Reconciled:
    """The results of a batch against its requests. Each request is either in `answers` or in `missing`.

    `duplicate` ids came more than once (the first counts), `unknown` ones were never sent, and `unreadable` lines
    name nobody: what they answered is among the missing.
    """

    answers: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    missing: tuple[str, ...] = ()
    duplicate: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unreadable: int = 0

    @property
    def clean(self) -> bool:
        return not (self.missing or self.duplicate or self.unknown or self.unreadable)


def reconcile(asked: Sequence[str], lines: Iterable[bytes]) -> Reconciled:
    """Hold the lines of a result against the ids that were asked. Blank lines are nothing; a line that is no JSON
    object, or has no `custom_id`, is unreadable."""
    wanted = dict.fromkeys(asked)
    answers: dict[str, dict[str, Any]] = {}
    duplicate: dict[str, None] = {}
    unknown: dict[str, None] = {}
    unreadable = 0
    for line in lines:
        if not line.strip():
            continue
        found = _object(line)
        name = None if found is None else found.get("custom_id")
        if found is None or not isinstance(name, str):
            unreadable += 1
        elif name not in wanted:
            unknown[name] = None
        elif name in answers:
            duplicate[name] = None
        else:
            answers[name] = found
    missing = tuple(name for name in wanted if name not in answers)
    return Reconciled(answers, missing, tuple(duplicate), tuple(unknown), unreadable)


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        found: Any = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, Any]", found) if isinstance(found, dict) else None
