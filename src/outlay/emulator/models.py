"""What the emulator knows about models: how long a prompt must be to be cached, how long it may be at all.

An unlisted model is served like the newest of its provider. Minimum lengths: Anthropic's prompt caching page
as of 2026; context windows: the providers' own model lists.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

OPENAI_CACHE_MINIMUM = 1_024

_CLAUDE_4096 = re.compile(r"claude-(opus-4-[567]|haiku-4-5)")
_CLAUDE_2048 = re.compile(r"claude-(3-5-haiku|3-haiku|haiku-3)")
_CLAUDE_200K = re.compile(r"claude-(3-|haiku-4|opus-4-[015]|opus-4-2|sonnet-4-2)")
_GPT_BREAKPOINTS = re.compile(r"gpt-(5\.([6-9]|\d\d)|[6-9])")
_GPT_128K = re.compile(r"gpt-(4o|3\.5|4-turbo)")

CLAUDE = (
    "claude-opus-5-5",
    "claude-sonnet-5-5",
    "claude-haiku-5-5",
    "claude-opus-4-8",
    "claude-sonnet-4-6",
    "claude-haiku-4-5",
)
GPT = ("gpt-6-sol", "gpt-5.6-sol", "gpt-5.5", "gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-4o-mini")


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """`cache_minimum` and `context_window` in tokens.

    `cache_breakpoints`: prefixes are cached where the request marks them and writes are reported (every
    Claude, GPT from 5.6 on); otherwise the provider caches by itself, in steps, and writes cost nothing.
    """

    cache_minimum: int
    context_window: int
    cache_breakpoints: bool


def facts(model: str) -> ModelFacts:
    """The facts of a model, by its name."""
    if model.startswith("claude"):
        minimum = 4_096 if _CLAUDE_4096.match(model) else 2_048 if _CLAUDE_2048.match(model) else 1_024
        return ModelFacts(minimum, 200_000 if _CLAUDE_200K.match(model) else 1_000_000, cache_breakpoints=True)
    window = 128_000 if _GPT_128K.match(model) else 1_050_000
    return ModelFacts(OPENAI_CACHE_MINIMUM, window, cache_breakpoints=bool(_GPT_BREAKPOINTS.match(model)))
