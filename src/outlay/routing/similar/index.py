"""Index: the questions answered so far, and which of them is so near that its answer may be given again."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from outlay.errors import ConfigError
from outlay.routing.similar.embedding import Embedder
from outlay.routing.similar.facts import Facts, difference, facts_of
from outlay.values.reuse import Near

log = logging.getLogger("outlay")
Guard: TypeAlias = Callable[[str, str], str | None]
#: So many of the nearest are looked at: of questions that differ in a number only, there may be many.
_LOOKED_AT = 64
_ROOM = 256
RIVAL = "rival"


@dataclass(frozen=True, slots=True)
class _Entry:
    question: str
    name: str
    said: str
    facts: Facts


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look gave: the nearest question that fits, and what stood in the way of it or of nearer ones: a fact in
    which they differ, what a guard said, or that it has a `rival`, nearly as near and answered otherwise."""

    near: Near | None
    said: str = ""
    refused: tuple[tuple[str, Near], ...] = ()


class Index:
    """Nearest neighbours by cosine, one after the other: a matrix in memory, a few hundred microseconds for 10,000.

    A question is never given the answer of one that differs from it in a number, a date, a negation, quoted text or a
    name, or in what a guard says; nor where another question, less than `margin` further off, was answered otherwise.
    """

    def __init__(
        self,
        embedder: Embedder,
        threshold: float,
        margin: float,
        guards: Sequence[Guard] = (),
        most: int | None = None,
    ) -> None:
        self._embed = embedder.embed
        self._threshold = threshold
        self._margin = margin
        self._guards = tuple(guards)
        self._most = most
        self._matrix: Any = None
        #: By row; None for what was forgotten.
        self._entries: list[_Entry | None] = []
        self._rows: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, entries: Sequence[tuple[str, str, str]]) -> None:
        """Questions with the names and the digests of their answers; embedded together, which is faster."""
        if not entries:
            return
        vectors = self._vectors([question for question, _, _ in entries])
        self._make_room(len(entries), vectors)
        begin = len(self._entries)
        self._matrix[begin : begin + len(entries)] = vectors
        for question, name, said in entries:
            self.forget(name)
            self._rows[name] = len(self._entries)
            self._entries.append(_Entry(question, name, said, facts_of(question)))
        while self._most is not None and len(self._rows) > self._most:
            self.forget(next(iter(self._rows)))
        self._close_up()

    def forget(self, name: str) -> None:
        if (row := self._rows.pop(name, None)) is not None:
            self._entries[row] = None

    def near(self, question: str) -> Near | None:
        return self.look(question).near

    def look(self, question: str) -> Looked:
        """The nearest question above the threshold that fits, with what was refused on the way."""
        if not self._rows:
            return Looked(None)
        asked = facts_of(question)
        best: Near | None = None
        said = ""
        refused: list[tuple[str, Near]] = []
        for similarity, entry in self._nearest(self._vectors([question])[0]):
            if best is None and similarity <= self._threshold:
                break
            if best is not None and similarity <= best.similarity - self._margin:
                break
            if best is not None and entry.said == said:
                continue
            why = difference(asked, entry.facts) or self._guarded(question, entry.question)
            if why is not None:
                refused.append((why, Near(entry.name, entry.question, similarity)))
            elif best is None:
                best, said = Near(entry.name, entry.question, similarity), entry.said
            else:
                return Looked(None, refused=(*refused, (RIVAL, best)))
        return Looked(best, said, tuple(refused))

    def _nearest(self, vector: Any) -> Iterator[tuple[float, _Entry]]:
        import numpy as np

        size = len(self._entries)
        # of one thread: BLAS would use all cores for this little, and wait for them
        farness: Any = -np.einsum("ij,j->i", self._matrix[:size], vector)
        most = _LOOKED_AT + size - len(self._rows)
        rows: Any = farness.argpartition(most)[:most] if most < size else range(size)
        for row in sorted(map(int, rows), key=lambda row: (float(farness[row]), row)):  # of equals, the oldest
            entry = self._entries[row]
            if entry is not None:
                yield min(max(-float(farness[row]), 0.0), 1.0), entry

    def _close_up(self) -> None:
        """Give the room of what was forgotten back once it is half of all: looking costs what is there."""
        if len(self._entries) < max(_ROOM, 2 * len(self._rows)):
            return
        rows = list(self._rows.values())
        self._matrix[: len(rows)] = self._matrix[rows]
        self._entries = [self._entries[row] for row in rows]
        self._rows = {entry.name: row for row, entry in enumerate(self._entries) if entry is not None}

    def _guarded(self, asked: str, before: str) -> str | None:
        for guard in self._guards:
            try:
                problem = guard(asked, before)
            except Exception:
                log.warning("a guard of similar answers raised: no answer is given again", exc_info=True)
                return "a guard raised"
            if problem is not None:
                return problem
        return None

    def _vectors(self, questions: Sequence[str]) -> Any:
        import numpy as np

        rows: Any = np.asarray(self._embed(questions), dtype=np.float32)
        if rows.ndim != 2 or len(rows) != len(questions) or not bool(np.isfinite(rows).all()):
            raise ConfigError(
                f"the embedder gave {rows.shape} for {len(questions)} texts, or what is no number",
                hint="give one vector of finite numbers for each text",
            )
        lengths: Any = np.linalg.norm(rows, axis=1, keepdims=True)
        return rows / np.where(lengths > 0, lengths, math.inf)  # a text without a known word is like nothing

    def _make_room(self, more: int, vectors: Any) -> None:
        import numpy as np

        if self._matrix is None:
            self._matrix = np.zeros((max(_ROOM, more), vectors.shape[1]), dtype=np.float32)
        while len(self._entries) + more > len(self._matrix):
            self._matrix = np.concatenate([self._matrix, np.zeros_like(self._matrix)])
