"""What stored runs and comparisons answer by themselves, with where that is from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from outlay.advice.evidence import Evidence
from outlay.advice.question import NO, YES
from outlay.advice.tables.single_agent import NOT_THE_AGENT, SYMPTOMS
from outlay.evals.side import Side
from outlay.evals.verdict import verdict_on
from outlay.values.percent import percent

#: The success that is wanted, where nobody says otherwise.
WANTED = 0.9


@dataclass(frozen=True, slots=True)
class Observed:
    """An answer that was read off what is stored, and off what."""

    question: str
    answer: str
    source: str


def observed(evidence: Evidence, wanted: float = WANTED) -> list[Observed]:
    """As far as the figures allow it: a share whose interval holds `wanted` says neither yes nor no."""
    return list(_observed(evidence, wanted))


def _observed(evidence: Evidence, wanted: float) -> Iterator[Observed]:
    found = evidence.compared
    if found is None:
        return
    single = found.a
    share = single.share
    if share is None:
        return
    cases = len(single.cases) - single.unmeasured
    figures = f"{single.name}: {single.successes:,} of {cases:,} cases, {percent(wanted)} wanted"
    if share.low >= wanted:
        yield Observed("failing", NO, figures)
    elif share.high < wanted:
        yield Observed("failing", YES, figures)
        yield from _at_what(single)


def _at_what(single: Side) -> Iterator[Observed]:
    """What most of its failures say, where they say something."""
    at = {kind: n for kind, n in single.failures.items() if kind in SYMPTOMS}
    if at and 2 * sum(at.values()) > sum(single.failures.values()):
        kind = max(at, key=lambda one: at[one])
        yield Observed("failing-at", SYMPTOMS[kind], f"{at[kind]:,} times {kind}")


def asides(evidence: Evidence, wanted: float = WANTED) -> list[str]:
    """What somebody who asks for advice should know of what is stored, beside that."""
    found = [f"{n:,} runs ended with {kind}: that is {what}" for kind, n, what in _not_the_agent(evidence.failures)]
    compared = evidence.compared
    if compared is not None:
        found.append(f"compared with {compared.a.name}: {verdict_on(compared).text}")
        share = compared.a.share
        if share is not None and share.low < wanted <= share.high:
            cases = f"{len(compared.pairs):,} cases"
            found.append(f"whether {compared.a.name} reaches {percent(wanted)} cannot be told from {cases}")
    return found


def _not_the_agent(failures: Mapping[str, int]) -> Iterator[tuple[str, int, str]]:
    for kind, n in failures.items():
        if kind in NOT_THE_AGENT:
            yield kind, n, NOT_THE_AGENT[kind]
