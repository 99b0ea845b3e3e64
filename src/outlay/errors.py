"""Every error that Outlay raises, as one tree.

    OutlayError
    ├── ConfigError           before anything is spent: the flow, a name, a limit or a setting is wrong
    │   └── MessageTooLarge   a message over the limit of its bus
    ├── ModelError            one provider attempt failed
    │   ├── RateLimited       429
    │   ├── Overloaded        503, 529, or a server error (500, 502, 504) as ServerError
    │   │   └── ServerError
    │   ├── ModelTimeout      408, or no answer in time
    │   ├── BadRequest        400, 404, 409, 422: sending it again cannot help
    │   │   └── ContextTooLong  413, or a 400 that says so
    │   ├── AuthFailed        401, 403
    │   ├── BadResponse       a body or stream that is broken or stops half-way
    │   ├── Refused           the model declined
    │   └── OutputTruncated   the answer hit the output cap
    ├── ToolError             a tool failed three times in a row, or is unsafe to call
    ├── OutputInvalid         the output does not validate after all retries
    ├── PlanInvalid           a supervisor's plan names unknown workers, has cycles or duplicates
    ├── UnpricedModel         a money budget over a model whose price is unknown
    ├── PolicyViolation       a label policy forbids the effect
    ├── InDoubt               an effect may or may not have happened
    ├── JournalMismatch       a resumed run is not the run that was recorded
    ├── Conflict              a stale write
    ├── StoreFailed           the store can no longer write: nothing more may start
    │   └── RunTaken          another process goes on with this run
    ├── BusFailed             the message bus cannot be reached, or cannot write
    └── Stopped               the run was told to end: not a failure of a worker
        ├── BudgetExceeded
        ├── DeadlineExceeded
        ├── TurnLimit
        ├── WatchdogStopped
        └── ApprovalPending

The text of an error says what happened, where, and what to do next; the facts are attributes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any


class OutlayError(Exception):
    """Base of all errors. `path` is where in the flow, `hint` what to do next; both may be empty."""

    def __init__(self, message: str = "", *, path: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.path = path
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.message]
        if self.path:
            lines.append(f"  at {self.path}")
        if self.hint:
            lines.append(f"  next: {self.hint}")
        return "\n".join(lines)


class ConfigError(OutlayError, ValueError):
    """The flow or its settings are wrong; nothing was spent."""


class MessageTooLarge(ConfigError):
    """A message over its bus's limit; nothing was published. `size` and `limit` in bytes, body and headers encoded."""

    def __init__(self, message: str = "", *, size: int = 0, limit: int = 0, path: str = "", hint: str = "") -> None:
        super().__init__(message, path=path, hint=hint)
        self.size = size
        self.limit = limit


class ModelError(OutlayError):
    """One attempt at a provider failed.

    `retryable`: another attempt may help. `may_be_billed`: the provider had the request and gave no final
    answer, so the attempt's reservation stays held as in doubt. `retry_after`: seconds the provider asked for.
    """

    retryable: bool = False
    may_be_billed: bool = False

    def __init__(
        self,
        message: str = "",
        *,
        path: str = "",
        hint: str = "",
        status: int | None = None,
        provider: str = "",
        request_id: str = "",
        retry_after: float | None = None,
        retryable: bool | None = None,
        may_be_billed: bool | None = None,
    ) -> None:
        super().__init__(message, path=path, hint=hint)
        self.status = status
        self.provider = provider
        self.request_id = request_id
        self.retry_after = retry_after
        if retryable is not None:
            self.retryable = retryable
        if may_be_billed is not None:
            self.may_be_billed = may_be_billed


class RateLimited(ModelError):
    """The provider said 429."""

    retryable = True


class Overloaded(ModelError):
    """The provider is overloaded or failing (503, 529)."""

    retryable = True


class ServerError(Overloaded):
    """The provider failed inside (500, 502, 504)."""


class ModelTimeout(ModelError):
    """No answer in time (408, connect, first byte or silence). The provider may have done the work."""

    retryable = True
    may_be_billed = True


class BadRequest(ModelError):
    """The provider refuses the request as it is (400, 404, 409, 422)."""


class ContextTooLong(BadRequest):
    """The input does not fit the model's context window (413, or a 400 that says so)."""


class AuthFailed(ModelError):
    """The key is missing, wrong or not allowed (401, 403)."""


class BadResponse(ModelError):
    """A 200 whose body or stream is broken, or stops half-way: it was probably billed."""

    retryable = True
    may_be_billed = True


class Refused(ModelError):
    """The model declined to answer."""


class OutputTruncated(ModelError):
    """The answer hit the output cap; a longer `max_output_tokens` may help."""


class ToolError(OutlayError):
    """A tool failed for good. `tool` is its name."""

    def __init__(self, message: str = "", *, tool: str = "", path: str = "", hint: str = "") -> None:
        super().__init__(message, path=path, hint=hint)
        self.tool = tool


class OutputInvalid(OutlayError):
    """The output does not validate after all retries. `output` is the last text, `problem` what is wrong."""

    def __init__(
        self, message: str = "", *, output: str = "", problem: str = "", path: str = "", hint: str = ""
    ) -> None:
        super().__init__(message, path=path, hint=hint)
        self.output = output
        self.problem = problem


class PlanInvalid(OutlayError):
    """A supervisor's plan cannot be run. `problems` lists each reason."""

    def __init__(self, message: str = "", *, problems: tuple[str, ...] = (), path: str = "", hint: str = "") -> None:
        super().__init__(message, path=path, hint=hint)
        self.problems = problems


class UnpricedModel(ConfigError):
    """A money budget cannot hold for a model whose price is unknown. `model` names it."""

    def __init__(self, message: str = "", *, model: str = "", path: str = "", hint: str = "") -> None:
        super().__init__(message, path=path, hint=hint)
        self.model = model


class PolicyViolation(OutlayError):
    """A label policy forbids this effect."""


class InDoubt(OutlayError):
    """An effect was started and its fate is unknown; it is never repeated silently."""


class JournalMismatch(OutlayError):
    """A resumed run differs from the recorded one."""


class Conflict(OutlayError):
    """A write named a version that is no longer current. `mine` and `theirs` are both values, `version` is theirs."""

    def __init__(
        self,
        message: str = "",
        *,
        mine: Any = None,
        theirs: Any = None,
        version: int = 0,
        path: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, path=path, hint=hint)
        self.mine = mine
        self.theirs = theirs
        self.version = version


class StoreFailed(OutlayError):
    """A commit failed (disk full, removed file, I/O error). Every later call on the store fails the same way."""


class RunTaken(StoreFailed, Conflict):
    """Another process goes on with the run: nothing more of it may start here."""


class BusFailed(OutlayError):
    """A call on the message bus failed (no server, disk full). Its effect may be unknown; later calls may work."""


class Stopped(OutlayError):
    """The run, or a part of it, was told to end. Not a worker's failure: patterns let it pass.

    `best` is the best answer so far of the node at `best_path`, or None; further out it is dropped, because it
    is not an answer of the nodes around that one.
    """

    reason = "error"

    def __init__(self, message: str = "", *, best: Any = None, path: str = "", hint: str = "") -> None:
        super().__init__(message, path=path, hint=hint)
        self.best = best
        self.best_path = path

    def with_best(self, best: Any, path: str) -> Stopped:
        """This stop, carrying the best answer so far of the node at `path`."""
        self.best, self.best_path = best, path
        return self


class BudgetExceeded(Stopped):
    """The next effect does not fit.

    `resource` is usd, tokens, calls, depth or fan_out; `scope` names the budget that binds; `limit`, `spent`,
    `held` (reserved by calls in flight or in doubt) and `needed` are in that resource's unit. `on_exhausted` is
    what the binding budget said to do; under `raise`, `run` raises this error with `result` set.
    """

    reason = "budget"

    def __init__(
        self,
        message: str = "",
        *,
        resource: str = "",
        scope: str = "",
        limit: Decimal | int | None = None,
        spent: Decimal | int | None = None,
        held: Decimal | int | None = None,
        needed: Decimal | int | None = None,
        on_exhausted: str = "finish",
        best: Any = None,
        path: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, best=best, path=path, hint=hint)
        self.resource = resource
        self.scope = scope
        self.limit = limit
        self.spent = spent
        self.held = held
        self.needed = needed
        self.on_exhausted = on_exhausted
        self.result: Any = None


class DeadlineExceeded(Stopped):
    """The time budget is used up. `seconds` is the limit."""

    reason = "deadline"

    def __init__(
        self,
        message: str = "",
        *,
        seconds: float | None = None,
        best: Any = None,
        path: str = "",
        hint: str = "",
    ) -> None:
        super().__init__(message, best=best, path=path, hint=hint)
        self.seconds = seconds


class TurnLimit(Stopped):
    """An agent used all its turns without a final answer. `turns` is the limit."""

    reason = "turn_limit"

    def __init__(self, message: str = "", *, turns: int = 0, best: Any = None, path: str = "", hint: str = "") -> None:
        super().__init__(message, best=best, path=path, hint=hint)
        self.turns = turns


class WatchdogStopped(Stopped):
    """A rule of the run's watchdog stopped it, or a human did whom it asked. `rule` names it."""

    reason = "watchdog"

    def __init__(self, message: str = "", *, rule: str = "", best: Any = None, path: str = "", hint: str = "") -> None:
        super().__init__(message, best=best, path=path, hint=hint)
        self.rule = rule


class ApprovalPending(Stopped):
    """The run waits for a human."""

    reason = "approval"


def one_line(error: BaseException) -> str:
    """`Type: text` for events and reasons that people read, whatever the error's own text does."""
    try:
        text = str(getattr(error, "message", "") or error).split("\n", 1)[0]
    except Exception:  # an exception of the user's whose text raises
        text = ""
    return f"{type(error).__name__}: {text}"[:500] if text else type(error).__name__
