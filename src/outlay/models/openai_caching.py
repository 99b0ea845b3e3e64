"""OpenAI's prompt cache, for both of its APIs.

Prefixes from 1,024 tokens on are found by themselves. `prompt_cache_key` brings requests with one prefix to one
machine. Up to GPT-5.5 writing is free. From GPT-5.6 on it is charged: the provider sets a breakpoint at the latest
message by itself, unless `prompt_cache_options.mode` is `explicit`.
Source: developers.openai.com/api/docs/guides/prompt-caching and the types of the official SDK.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from outlay.values.caching import CachePlan, CacheTerms

_TERMS: Final = CacheTerms(1024, 0)
_OPTIONS: Final = re.compile(r"gpt-(5\.([6-9]|\d\d)|[6-9])")
_OURS: Final = frozenset({"prompt_cache_key", "prompt_cache_options", "prompt_cache_retention"})


def cache_terms(extra: Mapping[str, Any] | None) -> CacheTerms | None:
    """None where `extra` steers the cache itself."""
    return None if extra and not _OURS.isdisjoint(extra) else _TERMS


def cache_fields(model: str, plan: CachePlan | None) -> dict[str, Any]:
    """The members of a body that carry out a plan."""
    if plan is None:
        return {}
    fields: dict[str, Any] = {"prompt_cache_key": plan.key} if plan.key else {}
    if plan.refused and _OPTIONS.match(model):
        fields["prompt_cache_options"] = {"mode": "explicit"}
    return fields
