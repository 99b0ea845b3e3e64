"""What a bill is made of: lines of equal calls, and the runs they were made for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class RunHead:
    """One run: `outcome` as `Result.stop_reason`, empty while it runs or if it was cut off; `seconds` of wall time."""

    run: str
    flow: str = ""
    outcome: str = ""
    seconds: float | None = None
    degraded: bool = False


@dataclass(frozen=True, slots=True)
class BillLine:
    """All model calls of one path, agent, model and purpose.

    `calls` are logical ones and `retries` the attempts beyond the first of each; a call that a second model
    answered after an error stands in that model's line, the failed attempt as a retry in its own. The token
    buckets do not overlap (`input_tokens` are uncached) and are None if a call's usage is unknown. `known_cost` in
    US dollars leaves out `unpriced` calls. `seconds` is the time of all attempts, failed ones too, one after another.
    `saved` is what the prompt cache saved, in US dollars; None if that is unknown for a call. `batched` of the calls
    were answered in a batch, which `saved_by_batch` against the list price, likewise.
    """

    path: str
    agent: str
    model: str
    purpose: str = "work"
    calls: int = 0
    retries: int = 0
    input_tokens: int | None = 0
    cache_read_tokens: int | None = 0
    cache_write_tokens: int | None = 0
    output_tokens: int | None = 0
    known_cost: Decimal = ZERO
    unpriced: int = 0
    seconds: float = 0.0
    saved: Decimal | None = ZERO
    batched: int = 0
    saved_by_batch: Decimal | None = ZERO

    @property
    def cost(self) -> Decimal | None:
        """US dollars, None if any of its calls is unpriced or its usage unknown."""
        return None if self.unpriced else self.known_cost

    @property
    def tokens(self) -> int | None:
        """Read and written, None if a call's usage is unknown."""
        buckets = (self.input_tokens, self.cache_read_tokens, self.cache_write_tokens, self.output_tokens)
        known = [tokens for tokens in buckets if tokens is not None]
        return sum(known) if len(known) == len(buckets) else None

    def __add__(self, other: BillLine) -> BillLine:
        """Both together; a name in which they differ becomes empty."""
        return BillLine(
            _same(self.path, other.path),
            _same(self.agent, other.agent),
            _same(self.model, other.model),
            _same(self.purpose, other.purpose),
            self.calls + other.calls,
            self.retries + other.retries,
            _sum(self.input_tokens, other.input_tokens),
            _sum(self.cache_read_tokens, other.cache_read_tokens),
            _sum(self.cache_write_tokens, other.cache_write_tokens),
            _sum(self.output_tokens, other.output_tokens),
            self.known_cost + other.known_cost,
            self.unpriced + other.unpriced,
            self.seconds + other.seconds,
            _money(self.saved, other.saved),
            self.batched + other.batched,
            _money(self.saved_by_batch, other.saved_by_batch),
        )


def grouped(lines: Iterable[BillLine], *names: str) -> dict[tuple[str, ...], BillLine]:
    """Lines added up by the values of these fields, in order of first appearance."""
    groups: dict[tuple[str, ...], BillLine] = {}
    for line in lines:
        key = tuple(getattr(line, name) for name in names)
        groups[key] = groups[key] + line if key in groups else line
    return groups


def _same(a: str, b: str) -> str:
    return a if a == b else ""


def _money(a: Decimal | None, b: Decimal | None) -> Decimal | None:
    return None if a is None or b is None else a + b


def _sum(a: int | None, b: int | None) -> int | None:
    return None if a is None or b is None else a + b
