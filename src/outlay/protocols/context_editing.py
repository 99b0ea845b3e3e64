"""The seam of models whose provider clears old tool results by itself."""

from __future__ import annotations

from typing import Protocol

from outlay.protocols.model import Model
from outlay.values.request import ModelRequest


class EditsContext(Protocol):
    def edits_context(self, request: ModelRequest) -> bool:
        """Does the provider do what `request.edit` says? `send` then asks it to."""
        ...


def edits_context(model: Model, request: ModelRequest) -> bool:
    """False, too, of a model without the seam."""
    asked = getattr(model, "edits_context", None)
    return asked is not None and asked(request)
