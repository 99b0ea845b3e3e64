"""What travels between the agents of the triage flow. Closed where it can be, so that free text carries no
orders."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict

Label = Literal["billing", "technical", "general", "urgent"]
LABELS: Final[tuple[Label, ...]] = ("billing", "technical", "general", "urgent")

Why = Literal["low confidence", "urgent", "failed"]
"""Why a message went to a human, in the words of the progress display."""


def _share(value: float) -> float:
    if not 0.0 <= value <= 1.0:
        raise ValueError("a confidence is a number from 0 to 1")
    return value


class _Value(BaseModel):
    # Structured outputs want closed objects; frozen because a value that travels is a fact.
    model_config = ConfigDict(frozen=True, extra="forbid")


class Intent(_Value):
    """What a message is about, and how sure the router is."""

    label: Label
    # A validator and not ge/le: not every provider's structured outputs take numeric bounds in the schema.
    confidence: Annotated[float, AfterValidator(_share)]


class Passage(_Value):
    """A paragraph of a help article; `source` is the article's id, which a reply cites as [source]."""

    source: str
    text: str


class Findings(_Value):
    """The passages that help with a message, best first; empty if none does."""

    passages: list[Passage]


class Brief(_Value):
    """All that the reply agent is given: the customer's message and what was found."""

    message: str
    passages: list[Passage]


class Answer(_Value):
    """The outcome for one message: a reply to the customer, or a hand-over to a human and its reason."""

    to: Literal["customer", "human"]
    text: str
    label: str | None = None
    """The router's label; None if the router failed."""
    confidence: float | None = None
    sources: list[str] = []
    known: bool = False
    """A known question: answered from its article without the knowledge agent."""
    why: Why | None = None
    reason: str | None = None
    """The router's reason in full, for the colleague who takes over; None for a reply to the customer."""
