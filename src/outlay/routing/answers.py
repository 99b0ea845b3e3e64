"""What a cascade reads of a cheap model's answer, beside its words: whether it holds together.

The cheapest checks there are, and each a known sign of a wrong answer: sums that do not add up, numbers of the question
that were never used, an answer without a number, a change of mind.
"""

from __future__ import annotations

import math
import re

from outlay.routing.text import LONGEST, shape

_NUMBER = re.compile(r"(?<![\w.])-?\$?\d[\d,]*(?:\.\d+)?(?:/\d+)?")
#: `12 * (3 + 4) = 84`: arithmetic that can be checked.
_SUM = re.compile(r"(?P<left>[\d$(][\d\s.,$()+*/xX×÷−-]*?)\s*=\s*\$?(?P<right>-?\d[\d,]*(?:\.\d+)?)")
_TERMS = re.compile(r"\d+(?:\.\d+)?|[()+*/-]")
_DOUBT = re.compile(
    r"\b(however|but|assum\w+|not (?:possible|clear|enough|specified|given)|cannot|can't|unclear|unless|wait|"
    r"actually|mistake|sorry|approximately|about|round\w*|let's (?:denote|call)|impossible|seems)\b"
)
_UNKNOWN = re.compile(r"\b[a-z]\b\s*[=+*/-]|[=+*/-]\s*\b[a-z]\b")
_LONGEST_SUM = 80


def answer_shape(question: str, answer: str) -> dict[str, float]:
    """The signs, by name; each is a number, 0 where it does not apply."""
    question, answer = question[:LONGEST], answer[:LONGEST]
    given, used = _numbers(question), _numbers(answer)
    sums = [(left, right) for left, right in _sums(answer) if left is not None]
    wrong = sum(not _equal(left, right) for left, right in sums)
    results = [right for _, right in sums]
    final = used[-1] if used else None
    low = answer.lower()
    return {
        **{f"answer {name}": value for name, value in shape(answer).items()},
        "sums": math.log1p(len(sums)),
        "a wrong sum": float(wrong > 0),
        "wrong sums": wrong / max(len(sums), 1),
        "no number": float(final is None),
        "not whole": float(final is not None and final != int(final)),
        "negative": float(any(x < 0 for x in results) or (final is not None and final < 0)),
        "size": 0.0 if final is None else math.log1p(abs(final)),
        "final is no result": float(final is not None and bool(results) and not any(_equal(final, x) for x in results)),
        "final is given": float(final is not None and any(_equal(final, x) for x in given)),
        "given, not used": sum(not any(_equal(x, y) for y in used) for x in given) / max(len(given), 1),
        "used, not given": math.log1p(len({y for y in used if not any(_equal(x, y) for x in given)})),
        "results not whole": sum(x != int(x) for x in results) / max(len(results), 1),
        "doubts": math.log1p(len(_DOUBT.findall(low))),
        "unknowns": math.log1p(len(_UNKNOWN.findall(low))),
        "length by question": math.log1p(len(answer)) - math.log1p(len(question)),
    }


def _numbers(text: str) -> list[float]:
    found: list[float] = []
    for written in _NUMBER.findall(text):
        above, _, below = written.replace("$", "").replace(",", "").partition("/")
        if not below or float(below):
            found.append(float(above) / float(below or 1))
    return found


def _sums(text: str) -> list[tuple[float | None, float]]:
    """Left and right side of each equation; None for a left side that is no arithmetic."""
    found: list[tuple[float | None, float]] = []
    for match in _SUM.finditer(text):
        left = match["left"][-_LONGEST_SUM:]
        found.append((value_of(left), float(match["right"].replace(",", ""))))
    return found


def value_of(written: str) -> float | None:
    """The value of an arithmetic term, None where it is none or has no operation. Nothing of it is executed."""
    plain = written.replace(",", "").replace("$", "").translate(str.maketrans("xX×÷−", "***/-"))
    if re.sub(r"\s", "", plain) != "".join(terms := _TERMS.findall(plain)) or not any(t in "+*/-" for t in terms):
        return None
    try:
        value, rest = _sum_of(terms)
    except (ValueError, IndexError, ZeroDivisionError, RecursionError):
        return None
    return value if not rest and math.isfinite(value) else None


def _sum_of(terms: list[str]) -> tuple[float, list[str]]:
    value, rest = _product_of(terms)
    while rest and rest[0] in "+-":
        other, after = _product_of(rest[1:])
        value, rest = (value + other if rest[0] == "+" else value - other), after
    return value, rest


def _product_of(terms: list[str]) -> tuple[float, list[str]]:
    value, rest = _factor(terms)
    while rest and rest[0] in "*/":
        other, after = _factor(rest[1:])
        value, rest = (value * other if rest[0] == "*" else value / other), after
    return value, rest


def _factor(terms: list[str]) -> tuple[float, list[str]]:
    first, rest = terms[0], terms[1:]
    if first == "(":
        value, rest = _sum_of(rest)
        if rest[0] != ")":
            raise ValueError("an open bracket")
        return value, rest[1:]
    if first == "-":
        value, rest = _factor(rest)
        return -value, rest
    return float(first), rest


def _equal(one: float | None, other: float) -> bool:
    """As equal as rounding to cents leaves them."""
    return one is not None and abs(one - other) <= max(0.011, 0.006 * abs(other))
