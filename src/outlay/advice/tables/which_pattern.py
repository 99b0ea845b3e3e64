"""Which pattern, by the question that it answers. What it costs and when it is wrong is the pattern's own profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import outlay.patterns as patterns
from outlay.advice.answer import Answer
from outlay.patterns.profile import Profile

TOPIC = "pattern"


@dataclass(frozen=True, slots=True)
class Trait:
    """Something that is true of the work, as a question, and the pattern that it calls for."""

    id: str
    asks: str
    pattern: str

    @property
    def profile(self) -> Profile:
        found: Any = getattr(patterns, self.pattern)
        return found.profile


#: The simpler pattern stands first: where several are called for, begin with it.
TRAITS: tuple[Trait, ...] = (
    Trait("known-steps", "Are the steps known, each needing the one before?", "Pipeline"),
    Trait("many-items", "Are there many items, or views of one, that do not need one another?", "FanOut"),
    Trait("kinds-of-input", "Do inputs differ in kind, and does a cheap look tell?", "Router"),
    Trait("mostly-easy", "Is a cheap model mostly right, and can something tell when not?", "Cascade"),
    Trait("must-pass", "Must nothing go further unseen?", "Gate"),
    Trait("can-be-mended", "Can somebody say what is wrong, so that it can be done again?", "Refine"),
    Trait("short-answers", "Are answers short, comparable, and right more often than not?", "Vote"),
    Trait("arguable", "Can answers be argued about, by members that really differ?", "Debate"),
    Trait("parts-unknown", "Are the parts known only once the goal is seen?", "Supervisor"),
    Trait("who-shows-late", "Does it show only during the work who is competent?", "Mesh"),
    Trait("builds-on", "Does each contribution build on the others'?", "RoundRobin"),
    Trait("findings-trigger", "Do findings trigger one another, in no known order?", "Blackboard"),
    Trait("beside", "Is there work that the answer does not wait for?", "Detached"),
)


def which_pattern(traits: Sequence[str]) -> Answer:
    """The patterns that these traits call for, the simplest first. Raises KeyError for a trait that there is not."""
    known = {one.id for one in TRAITS}
    for trait in traits:
        if trait not in known:
            raise KeyError(trait)
    found = [one for one in TRAITS if one.id in traits]
    if not found:
        return Answer(
            TOPIC,
            "none",
            "no pattern: one agent",
            ("nothing in the work calls for one",),
            tuple(f"{one.asks} {one.pattern}" for one in TRAITS[:3]),
        )
    return Answer(
        TOPIC,
        " + ".join(one.pattern for one in found),
        ", then ".join(f"{one.pattern} ({one.profile.cost})" for one in found),
        tuple(f"{one.pattern}: {one.profile.best_when}" for one in found),
        tuple(f"not {one.pattern} where {one.profile.worst_when}" for one in found),
        ("outlay forecast FLOW says what it costs before it runs, docs/patterns.md what happens when a member fails",),
    )
