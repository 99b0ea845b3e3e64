"""The offline stand-ins: three simple programs that take the models' places when there is no key.

They are what they are called and no more: a naive Bayes classifier
over the phrases in phrases.csv with a list of alarm words, a full-text search, and a reply
made of sentences from the articles. They show the flow, its hand-overs and its bill; they say nothing about
how well a model would do. Every reply of theirs begins by saying so.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

from pydantic import TypeAdapter, ValidationError
from triage_knowledge import content_stems, key_words, library
from triage_prompts import NO_ANSWER, read_brief, unquote
from triage_text import features, stem, stems
from triage_types import LABELS, Findings, Intent, Label, Passage

if TYPE_CHECKING:
    from outlay.testing import Reply

PHRASES: Final = Path(__file__).with_name("phrases.csv")

SMOOTHING: Final = 0.3
"""Added to the count of every term in every class, so that an unseen one is unlikely, not impossible."""

TEMPERATURE: Final = 0.75
"""Makes confidences mean something: naive Bayes counts dependent words as independent and is far too sure.
Chosen as the best log-loss when each phrase is classified by the others; no message of a test set was
used."""

MIN_TERMS: Final = 6
"""A message of two or three words counts as if it had this many terms: it cannot make the classifier sure."""

ALARM_WORDS: Final = (
    "stolen", "stole", "steal", "stealing", "theft", "thief", "robbed", "robbery", "mugged", "snatched",
    "fraud", "fraudulent", "fraudster", "scam", "scammed", "scammer", "hack", "hacked", "hacker", "phishing",
    "compromised", "unauthorised",
)  # fmt: skip
"""One of these makes a message urgent whatever else it says: reading one too many costs a colleague a
minute, missing one may cost a customer the account."""

ALARM_CONFIDENCE: Final = 0.9
_ALARMS: Final = frozenset(stem(word) for word in ALARM_WORDS)

OPENING: Final = "From our help articles, quoted by an offline stand-in and not written by a model:"
MAX_SENTENCES: Final = 5
MAX_WORDS: Final = 150
"""Room to spare below the 200 words that are checked, for the opening and the citations."""

MIN_OVERLAP: Final = 0.3
"""Share of a message's weight of words that a passage must have in common with it to count as help."""

LONG_WORDS: Final = 60
"""Words from which on a message is a story."""

MAX_WEIGHT: Final = 20.0
"""Weight above which a message counts as no longer: a long story asks about five or six rare words of it."""

_SENTENCE: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_LEANS_BACK: Final = re.compile(r"(It|They|This|That|These|Then|Others?|Above|Below|Until|Nobody|Each|We answer)\b")
_PASSAGES: Final = TypeAdapter(list[Passage])


class Request(Protocol):
    """What a stand-in is given by the runtime: the part of it that is used here."""

    @property
    def text(self) -> str: ...
    @property
    def messages(self) -> Sequence[Any]: ...


# --- the router's stand-in ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Bayes:
    """Multinomial naive Bayes over the stems and stem pairs of labelled phrases, each counted once a
    phrase."""

    weights: Mapping[str, tuple[float, ...]]
    """Log-likelihood of each term under each of LABELS."""
    temperature: float

    @classmethod
    def fit(cls, phrases: Iterable[tuple[str, Label]], temperature: float = TEMPERATURE) -> Bayes:
        """Classes count as equally likely: how many phrases were written for each says nothing about
        customers."""
        counts: dict[Label, Counter[str]] = {label: Counter() for label in LABELS}
        for phrase, label in phrases:
            counts[label].update(features(phrase).keys())
        terms = sorted({term for counter in counts.values() for term in counter})
        totals = {label: counts[label].total() + SMOOTHING * len(terms) for label in LABELS}
        weights = {
            term: tuple(math.log((counts[label][term] + SMOOTHING) / totals[label]) for label in LABELS)
            for term in terms
        }
        return cls(weights, temperature)

    def probabilities(self, text: str) -> tuple[float, ...]:
        """One number for each of LABELS, summing to 1; all equal for a text without a known word."""
        terms = features(text).keys()
        known = [self.weights[term] for term in terms if term in self.weights]
        # Evidence grows with the square root of the terms: a message twice as long is not twice as clear.
        # Words that no phrase has count as terms, so a foreign or rambling message is less sure.
        strange = sum(1 for term in terms if " " not in term and term not in self.weights)
        scale = self.temperature * math.sqrt(max(len(known) + strange, MIN_TERMS))
        scores = [sum(column) / scale for column in zip(*known, strict=True)] or [0.0] * len(LABELS)
        top = max(scores)
        exps = [math.exp(score - top) for score in scores]
        total = sum(exps)
        return tuple(e / total for e in exps)

    def classify(self, text: str) -> Intent:
        """The likeliest label and its probability."""
        probabilities = self.probabilities(text)
        best = max(range(len(LABELS)), key=probabilities.__getitem__)
        return Intent(label=LABELS[best], confidence=round(probabilities[best], 4))


def read_phrases(path: Path = PHRASES) -> list[tuple[str, Label]]:
    """The labelled phrases, in the file's order."""
    label = TypeAdapter[Label](Label)
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["phrase"], label.validate_python(row["label"])) for row in csv.DictReader(file)]


@cache
def _classifier() -> Bayes:
    return Bayes.fit(read_phrases())


def classify(text: str) -> Intent:
    """What a message is about: urgent if it has an alarm word, else by naive Bayes over the shipped
    phrases."""
    intent = _classifier().classify(text)
    if _ALARMS & set(stems(text)):
        urgent = intent.confidence if intent.label == "urgent" else 0.0
        return Intent(label="urgent", confidence=max(urgent, ALARM_CONFIDENCE))
    return intent


def route(request: Request) -> Intent:
    """Stands in for the router."""
    return classify(unquote(request.text))


# --- the knowledge agent's stand-in ---------------------------------------------------------------


def look_up(request: Request) -> Reply | Findings:
    """Stands in for the knowledge agent: one search with the message's own words, then what helps of its result."""
    message = _message(request)
    found = found_passages(request)
    if found is None:
        # Imported here so that the stand-ins can be used and tested by themselves.
        from outlay.testing import Reply

        return Reply(tool_calls=[("search_docs", {"query": " ".join(key_words(gist(message)))})])
    return Findings(passages=helpful(message, found))


def gist(message: str) -> str:
    """A long story's questions, if it asks any; else the message as it is."""
    if len(message.split()) <= LONG_WORDS:
        return message
    questions = [sentence for sentence in _SENTENCE.split(message) if sentence.rstrip().endswith("?")]
    return " ".join(questions) or message


def found_passages(request: Request) -> list[Passage] | None:
    """What the searches in this conversation returned; None if there was none yet."""
    results = [
        part
        for message in request.messages
        if message.role == "tool"
        for part in message.parts
        if getattr(part, "name", None) == "search_docs"
    ]
    if not results:
        return None
    return [passage for part in results if not part.is_error for passage in _read_passages(part.content)]


def helpful(message: str, passages: Sequence[Passage]) -> list[Passage]:
    """The passages that share enough of the message's rare words, in their order."""
    wanted = content_stems(gist(message))
    total = min(_rarity(wanted), MAX_WEIGHT)
    if not total:
        return []
    return [
        passage
        for passage in passages
        if _rarity(wanted & content_stems(f"{_title(passage.source)} {passage.text}")) / total >= MIN_OVERLAP
    ]


# --- the reply agent's stand-in -------------------------------------------------------------------


def write(request: Request) -> str:
    """Stands in for the reply agent."""
    prompt = next((text for text in _user_texts(request) if "<passage " in text), request.text)
    brief = read_brief(prompt)
    return extractive_reply(brief.message, brief.passages)


@dataclass(frozen=True, slots=True)
class _Sentence:
    place: tuple[int, int]
    source: str
    text: str
    score: float

    @property
    def words(self) -> int:
        return len(self.text.split())


def extractive_reply(message: str, passages: Sequence[Passage]) -> str:
    """The sentences of `passages` that are nearest to `message`, each with its citation, under 200 words.

    A sentence that leans on the one before it ("It is free …") brings that one along. NO_ANSWER if nothing
    was found.
    """
    wanted = content_stems(gist(message))
    by_place = {
        (rank, position): _Sentence(
            (rank, position), passage.source, text, _relevance(wanted, passage.source, text, rank)
        )
        for rank, passage in enumerate(passages)
        for position, text in enumerate(_SENTENCE.split(passage.text))
    }
    if not by_place:
        return NO_ANSWER
    ranked = sorted(by_place.values(), key=lambda sentence: (-sentence.score, sentence.place))
    floor = ranked[0].score / 2
    chosen: dict[tuple[int, int], _Sentence] = {}
    for sentence in ranked:
        together = [s for s in _with_context(sentence, by_place) if s.place not in chosen]
        size = sum(s.words for s in chosen.values()) + sum(s.words for s in together)
        if chosen and (sentence.score < floor or size > MAX_WORDS or len(chosen) + len(together) > MAX_SENTENCES):
            continue
        chosen.update((s.place, s) for s in together)
    cited = [_cite(chosen[place]) for place in sorted(chosen)]
    return " ".join([OPENING, *cited])


def _with_context(sentence: _Sentence, by_place: Mapping[tuple[int, int], _Sentence]) -> Iterator[_Sentence]:
    rank, position = sentence.place
    if position > 0 and _LEANS_BACK.match(sentence.text):
        yield from _with_context(by_place[rank, position - 1], by_place)
    yield sentence


def _relevance(wanted: set[str], source: str, text: str, rank: int) -> float:
    """Shared rare words, the title's at half weight, discounted by the passage's rank in the search."""
    own = _rarity(wanted & content_stems(text))
    title = _rarity(wanted & content_stems(_title(source)))
    return (own + title / 2 + 0.1) / (1 + 0.25 * rank)


def _cite(sentence: _Sentence) -> str:
    end = sentence.text[-1]
    body, end = (sentence.text[:-1], end) if end in ".!?" else (sentence.text, ".")
    words = body.split()
    if len(words) > MAX_WORDS:
        body = " ".join(words[:MAX_WORDS]) + " …"
    return f"{body} [{sentence.source}]{end}"


# --- shared ---------------------------------------------------------------------------------------


UNKNOWN_RARITY: Final = 2.0
"""Weight of a word that no article has: it may be a shop's name or a town, or the whole point of the
message."""


@cache
def _rarities() -> dict[str, float]:
    """Inverse document frequency of each content stem over the passages, in nats, plus 1."""
    shelf = library()
    passages = [p for source in shelf.sources for p in shelf.article(source)]
    seen_in = Counter(term for p in passages for term in content_stems(f"{shelf.title(p.source)} {p.text}"))
    return {term: math.log((1 + len(passages)) / (1 + n)) + 1 for term, n in seen_in.items()}


def _rarity(stems: Iterable[str]) -> float:
    known = _rarities()
    return sum(known.get(term, UNKNOWN_RARITY) for term in stems)


def _title(source: str) -> str:
    shelf = library()
    return shelf.title(source) if source in shelf else ""


def _message(request: Request) -> str:
    """The customer's words: the last user text, or the first quoted one when feedback came after it."""
    return unquote(next((text for text in _user_texts(request) if "<customer_message>" in text), request.text))


def _user_texts(request: Request) -> Iterator[str]:
    yield request.text
    for message in request.messages:
        if message.role == "user":
            for part in message.parts:
                if isinstance(text := getattr(part, "text", None), str):
                    yield text


def _read_passages(content: object) -> list[Passage]:
    """A tool result's content: JSON text, or the value itself. What is no list of passages holds none."""
    try:
        return _PASSAGES.validate_python(json.loads(content) if isinstance(content, str) else content)
    except (ValueError, ValidationError):
        return []
