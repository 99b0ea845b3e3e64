"""What tools stand on: a server that may be slow, full or down, and what is done about that."""

from __future__ import annotations

from dataclasses import dataclass

from outlay.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Breaker:
    """When a tool or a server is left alone: after `failures` in a row that last at least `seconds`. Then one call each
    `probe` seconds finds out whether it is back.

    What `ignores` lists says something of the arguments, not of the world, and counts neither way.
    """

    failures: int = 5
    seconds: float = 0.0
    probe: float = 30.0
    ignores: tuple[type[BaseException], ...] = (ValueError, TypeError, LookupError)

    def __post_init__(self) -> None:
        if self.failures < 1 or not self.seconds >= 0 or not 0 < self.probe < float("inf"):
            raise ConfigError("Breaker: failures is at least 1, seconds not negative, probe positive")
        if not all(isinstance(kind, type) and issubclass(kind, BaseException) for kind in self.ignores):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"Breaker: ignores lists exception classes, not {self.ignores!r}")


@dataclass(frozen=True, eq=False)
class Server:
    """What several tools share: `Tool(…, server=crm)`. At most `concurrency` calls at once, over all runs of an event
    loop (None: any number), and one `breaker` for all of them.
    """

    name: str
    concurrency: int | None = None
    breaker: Breaker | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("a Server needs a name", hint='Server("crm", concurrency=4)')
        if self.concurrency is not None and (self.concurrency < 1 or isinstance(self.concurrency, bool)):
            raise ConfigError(f"{self.name}: concurrency is at least 1, or None, not {self.concurrency!r}")
