"""Several checkers as one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from outlay.checkers.checker import Checker, ContextChecker, named, named_with_context
from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.protocols.signature import takes_context


def all_of(*checkers: Callable[..., str | None]) -> Checker | ContextChecker:
    """Passes what all of them pass, and else says all that is wrong at once, which saves turns.

    Those that take long (`blocking`: tests, ruff) run last, and only on what the others pass.
    """
    if not checkers:
        raise ConfigError("all_of() has no checkers")
    for checker in checkers:
        if inspect.iscoroutinefunction(checker):
            raise ConfigError(f"all_of(): {checker.__name__} is asynchronous; give it to verify= on its own")
    quick = [checker for checker in checkers if not _blocking(checker)]
    slow = [checker for checker in checkers if _blocking(checker)]
    asking = {checker for checker in checkers if takes_context(checker)}
    name = "+".join(str(getattr(checker, "name", getattr(checker, "__name__", "check"))) for checker in checkers)

    def problems(ctx: Any, output: Any) -> str | None:
        for group in (quick, *([checker] for checker in slow)):
            said = [checker(ctx, output) if checker in asking else checker(output) for checker in group]
            if any(problem is not None for problem in said):
                return "\n".join(problem for problem in said if problem is not None)
        return None

    if not asking:
        return named(name, lambda output: problems(None, output), blocking=bool(slow))

    def check(ctx: RunContext[Any], output: Any) -> str | None:
        return problems(ctx, output)

    checker = named_with_context(name, check)
    checker.blocking = bool(slow)
    return checker


def _blocking(checker: Callable[..., Any]) -> bool:
    return bool(getattr(checker, "blocking", False))
