"""Rate limits: token buckets that refill continuously, and the headers that tell the client about them.

Without a limit the headers show a generous one and nothing is refused. Anthropic counts requests, input
tokens (those read from the cache are free) and output tokens; OpenAI counts requests and tokens.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache

from outlay.emulator.exchange import Provider
from outlay.emulator.problems import ErrorAnswer, Problem

_SHOWN_REQUESTS = 4_000
_SHOWN_INPUT = 2_000_000
_SHOWN_OUTPUT = 400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits per provider and model, each per minute; `None` does not limit.

    A limit is what may come at once and also what comes back within a minute, as with the providers.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Input tokens that are not read from the cache."""
    output_tokens_per_minute: int | None = None
    """Anthropic only; charged after the answer, as its length is not known before."""


@dataclass(slots=True)
class _Bucket:
    limit: int | None
    shown: int
    level: float = field(init=False)
    at: float = 0.0

    def __post_init__(self) -> None:
        self.level = float(self.capacity)

    @property
    def capacity(self) -> int:
        return self.shown if self.limit is None else self.limit

    def refill(self, now: float) -> None:
        if self.limit is None:
            return
        self.level = min(self.level + (now - self.at) * self.limit / 60.0, float(self.limit))
        self.at = now

    def wait(self, amount: int) -> float:
        """Seconds until there is enough; an amount above the limit waits for a full bucket."""
        missing = min(amount, self.capacity) - self.level
        return 0.0 if self.limit is None or missing <= 1e-9 else missing * 60.0 / max(self.limit, 1e-9)

    def take(self, amount: int) -> None:
        if self.limit is not None:
            self.level -= amount

    @property
    def until_full(self) -> float:
        return 0.0 if self.limit is None else max(self.limit - self.level, 0.0) * 60.0 / max(self.limit, 1e-9)


class _Buckets:
    def __init__(self, limits: Limits) -> None:
        self.requests = _Bucket(limits.requests_per_minute, _SHOWN_REQUESTS)
        self.input = _Bucket(limits.tokens_per_minute, _SHOWN_INPUT)
        self.output = _Bucket(limits.output_tokens_per_minute, _SHOWN_OUTPUT)


class Limiter:
    """The buckets of all models. `clock` in seconds since 1970."""

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._unlimited = limits == Limits()
        self._models: dict[tuple[Provider, str], _Buckets] = {}
        self._shown: dict[Provider, tuple[int, dict[str, str]]] = {}

    def clear(self) -> None:
        """All buckets are full again."""
        self._models.clear()

    def admit(self, provider: Provider, model: str, tokens: int) -> None:
        """Take one request of so many tokens, or raise the provider's 429."""
        if self._unlimited:
            return
        buckets = self._buckets(provider, model)
        if (wait := buckets.requests.wait(1)) > 0:
            raise self._refusal(provider, model, buckets, "requests", buckets.requests, 1, wait)
        if (wait := buckets.input.wait(tokens)) > 0:
            raise self._refusal(provider, model, buckets, "tokens", buckets.input, tokens, wait)
        if provider == "anthropic" and (wait := buckets.output.wait(1)) > 0:
            raise self._refusal(provider, model, buckets, "output tokens", buckets.output, 1, wait)
        buckets.requests.take(1)
        buckets.input.take(tokens)

    def charge_output(self, provider: Provider, model: str, tokens: int) -> None:
        """Take the output of an answer, once it is known."""
        if self._limits.output_tokens_per_minute is not None:
            self._buckets(provider, model).output.take(tokens)

    def headers(self, provider: Provider, model: str) -> dict[str, str]:
        """The provider's rate-limit headers, as of now."""
        if not self._unlimited:
            return self._headers(provider, model)
        second = int(self._clock())  # without limits the headers change only with the time of day
        if (shown := self._shown.get(provider)) is None or shown[0] != second:
            shown = self._shown[provider] = (second, self._headers(provider, model))
        return shown[1]

    def _headers(self, provider: Provider, model: str) -> dict[str, str]:
        buckets = self._buckets(provider, model)
        return self._anthropic(buckets) if provider == "anthropic" else self._openai(buckets)

    def _buckets(self, provider: Provider, model: str) -> _Buckets:
        buckets = self._models.get((provider, model))
        if buckets is None:
            buckets = self._models[provider, model] = _Buckets(self._limits)
        now = self._clock()
        for bucket in (buckets.requests, buckets.input, buckets.output):
            bucket.refill(now)
        return buckets

    def _anthropic(self, buckets: _Buckets) -> dict[str, str]:
        headers: dict[str, str] = {}
        now = self._clock()
        for name, bucket in (
            ("requests", buckets.requests),
            ("input-tokens", buckets.input),
            ("output-tokens", buckets.output),
        ):
            prefix = f"anthropic-ratelimit-{name}-"
            headers[prefix + "limit"] = str(bucket.capacity)
            headers[prefix + "remaining"] = str(max(int(bucket.level), 0))
            headers[prefix + "reset"] = _rfc3339(int(now + bucket.until_full))
        tokens = "anthropic-ratelimit-tokens-"
        headers[tokens + "limit"] = str(buckets.input.capacity + buckets.output.capacity)
        headers[tokens + "remaining"] = str(max(int(buckets.input.level), 0) + max(int(buckets.output.level), 0))
        headers[tokens + "reset"] = _rfc3339(int(now + max(buckets.input.until_full, buckets.output.until_full)))
        return headers

    def _openai(self, buckets: _Buckets) -> dict[str, str]:
        headers: dict[str, str] = {}
        for name, bucket in (("requests", buckets.requests), ("tokens", buckets.input)):
            headers[f"x-ratelimit-limit-{name}"] = str(bucket.capacity)
            headers[f"x-ratelimit-remaining-{name}"] = str(max(int(bucket.level), 0))
            headers[f"x-ratelimit-reset-{name}"] = _span(bucket.until_full)
        return headers

    def _refusal(
        self, provider: Provider, model: str, buckets: _Buckets, what: str, bucket: _Bucket, asked: int, wait: float
    ) -> Problem:
        headers = self._anthropic(buckets) if provider == "anthropic" else self._openai(buckets)
        if provider == "anthropic":
            unit = {"requests": "requests", "tokens": "input tokens"}.get(what, what)
            message = (
                f"This request would exceed your organization's rate limit of {bucket.capacity:,} {unit} per minute "
                f"(model: {model}). For details, refer to: https://docs.claude.com/en/api/rate-limits."
            )
            return Problem(ErrorAnswer(429, message, headers={**headers, "retry-after": str(math.ceil(wait))}))
        short = "RPM" if what == "requests" else "TPM"
        message = (
            f"Rate limit reached for {model} in organization org-emulator on {what} per min ({short}): "
            f"Limit {bucket.capacity}, Used {bucket.capacity - max(int(bucket.level), 0)}, Requested {asked}. "
            f"Please try again in {_span(wait)}. Visit https://platform.openai.com/account/rate-limits to learn more."
        )
        headers |= {"retry-after": str(math.ceil(wait)), "retry-after-ms": str(math.ceil(wait * 1_000))}
        return Problem(ErrorAnswer(429, message, what, "rate_limit_exceeded", headers=headers))


@lru_cache(maxsize=256)
def _rfc3339(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _span(seconds: float) -> str:
    """A length of time as OpenAI writes it: `12ms`, `1.5s`, `6m0s`."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1_000)}ms" if seconds > 0 else "0s"
    if seconds < 60:
        return f"{seconds:.3f}".rstrip("0").rstrip(".") + "s"
    return f"{int(seconds // 60)}m{int(seconds % 60)}s"
