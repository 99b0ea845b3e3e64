"""Events for the tests of analysis, written down as briefly as they can be."""

from decimal import Decimal
from typing import Any

from outlay.events import CallFailed, CallFinished, CallStarted, Event

HAIKU = "anthropic:claude-haiku-4-5"
SONNET = "anthropic:claude-sonnet-4-6"


class Log:
    """The events of one run, in order; each a second after the last."""

    def __init__(self, run: str = "7f3a") -> None:
        self.run = run
        self.events: list[Event] = []

    def add(self, kind: type[Event], path: str = "", **fields: Any) -> None:
        seq = len(self.events)
        self.events.append(kind(run=self.run, seq=seq, time=1_000.0 + seq, path=path, **fields))

    def start(self, agent: str, model: str = HAIKU, *, attempt: int = 1, path: str = "", **fields: Any) -> None:
        names = {"agent": agent, "model": model, "attempt": attempt}
        self.add(CallStarted, path or agent, **names, **{"key": "k", "reserved": Decimal("0.01"), **fields})

    def finish(
        self,
        agent: str,
        model: str = HAIKU,
        *,
        attempt: int = 1,
        path: str = "",
        tokens: tuple[int | None, ...] = (10, 0, 0, 5),
        cost: str | None = "0.001",
        **fields: Any,
    ) -> None:
        buckets = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens")
        names = {"agent": agent, "model": model, "attempt": attempt, **dict(zip(buckets, tokens, strict=True))}
        paid = None if cost is None else Decimal(cost)
        self.add(CallFinished, path or agent, **names, **{"key": "k", "cost": paid, "seconds": 1.0, **fields})

    def fail(self, agent: str, model: str = HAIKU, *, attempt: int = 1, path: str = "", **fields: Any) -> None:
        names = {"agent": agent, "model": model, "attempt": attempt}
        self.add(CallFailed, path or agent, **names, **{"key": "k", "error": "Overloaded", "seconds": 0.5, **fields})

    def call(self, agent: str, model: str = HAIKU, *, key: str = "k", path: str = "", **fields: Any) -> None:
        """One call that is answered at the first attempt."""
        self.start(agent, model, key=key, path=path)
        self.finish(agent, model, key=key, path=path, **fields)
