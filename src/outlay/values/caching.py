"""Prompt caches: how a provider keeps prefixes, and what one request is to do about it.

A plan is a decision of the moment: it is put on the request that is sent and recorded, and is no part of any key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

#: How long a written prefix is kept from its last use.
Life: TypeAlias = Literal["5m", "1h"]
#: What an agent asks for: the break-even decides, nothing is cached, or every prefix is for that long.
CacheMode: TypeAlias = Literal["auto", "off", "5m", "1h"]
CACHE_MODES: tuple[CacheMode, ...] = ("auto", "off", "5m", "1h")
SECONDS: dict[Life, float] = {"5m": 300.0, "1h": 3600.0}


@dataclass(frozen=True, slots=True)
class CacheTerms:
    """How the provider of one model caches.

    `minimum`: tokens below which a prefix is neither written nor read. `marks`: how many breakpoints a request may
    set, 0 where the provider finds prefixes by itself.
    """

    minimum: int
    marks: int


@dataclass(frozen=True, slots=True)
class Mark:
    """A breakpoint: the prefix ends after all tools, after the system text or after the message with this index."""

    part: Literal["tools", "system", "message"]
    index: int
    life: Life

    def __str__(self) -> str:
        return f"{self.name} {self.life}"

    @property
    def name(self) -> str:
        return self.part if self.part == "tools" else f"{self.part} {self.index + 1}"


@dataclass(frozen=True, slots=True)
class CachePlan:
    """Breakpoints in the order of the prompt; `key` brings requests with one prefix to one machine (OpenAI).

    `refused`: a provider that would write by itself, and charge for it, is told not to.
    """

    marks: tuple[Mark, ...] = ()
    key: str = ""
    refused: bool = False
