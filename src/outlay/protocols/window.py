"""The seam of models whose context window is known. A model without it has one that nobody knows."""

from __future__ import annotations

from typing import Protocol

from outlay.protocols.model import Model


class Windowed(Protocol):
    @property
    def context_window(self) -> int | None:
        """Input and output tokens that a request may have together; None where that is not known."""
        ...


def window_of(model: Model) -> int | None:
    """None, too, of a model without the seam."""
    found = getattr(model, "context_window", None)
    return found if isinstance(found, int) else None
