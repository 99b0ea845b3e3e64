"""What must be equal in two questions, however near their embeddings are: numbers, dates, names, negations.

An embedding puts "a refund of $20" beside "a refund of $200", and "I did order it" beside "I did not order it". These
are found by rule, so that no threshold has to be trusted with them. The words are English; for another language, or
what matters in yours (product names in lower case), give a guard of your own.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

_NUMBER = re.compile(r"[$€£¥]|\d+(?:[.,:/-]\d+)*|%")
_SPELLED = ("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_NUMBER_WORDS = {word: str(n) for n, word in enumerate(_SPELLED, 2)}
#: "one" is more often a pronoun, "may" a verb, "second" a time.
_DATE = re.compile(
    r"\b(?:today|tonight|yesterday|tomorrow|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|january|february|march|april"
    r"|june|july|august|september|october|november|december|week|month|year|weekend)\b"
)
_NEGATION = re.compile(
    r"\b(?:not|no|never|none|nobody|nothing|nowhere|neither|nor|cannot|without|non"
    r"|(?:ca|do|did|does|is|was|were|are|have|has|had|could|would|should|wo|must|need|ai)n['’]?t)\b"
)
_QUOTED = re.compile(r"\"([^\"]+)\"|“([^”]+)”|‘([^’]+)’|`([^`]+)`|«([^»]+)»|(?<!\w)'([^']+)'(?!\w)")
#: A capital or a digit within a word, an address, a path: what names one thing. The first word of a sentence is not
#: told from one that only stands there.
_NAME = re.compile(r"(?<=[^.!?:\s]\s)[A-Z]\w*|\b\w+[A-Z]\w*|\b(?=\w*[A-Za-z])(?=\w*\d)\w+|\S+[@/\\_]\S+")
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Facts:
    """What a question says that no other may say differently."""

    numbers: Counter[str]
    dates: Counter[str]
    negations: int
    quoted: frozenset[str]
    names: frozenset[str]
    words: frozenset[str]


def facts_of(question: str) -> Facts:
    """Read from the text alone, by rule."""
    low = question.casefold()
    numbers = Counter(number.replace(",", "") for number in _NUMBER.findall(low))
    numbers.update(_NUMBER_WORDS[word] for word in _WORD.findall(low) if word in _NUMBER_WORDS)
    quoted = frozenset(" ".join("".join(found).casefold().split()) for found in _QUOTED.findall(question))
    names = frozenset(name.casefold().strip(".,;:!?") for name in _NAME.findall(question)) - _PRONOUNS
    return Facts(
        numbers, Counter(_DATE.findall(low)), len(_NEGATION.findall(low)), quoted, names, names.union(_pieces(low))
    )


#: Written with a capital, and no name.
_PRONOUNS = frozenset(("i", "i'm", "i've", "i'd", "i'll"))


def _pieces(low: str) -> list[str]:
    return [piece.strip(".,;:!?\"'`“”‘’«»()") for piece in low.split()] + _WORD.findall(low)


def difference(asked: Facts, before: Facts) -> str | None:
    """The first kind of fact in which two questions differ; None where they agree.

    A name counts as the same where the other question has the word, in capitals or not.
    """
    if asked.numbers != before.numbers:
        return "numbers"
    if asked.dates != before.dates:
        return "dates"
    if asked.negations != before.negations:
        return "negations"
    if asked.quoted != before.quoted:
        return "quoted text"
    if not (asked.names <= before.words and before.names <= asked.words):
        return "names"
    return None


def differ(asked: str, before: str) -> str | None:
    """What two questions differ in, of numbers, dates, negations, quoted text and names; None where they agree."""
    return difference(facts_of(asked), facts_of(before))
