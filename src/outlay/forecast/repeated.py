"""Text that several agents of a flow carry, and each pays for with every turn."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from outlay.values.estimate import estimated_tokens

#: Less in common may well be chance.
LEAST_CHARACTERS = 200
#: A sentence or a line: as much as people copy from one prompt to another.
_PIECE = re.compile(r"(?<=[.!?])\s+|\n+")


@dataclass(frozen=True, slots=True)
class Repeated:
    """`tokens` of text, estimated, that all of `agents` carry. `what`: instructions, or tools."""

    what: str
    agents: tuple[str, ...]
    tokens: int

    @property
    def extra(self) -> int:
        """Tokens of the copies beyond the first, where each agent makes one call."""
        return self.tokens * (len(self.agents) - 1)


def repeated(what: str, texts: Sequence[tuple[str, Iterable[str]]]) -> tuple[Repeated, ...]:
    """What the agents (name, its texts) have in common, by who has it in common, in the order of the texts.

    Compared sentence by sentence and line by line: a common beginning is seen, too, where the rest differs.
    """
    counts = [Counter(piece for text in of_one for piece in _pieces(text)) for _, of_one in texts]
    carriers: Mapping[str, list[int]] = defaultdict(list)
    for agent, pieces in enumerate(counts):
        for piece in pieces:
            carriers[piece].append(agent)
    characters: Counter[tuple[int, ...]] = Counter()
    for piece, agents in carriers.items():
        if len(agents) > 1:
            characters[tuple(agents)] += (len(piece) + 1) * min(counts[agent][piece] for agent in agents)
    return tuple(
        Repeated(what, tuple(texts[agent][0] for agent in agents), estimated_tokens(size))
        for agents, size in characters.items()
        if size >= LEAST_CHARACTERS
    )


def _pieces(text: str) -> list[str]:
    return [piece for piece in (raw.strip() for raw in _PIECE.split(text)) if piece]
