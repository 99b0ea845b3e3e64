"""What each family of Claude models can do: the table behind `Anthropic.check`.

From the provider's own list (`GET /v1/models`, recorded August 2026: output and context sizes, effort levels, kinds
of thinking, structured outputs), its pages on thinking and on migration, and for the models after that list from the
rule that they follow: since 4.7, thinking is adaptive and sampling is not for the caller. A model that stands nowhere
here is taken to be capable of everything; the provider then says what it is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Literal

from outlay.values.caching import CacheTerms
from outlay.values.settings import Effort


@dataclass(frozen=True, slots=True)
class Capabilities:
    """Sizes in tokens, None where unknown.

    `thinks`: whether the model thinks when nothing is said, and whether that can be turned off. `one_sampling`:
    temperature and top_p exclude each other. `image_tokens`: the most that one picture costs.
    """

    max_output: int | None = None
    context: int | None = None
    efforts: tuple[Effort, ...] = ("low", "medium", "high", "xhigh", "max")
    adaptive: bool = True
    budget: bool = True
    thinks: Literal["asked", "default", "always"] = "asked"
    sampling: bool = True
    one_sampling: bool = False
    structured: bool = True
    forced_tools: bool = True
    #: The efforts that need thinking to be on.
    efforts_of_thinking: tuple[Effort, ...] = ()
    image_tokens: int = 4784


_OLD: Final = Capabilities(4096, 200_000, (), adaptive=False, budget=False, structured=False, image_tokens=1600)
_FOUR: Final = Capabilities(64_000, 200_000, (), adaptive=False, structured=False, image_tokens=1600)
_FOUR_FIVE: Final = replace(_FOUR, structured=True, one_sampling=True)
_FOUR_SIX: Final = replace(
    _FOUR_FIVE, max_output=128_000, context=1_000_000, efforts=("low", "medium", "high", "max"), adaptive=True
)
_FOUR_SEVEN: Final = Capabilities(128_000, 1_000_000, budget=False, sampling=False)
_FIVE: Final = replace(_FOUR_SEVEN, thinks="default")
_ALWAYS: Final = replace(_FOUR_SEVEN, thinks="always")

#: By prefix of the model's name; the longest one that fits counts.
_FAMILIES: Final[dict[str, Capabilities]] = {
    "claude-3-": _OLD,
    "claude-3-5-": replace(_OLD, max_output=8192),
    "claude-3-7-": replace(_OLD, max_output=128_000, budget=True),
    "claude-sonnet-4-0": _FOUR,
    "claude-sonnet-4-2025": replace(_FOUR, context=1_000_000),
    "claude-opus-4-0": replace(_FOUR, max_output=32_000),
    "claude-opus-4-2025": replace(_FOUR, max_output=32_000),
    "claude-opus-4-1": replace(_FOUR_FIVE, max_output=32_000),
    "claude-haiku-4-5": _FOUR_FIVE,
    "claude-sonnet-4-5": replace(_FOUR_FIVE, context=1_000_000),
    "claude-opus-4-5": replace(_FOUR_FIVE, efforts=("low", "medium", "high")),
    "claude-sonnet-4-6": _FOUR_SIX,
    "claude-opus-4-6": _FOUR_SIX,
    "claude-opus-4-7": _FOUR_SEVEN,
    "claude-opus-4-8": _FOUR_SEVEN,
    "claude-opus-5": replace(_FIVE, efforts_of_thinking=("xhigh", "max")),
    "claude-sonnet-5": _FIVE,
    # Newer than the recorded list: no sizes.
    "claude-haiku-5": replace(_FIVE, max_output=None, context=None),
    "claude-fable-5": _ALWAYS,
    "claude-fable-5-1": replace(_ALWAYS, forced_tools=False),
    "claude-mythos-5": _ALWAYS,
    "claude-mythos-5-1": replace(_ALWAYS, forced_tools=False),
    "claude-mythos-preview": replace(_ALWAYS, budget=True, forced_tools=False),
}
_UNKNOWN: Final = Capabilities(thinks="default")


@cache
def capabilities(name: str) -> Capabilities:
    """What the model of this name can do."""
    fitting = [prefix for prefix in _FAMILIES if name.startswith(prefix)]
    return _FAMILIES[max(fitting, key=len)] if fitting else _UNKNOWN


#: Tokens below which a prefix is not cached, by prefix of the model's name: Anthropic's prompt caching page, 2026.
_CACHE_MINIMUM: Final = {
    "claude-opus-4-5": 4096,
    "claude-opus-4-6": 4096,
    "claude-opus-4-7": 4096,
    "claude-haiku-4-5": 4096,
    "claude-3-haiku": 2048,
    "claude-3-5-haiku": 2048,
}


@cache
def cache_terms(name: str) -> CacheTerms:
    """Four breakpoints; the shortest prefix is 1,024 tokens where nothing else is known."""
    least = next((least for prefix, least in _CACHE_MINIMUM.items() if name.startswith(prefix)), 1024)
    return CacheTerms(least, 4)
