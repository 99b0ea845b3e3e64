"""Tokens in four disjoint buckets, with the provider's own report beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """What one or several calls consumed, in tokens. The buckets do not overlap.

    `input_tokens` are the uncached ones (Anthropic's convention; OpenAI's `input_tokens` include cache reads
    and are converted where they arrive). `output_tokens` include thinking. `cache_write_1h_tokens` is the part
    of `cache_write_tokens` written for an hour, which costs more. `raw` is the provider's report, unchanged.
    """

    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    cache_write_1h_tokens: int = 0
    raw: Mapping[str, Any] | None = field(default=None, compare=False, repr=False)

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.input_tokens + other.input_tokens,
            self.cache_read_tokens + other.cache_read_tokens,
            self.cache_write_tokens + other.cache_write_tokens,
            self.output_tokens + other.output_tokens,
            self.cache_write_1h_tokens + other.cache_write_1h_tokens,
        )

    @property
    def all_input_tokens(self) -> int:
        """Everything the model read: uncached, cache reads and cache writes."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def total_tokens(self) -> int:
        return self.all_input_tokens + self.output_tokens

    def without_cache(self) -> Usage:
        """The same tokens, had nothing been cached."""
        return Usage(input_tokens=self.all_input_tokens, output_tokens=self.output_tokens)
