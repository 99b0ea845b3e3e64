"""Words, stems and a small TF-IDF index: what the offline stand-ins and the known questions compare texts
with.

Nothing here is clever, on purpose. A reader should be able to say why a message was put where it was: it
shares these stems with those phrases.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

MAX_CHARACTERS: Final = 4_000
"""Only the start of a message is compared: what a customer wants stands in the first page, and a pasted
chat log must not cost seconds."""

_WORD: Final = re.compile(r"[^\W_]+")
_APOSTROPHES: Final = re.compile("['’`´]")

ALIASES: Final[dict[str, str]] = {
    "atm": "cash machine",
    "atms": "cash machines",
    "cashpoint": "cash machine",
    "topup": "top up",
    "topups": "top ups",
    "topping": "top",
    "topped": "top",
    "cheques": "cheque",
    "cellphone": "phone",
    "cell": "phone",
    "mobile": "phone",
    "id": "identity",
    "pwd": "passcode",
    "password": "passcode",
    "fees": "fee",
    "kid": "child",
    "kids": "child",
    "children": "child",
    "daughter": "child",
    "son": "child",
    "someone": "somebody",
    "anyone": "anybody",
    "didnt": "did not",
    "doesnt": "does not",
    "dont": "do not",
    "cant": "can not",
    "cannot": "can not",
    "couldnt": "could not",
    "wont": "will not",
    "wasnt": "was not",
    "isnt": "is not",
    "hasnt": "has not",
    "havent": "have not",
    "arent": "are not",
    "unable": "can not",
    "ive": "i have",
    "im": "i am",
    "whats": "what is",
    "wheres": "where is",
}
"""Spellings and shop-floor words that mean the same thing here. Stems do the rest."""

_SUFFIXES: Final = (
    "ations",
    "ation",
    "ments",
    "ment",
    "ings",
    "ing",
    "ies",
    "ied",
    "ed",
    "es",
    "s",
    "e",
    "y",
)
_MIN_STEM: Final = 3


def stem(word: str) -> str:
    """The word without its commonest English ending, with -ize spelled -ise. Crude, and the same for both
    sides."""
    word = word.replace("iz", "is") if len(word) > 4 else word
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= _MIN_STEM:
            word = word[: -len(suffix)]
            break
    # refunded, transferred: a doubled last consonant is the same word as the single one
    if len(word) > _MIN_STEM and word[-1] == word[-2] and word[-1] not in "aeiosl":
        word = word[:-1]
    return word


def plain_words(text: str) -> list[str]:
    """Lower-case words in order, aliases resolved, without stems. Any string is fine: emoji and controls
    are no words."""
    text = unicodedata.normalize("NFKC", text[:MAX_CHARACTERS]).lower()
    found: list[str] = _WORD.findall(_APOSTROPHES.sub("", text))
    return [part for word in found for part in ALIASES.get(word, word).split()]


def stems(text: str) -> list[str]:
    """Stems of the words of `text`, in order."""
    return [stem(word) for word in plain_words(text)]


def features(text: str) -> Counter[str]:
    """How often each stem and each pair of neighbouring stems occurs; pairs tell "not recognised" from
    "recognised"."""
    words = stems(text)
    return Counter([*words, *(f"{a} {b}" for a, b in pairwise(words))])


class TfIdf:
    """Cosine similarity of a text to each of a fixed list of texts, over TF-IDF weights of stems and stem
    pairs.

    Immutable once built, so threads may share one. A stem that no text has counts in the length of the
    question: a message of mostly unknown words is far from everything, which is what makes a low confidence
    honest.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        counts = [features(text) for text in texts]
        self._size = len(texts)
        seen_in = Counter(term for each in counts for term in each)
        self._idf = {term: math.log((1 + self._size) / (1 + n)) + 1 for term, n in seen_in.items()}
        self._unknown_idf = math.log(1 + self._size) + 1
        postings: defaultdict[str, list[tuple[int, float]]] = defaultdict(list)
        for index, each in enumerate(counts):
            for term, weight in self._weights(each).items():
                postings[term].append((index, weight))
        self._postings = dict(postings)

    def similarities(self, text: str) -> list[float]:
        """One number in [0, 1] for each indexed text, in its order; all 0 for a text without words."""
        scores = [0.0] * self._size
        for term, weight in self._weights(features(text)).items():
            for index, other in self._postings.get(term, ()):
                scores[index] += weight * other
        return [min(score, 1.0) for score in scores]

    def _weights(self, counts: Counter[str]) -> dict[str, float]:
        raw: dict[str, float] = {}
        for term, n in counts.items():
            idf = self._idf.get(term)
            if idf is None:
                # A pair that is new says little when both of its words are known; only new words push away.
                if " " in term:
                    continue
                idf = self._unknown_idf
            raw[term] = (1 + math.log(n)) * idf
        length = math.sqrt(sum(weight * weight for weight in raw.values()))
        return {term: weight / length for term, weight in raw.items()} if length else {}
