"""LearnedRouter: a trained choice before the call, as the classifier of a `Router`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from outlay.errors import ConfigError
from outlay.routing.learned import Learned


@dataclass(frozen=True, slots=True)
class LearnedRouter:
    """Says `cheap` or `strong` of a text:

        route = LearnedRouter.load("router.json")
        flow = Router(route, {"cheap": small, "strong": large}, default=large)

    Runs on this machine in under a millisecond and costs nothing. `threshold` is of the expected gain; `at_share` sets
    it by the share of strong calls that you want to pay for.
    """

    learned: Learned
    threshold: float
    name: str = "learned_router"

    @classmethod
    def load(cls, path: str | Path) -> LearnedRouter:
        """From the file of `outlay router train`. Raises ConfigError for one that decides after the call."""
        learned = Learned.load(path)
        if learned.decides == "after":
            raise ConfigError(
                f"{Path(path).name} reads the cheap model's answer: it is a gate, not a router",
                hint="Cascade([cheap, strong], LearnedGate.load(…)), or train with --decides before",
            )
        return cls(learned, learned.threshold)

    def at_share(self, share: float) -> LearnedRouter:
        """The same with about this share of strong calls, on questions like those of the training."""
        return LearnedRouter(self.learned, self.learned.threshold_for(share), self.name)

    @property
    def __name__(self) -> str:
        return self.name

    def __call__(self, input: Any) -> Literal["cheap", "strong"]:
        return "strong" if self.learned.gain(text_of(input)) > self.threshold else "cheap"


def text_of(input: Any) -> str:
    """An input as the text that a router reads."""
    if isinstance(input, str):
        return input
    text: Any = getattr(input, "text", None)
    return text if isinstance(text, str) else json.dumps(input, default=str, ensure_ascii=False)
