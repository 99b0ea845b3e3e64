"""What stored runs say of agents, as both revisions are to believe it: only the code differs between them."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from outlay.forecast.assumptions import Assumptions
from outlay.forecast.calibration import Fitted
from outlay.forecast.distributions import Lognormal
from outlay.forecast.expect import Expect
from outlay.values.counted import counted


class KnownAgent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parts of `Expect` that a cost hangs on; the length of an answer as a lognormal (median, spread)."""

    output: tuple[float, float] | None = None
    turns: float | None = None
    refused: float | None = None
    failure: float | None = None


class Known(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By agent, and how often each label of a router came up; from so many `runs`.

    Not the length of inputs: that is what a change of a prompt changes, and it is read off the code.
    """

    runs: int = 0
    agents: Mapping[str, KnownAgent] = {}
    routes: Mapping[str, Mapping[str, float]] = {}

    @staticmethod
    def of(found: Fitted) -> Known:
        agents = {name: _known(fit.expect) for name, fit in found.agents.items()}
        return Known(runs=found.runs, agents=agents, routes=found.routes)

    @property
    def assumptions(self) -> Assumptions:
        agents = {
            name: Expect(
                output_tokens=None if one.output is None else Lognormal(*one.output),
                turns=one.turns,
                refused=one.refused,
                failure=one.failure,
            )
            for name, one in self.agents.items()
        }
        return Assumptions(agents=agents, routes=self.routes)

    def __str__(self) -> str:
        if not self.runs:
            return "default lengths of answers"
        return f"lengths of answers, turns and routes of {counted(self.runs, 'recorded run')}"


def _known(expect: Expect) -> KnownAgent:
    length = expect.output_tokens
    return KnownAgent(
        output=(length.median, length.spread) if isinstance(length, Lognormal) else None,
        turns=None if expect.turns is None else max(1.0, expect.turns),
        refused=expect.refused,
        failure=expect.failure,
    )
