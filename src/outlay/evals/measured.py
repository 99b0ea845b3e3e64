"""What one run of a flow on one case came to."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a checker made of an output: `problem` is None where it passed. `raised`: the checker itself failed, which
    says nothing of the output."""

    name: str
    problem: str | None = None
    raised: bool = False


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a model made of an output, at its own cost in US dollars (None if unknown). No fact: models err, and like
    their own kind. `ok` is None where the judge gave no opinion, and `feedback` then says why."""

    ok: bool | None
    score: float | None = None
    feedback: str = ""
    cost: Decimal | None = ZERO


@dataclass(frozen=True, slots=True)
class Measured:
    """One case: how the run ended, what it cost in US dollars (`cost` None if a part is unknown, `at_least` the known
    part, `in_doubt` held for calls of unknown fate), how long it was worked on in seconds, and what it was worth.

    `answered`: there is an output, also of a run that a budget cut short. `tokens` are all four buckets, None if
    unknown; `refused` counts outputs that the flow's own checkers sent back, `skipped` parts it did without.
    """

    case: str
    run_id: str
    stop_reason: str
    error: str = ""
    answered: bool = False
    degraded: bool = False
    checks: tuple[Checked, ...] = ()
    opinion: Opinion | None = None
    cost: Decimal | None = ZERO
    at_least: Decimal = ZERO
    in_doubt: Decimal = ZERO
    seconds: float = 0.0
    calls: int = 0
    retries: int = 0
    tokens: int | None = 0
    refused: int = 0
    skipped: int = 0
    #: Of the evaluators that judged it: others judge anew.
    marks: tuple[str, ...] = ()

    @property
    def is_over(self) -> bool:
        """It came to an end of its own; a run that waits for a human or was cancelled is to go on."""
        return self.stop_reason not in ("approval", "cancelled")

    @property
    def success(self) -> bool | None:
        """All checkers passed; without any, the judge's opinion. None where that cannot be said."""
        if not self.is_over or any(check.raised for check in self.checks):
            return None
        if not self.answered:
            return False
        if self.checks:
            return all(check.problem is None for check in self.checks)
        return None if self.opinion is None else self.opinion.ok

    @property
    def failure(self) -> str:
        """The kind of failure in a word or two, empty for a success."""
        if self.success:
            return ""
        if not self.is_over:
            return f"not over: {self.stop_reason}"
        if raised := [check.name for check in self.checks if check.raised]:
            return f"checker raised: {', '.join(raised)}"
        if not self.answered:
            return f"error: {self.error}" if self.stop_reason == "error" else f"stopped: {self.stop_reason}"
        if not self.checks:
            return "judge gave no opinion" if self.success is None else "judge: not ok"
        wrong = ", ".join(check.name for check in self.checks if check.problem is not None)
        return f"wrong: {wrong}" + ("" if self.stop_reason == "completed" else f", {self.stop_reason}")
