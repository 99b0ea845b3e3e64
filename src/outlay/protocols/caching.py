"""The seam of models whose provider caches prompts. A model without it is never planned for."""

from __future__ import annotations

from typing import Protocol

from outlay.protocols.model import Model
from outlay.values.caching import CacheTerms
from outlay.values.request import ModelRequest


class Caching(Protocol):
    def caching(self, request: ModelRequest) -> CacheTerms | None:
        """How the provider caches this request; None where it does not, or where `extra` takes care of it. Asked at
        each call, so it must be quick.

        `send` then does what `request.cache_plan` says: it adds marks, and changes no byte of a prefix.
        """
        ...

    def cache_place(self) -> str:
        """Whose cache it is: address and account, told apart without saying the key."""
        ...


def terms_of(model: Model, request: ModelRequest) -> CacheTerms | None:
    """None, too, of a model without the seam. (`isinstance` of a protocol would take as long as the plan.)"""
    caching = getattr(model, "caching", None)
    return None if caching is None else caching(request)
