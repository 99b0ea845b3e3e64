"""Known questions: very common ones with a fixed article, which need no search and so no knowledge agent.

A false match would answer the wrong question with confidence, while a missed one costs a knowledge call. So
a match asks for the same subject words, the same negation and close wording; and the flow asks that the
router is sure.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from triage_knowledge import content_stems
from triage_text import MAX_CHARACTERS, TfIdf, stems

QUESTIONS: Final = Path(__file__).with_name("known.csv")

MIN_SIMILARITY: Final = 0.55
"""Cosine over stems and stem pairs, question words included: "how long" is not "how much"."""

MIN_CONFIDENCE: Final = 0.8
"""What "the router is sure" means here: above the 0.7 at which a message is answered at all."""

_FILLER: Final = frozenset({"question", "know", "tell", "wonder", "hey", "hello", "thank", "guy", "new", "exact"})
"""Stems that do not change what is asked."""


@dataclass(frozen=True, slots=True)
class Known:
    """A known question that a message matches."""

    article: str
    question: str
    similarity: float


@dataclass(frozen=True, slots=True)
class _Table:
    rows: list[tuple[str, str]]
    subjects: list[frozenset[str]]
    index: TfIdf


@cache
def _table() -> _Table:
    with QUESTIONS.open(encoding="utf-8", newline="") as file:
        rows = [(row["article"], row["question"]) for row in csv.DictReader(file)]
    questions = [question for _, question in rows]
    return _Table(rows, [_subject(question) for question in questions], TfIdf(questions))


def known_question(message: str) -> Known | None:
    """The known question that `message` asks in nearly the same words, or None."""
    if len(message) > MAX_CHARACTERS:
        return None  # only its start would be compared
    table = _table()
    subject = _subject(message)
    candidates = [n for n, other in enumerate(table.subjects) if other == subject]
    if not candidates:
        return None
    scores = table.index.similarities(message)
    best = max(candidates, key=scores.__getitem__)
    if scores[best] < MIN_SIMILARITY:
        return None
    article, question = table.rows[best]
    return Known(article, question, scores[best])


def known_articles() -> set[str]:
    """Ids of all articles that the table points to."""
    return {article for article, _ in _table().rows}


def _subject(text: str) -> frozenset[str]:
    """What is asked about: the content stems without fillers, and whether something does not happen."""
    negated = {"not"} & set(stems(text))
    return frozenset((content_stems(text) - _FILLER) | negated)
