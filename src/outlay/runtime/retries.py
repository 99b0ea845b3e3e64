"""The retry budgets of one event loop, one for each provider (policies/retry_budget.py decides)."""

from __future__ import annotations

from outlay.errors import ModelError
from outlay.policies.retry_budget import RetryBudget
from outlay.protocols.model import Model


class RetryBudgets:
    __slots__ = ("_budgets",)

    def __init__(self) -> None:
        self._budgets: dict[str, RetryBudget] = {}

    def first(self, model: Model, now: float) -> None:
        self._of(model).first(now)

    def again(self, model: Model, error: ModelError, now: float, began: float) -> bool:
        return self._of(model).again(error, now, began)

    def goes(self, model: Model, error: ModelError, now: float, down_since: float | None) -> bool:
        return self._of(model).goes(error, now, down_since)

    def one_more(self, model: Model, now: float) -> bool:
        return self._of(model).one_more(now)

    def _of(self, model: Model) -> RetryBudget:
        found = self._budgets.get(model.provider)
        if found is None:
            found = self._budgets[model.provider] = RetryBudget()
        return found
