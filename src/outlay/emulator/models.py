"""What the emulator knows about models: how long a prompt must be to be cached, how long it may be at all, what
they lack.

An unlisted model is served like the newest of its provider; no feature is refused on its behalf. Minimum lengths:
Anthropic's prompt caching page as of 2026; windows, thinking and efforts: Anthropic's own list of models, July 2026.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

OPENAI_CACHE_MINIMUM = 1_024

_CLAUDE_4096 = re.compile(r"claude-(opus-4-[567]|haiku-4-5)")
_CLAUDE_2048 = re.compile(r"claude-(3-5-haiku|3-haiku|haiku-3)")
_CLAUDE_OUTPUT_32K = re.compile(r"claude-opus-4-1")
_CLAUDE_OUTPUT_64K = re.compile(r"claude-(opus|sonnet|haiku)-4-5")
_CLAUDE_NO_ADAPTIVE = re.compile(r"claude-((opus|sonnet|haiku)-4-5|opus-4-1)")
_CLAUDE_NO_ENABLED = re.compile(r"claude-(opus-4-[78]|(opus|sonnet|fable)-5$)")
_CLAUDE_NO_EFFORT = re.compile(r"claude-((sonnet|haiku)-4-5|opus-4-1)")
_CLAUDE_NO_MAX = re.compile(r"claude-opus-4-5")
_CLAUDE_NO_XHIGH = re.compile(r"claude-((opus|sonnet)-4-6|opus-4-5)")
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
    """`cache_minimum`, `context_window` and `max_output` in tokens.

    `cache_breakpoints`: prefixes are cached where the request marks them and writes are reported (every
    Claude, GPT from 5.6 on); otherwise the provider caches by itself, in steps, and writes cost nothing.
    """

    cache_minimum: int
    context_window: int
    cache_breakpoints: bool
    max_output: int = 128_000


@lru_cache(maxsize=1_024)
def facts(model: str) -> ModelFacts:
    """The facts of a model, by its name."""
    if model.startswith("claude"):
        minimum = 4_096 if _CLAUDE_4096.match(model) else 2_048 if _CLAUDE_2048.match(model) else 1_024
        window = 200_000 if _CLAUDE_200K.match(model) else 1_000_000
        output = 32_000 if _CLAUDE_OUTPUT_32K.match(model) else 64_000 if _CLAUDE_OUTPUT_64K.match(model) else 128_000
        return ModelFacts(minimum, window, cache_breakpoints=True, max_output=output)
    window = 128_000 if _GPT_128K.match(model) else 1_050_000
    return ModelFacts(OPENAI_CACHE_MINIMUM, window, cache_breakpoints=bool(_GPT_BREAKPOINTS.match(model)))


def thinking_complaint(model: str, kind: str) -> str | None:
    """What Anthropic says to a kind of thinking that the model lacks; the kinds are those of its list of models."""
    if kind == "adaptive" and _CLAUDE_NO_ADAPTIVE.match(model):
        return "adaptive thinking is not supported on this model"
    if kind == "enabled" and _CLAUDE_NO_ENABLED.match(model):
        return (
            '"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" and '
            '"output_config.effort" to control thinking behavior.'
        )
    return None


def effort_complaint(model: str, effort: str) -> str | None:
    """What Anthropic says to an effort that the model lacks."""
    if _CLAUDE_NO_EFFORT.match(model):
        return "This model does not support the effort parameter."
    if (effort == "max" and _CLAUDE_NO_MAX.match(model)) or (effort == "xhigh" and _CLAUDE_NO_XHIGH.match(model)):
        return f"This model does not support effort level '{effort}'."
    return None
