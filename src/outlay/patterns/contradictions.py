"""Where workers contradict each other: a comparison of their claims, not a model's opinion of their texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from typing import Any

from outlay.values.claim import Claim, Contradiction, Statement, found_in


def contradictions_of(results: Mapping[str, Any], worker_of: Callable[[str], str]) -> tuple[Contradiction, ...]:
    """The subjects on which the claims in two results, by subtask id, cannot both be had; in order of first mention.

    Two results contradict where each claims a value for the subject that the other does not: one that lists more
    values than the other does not contradict it. Every claim on such a subject is listed, of all results.
    """
    by_subject: dict[str, dict[str, list[Claim]]] = {}
    for id, result in results.items():
        for claim in found_in(result, Claim):
            by_subject.setdefault(claim.about, {}).setdefault(id, []).append(claim)
    return tuple(
        Contradiction.compared(next(iter(sides.values()))[0].subject, _statements(sides, worker_of))
        for sides in by_subject.values()
        if any(_contradict(one, other) for one, other in combinations(sides.values(), 2))
    )


def _contradict(one: Sequence[Claim], other: Sequence[Claim]) -> bool:
    return not _covers(one, other) and not _covers(other, one)


def _covers(one: Sequence[Claim], other: Sequence[Claim]) -> bool:
    """Does `one` say all that `other` does?"""
    return all(any(mine.agrees_with(theirs) for mine in one) for theirs in other)


def _statements(sides: Mapping[str, Sequence[Claim]], worker_of: Callable[[str], str]) -> Iterable[Statement]:
    for id, claims in sides.items():
        for claim in claims:
            yield Statement(worker_of(id), claim.value, claim.confidence, claim.source, id, claim.by)


def with_opinions(compared: Sequence[Contradiction], output: Any) -> list[dict[str, Any]]:
    """What a report lists: those that the comparison found, then those that only the synthesizer speaks of, each
    with `found` saying which it is.
    """
    known = {one.about for one in compared}
    opinions = [one for one in found_in(output, Contradiction) if one.about not in known]
    return [asdict(one) for one in (*compared, *opinions)]
