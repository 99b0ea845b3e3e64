"""TierGate: what decides whether the answer of a cascade's tier is good enough."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from outlay.protocols.context import RunContext
from outlay.values.tier_answer import TierAnswer


@runtime_checkable
class TierGate(Protocol):
    """A gate that sees the whole answer: its text, its tool calls, the model version. A plain gate is a function
    `(output) -> None | str` and sees the output only, and no turn that calls tools.
    """

    @property
    def asks(self) -> tuple[Any, ...]:
        """The models (as an agent would name them) and nodes that it may ask, for checks before anything is spent."""
        ...

    async def judge(self, ctx: RunContext[Any], answer: TierAnswer) -> str | None:
        """None to accept, else why not, in a line."""
        ...
