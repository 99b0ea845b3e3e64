"""An answer of before instead of none: where a model fails, what it said to the same request some time ago."""

from __future__ import annotations

from outlay.errors import ModelError, OutputTruncated, Refused, one_line
from outlay.events.records import Skipped
from outlay.protocols.stages import AnswerKey, Answers
from outlay.runtime.result import SkippedPart
from outlay.runtime.state import RunState
from outlay.values.request import ModelRequest, ModelResponse


async def stale_answer(
    run: RunState, cache: Answers | None, key: AnswerKey, request: ModelRequest, error: ModelError
) -> tuple[ModelResponse, str] | None:
    """The stored answer that the agent lets stand in for the one that failed with `error`, if there is one, and why it
    does."""
    if cache is None or request.reuse is None or not request.reuse.stale or run.closed is not None:
        return None
    if isinstance(error, Refused | OutputTruncated):  # these are answers
        return None
    found = await cache.stale(key, request)
    if found is None:
        return None
    response, age = found
    return response, f"the model failed ({one_line(error)[:200]}), its answer of {_span(age)} ago stands"


def say_stale(run: RunState, path: str, reason: str) -> None:
    """The result is degraded, in the leg of the run that finds it so and in those that go on with it."""
    run.skipped.append(SkippedPart(path, reason))
    run.recorder.emit(Skipped, path, reason=reason)


def _span(seconds: float) -> str:
    for size, unit in ((86_400, "days"), (3_600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
