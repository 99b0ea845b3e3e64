"""What a router reads of a text: weighted word n-grams, and its shape.

An n-gram is kept by its CRC-32, so that a trained router holds nothing that can be read of the texts it learned from.
"""

from __future__ import annotations

import math
import re
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

#: Runs of letters, numbers, and every other sign by itself.
_PIECES = re.compile(r"[^\W\d_]+|\d+|[^\w\s]")
_NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")
#: Longer texts are read up to here, in characters.
LONGEST = 20_000


def grams(text: str, prefix: str = "") -> Counter[str]:
    """How often each word and each pair of words stands in a text."""
    words = _PIECES.findall(text[:LONGEST].lower())
    found = Counter(words)
    found.update(f"{one} {other}" for one, other in pairwise(words))
    return Counter({_hashed(prefix + gram): count for gram, count in found.items()})


def _hashed(gram: str) -> str:
    return f"{zlib.crc32(gram.encode(errors='surrogatepass')):x}"


@dataclass(frozen=True, slots=True)
class Weighting:
    """TF-IDF with sublinear counts, at length 1 (Salton and Buckley 1988). `idf` by n-gram; others are not seen."""

    idf: Mapping[str, float]

    @classmethod
    def of(cls, texts: Sequence[Counter[str]]) -> Weighting:
        """From the texts trained on. What stands in only one of them says nothing of others."""
        found = Counter(gram for text in texts for gram in text)
        return cls({g: 1 + math.log((1 + len(texts)) / (1 + n)) for g, n in found.items() if n > 1})

    def __call__(self, text: Counter[str]) -> dict[str, float]:
        weighted = {g: (1 + math.log(n)) * self.idf[g] for g, n in text.items() if g in self.idf}
        length = math.sqrt(math.fsum(x * x for x in weighted.values()))
        return {g: x / length for g, x in weighted.items()} if length else {}


def shape(text: str) -> dict[str, float]:
    """What a text is like, whatever it is about."""
    text = text[:LONGEST]
    words = text.split()
    size = max(len(text), 1)
    return {
        "length": math.log1p(len(text)),
        "word length": sum(map(len, words)) / max(len(words), 1),
        "lines": math.log1p(text.count("\n")),
        "numbers": math.log1p(len(_NUMBERS.findall(text))),
        "digits": sum(map(str.isdigit, text)) / size,
        "capitals": sum(map(str.isupper, text)) / size,
        "signs": sum(not (c.isalnum() or c.isspace()) for c in text) / size,
        "other scripts": sum(ord(c) > 127 for c in text) / size,
        "questions": math.log1p(text.count("?")),
    }
