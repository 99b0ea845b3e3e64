"""What one peer passes to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic

from typing_extensions import TypeVar

T = TypeVar("T", default=Any)


@dataclass(frozen=True)
class Handoff(Generic[T]):
    """Hand the work over to `to`, a peer or its name. The peer gets `task` and the artifact, and nothing else of the
    sender: `artifact` is its typed work so far, or a summary.
    """

    to: Any
    task: str
    artifact: T | None = None

    @property
    def peer(self) -> str:
        """The name of the one it goes to."""
        return self.to if isinstance(self.to, str) else str(getattr(self.to, "name", self.to))
