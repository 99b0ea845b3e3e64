"""StudentGate: lets a student's answers pass, and has a few of them checked by the model that it stands for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from outlay.errors import ConfigError, ModelError, OutputInvalid
from outlay.protocols.context import RunContext
from outlay.routing.distil.student import Student
from outlay.values.ballots import as_key
from outlay.values.tier_answer import TierAnswer

#: The decision that records an audit: what the drift check counts.
AUDIT = "audit"


@dataclass(frozen=True, slots=True)
class StudentGate:
    """The gate of `Cascade([student, teacher], StudentGate(student, teacher, audit=0.02))`.

    What the student is not sure of it has declined itself. Of the rest a share, `audit`, is asked of `teacher` too, at
    the purpose `gate` on the bill, and the next tier answers where the two differ. What came of it is recorded, so
    that `outlay distill AGENT --check FILE` can tell when the student has gone stale.
    """

    student: Student
    teacher: Any
    audit: float = 0.02
    name: str = "student"

    def __post_init__(self) -> None:
        if not 0 <= self.audit <= 1:
            raise ConfigError(f"StudentGate: audit={self.audit!r} is a share between 0 and 1")

    @property
    def tier(self) -> int:
        """The student's: what others answer it lets pass unseen."""
        return 0

    @property
    def asks(self) -> tuple[Any, ...]:
        return (self.teacher,) if self.audit else ()

    async def judge(self, ctx: RunContext[Any], answer: TierAnswer) -> str | None:
        if answer.tier != 0 or not self.audit or ctx.random() >= self.audit:
            return None
        try:
            theirs = await answer.ask(self.teacher)
        except (ModelError, OutputInvalid) as error:
            ctx.decide(AUDIT, student=self.student.id, failed=type(error).__name__)
            return None
        agrees = self._key(answer.output) == self._key(theirs.output)
        ctx.decide(AUDIT, student=self.student.id, agrees=agrees)
        return None if agrees else "an audit: the teacher answers otherwise"

    def _key(self, output: Any) -> Any:
        """What of an output is the task's: how sure each was is not compared."""
        from pydantic_core import to_jsonable_python

        plain: Any = to_jsonable_python(output, fallback=str)
        if not self.student.task.says_confidence:
            return as_key(plain)
        return as_key({name: plain[name] for name in self.student.task.fields})
