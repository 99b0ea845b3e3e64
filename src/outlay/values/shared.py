"""What agents share, as values: entries of a state, records of a log, messages of an outbox, artifacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Entry:
    """One name of a state as it was read: `version` 0 says that there is none (`value` is None then)."""

    name: str
    value: Any
    version: int


@dataclass(frozen=True, slots=True)
class LogRecord:
    """One record of a log; positions count from 0, without gaps."""

    position: int
    value: Any


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that a state change causes. `body` is JSON; messages with one `key` keep their order on the bus.

    `id` is what consumers tell repeats by; without one it gets one when it is committed.
    """

    topic: str
    body: Any
    key: str | None = None
    id: str = ""


@dataclass(frozen=True, slots=True)
class Artifact:
    """What is known of one version of an artifact: it never changes.

    `digest` (hex) covers type and content, `size` is in bytes. `author` is the path of who put it there, `agent` its
    name, `run` its run (empty from outside a run); `source` says what it was made from.
    """

    name: str
    version: int
    digest: str
    type: str
    size: int
    author: str = ""
    agent: str = ""
    run: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Collected:
    """What came back from a folder: the artifacts that are new or changed, and what was refused, by path, and why."""

    artifacts: tuple[Artifact, ...]
    refused: tuple[tuple[str, str], ...] = ()
