"""The seam of models whose provider caches prompts. A model without it is never planned for."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from outlay.values.caching import CacheTerms
from outlay.values.request import ModelRequest


@runtime_checkable
class Caching(Protocol):
    def caching(self, request: ModelRequest) -> CacheTerms | None:
        """How the provider caches this request; None where it does not, or where `extra` takes care of it.

        `send` then does what `request.cache_plan` says: it adds marks, and changes no byte of a prefix.
        """
        ...
