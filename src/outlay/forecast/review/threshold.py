"""How much dearer a change may be: `10%`, dollars a run, or dollars a month."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, TypeAlias

from outlay.errors import ConfigError
from outlay.forecast.review.changes import FlowChange
from outlay.forecast.review.volume import Volume
from outlay.values.money import show_limit

_FORM = re.compile(r"(?:(\d+(?:\.\d+)?)\s*%|\$?(\d+(?:\.\d+)?)(/month)?)", re.ASCII)
Held: TypeAlias = Literal["within", "over", "not known"]


@dataclass(frozen=True, slots=True)
class Threshold:
    """`unit` is percent of a run's dollars, dollars a run, or dollars a month."""

    amount: Decimal
    unit: Literal["%", "$", "$/month"]

    @staticmethod
    def parse(text: str) -> Threshold:
        """Raises ConfigError for what is none of the three forms."""
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise ConfigError(
                f"{text[:40]!r} is no increase", hint="write 10%, $0.002 (dollars a run) or $50/month, without a sign"
            )
        if found[1] is not None:
            return Threshold(Decimal(found[1]), "%")
        return Threshold(Decimal(found[2]), "$/month" if found[3] else "$")

    def __str__(self) -> str:
        if self.unit == "%":
            return f"{self.amount:f} %"
        return f"{show_limit(self.amount)} a {'month' if self.unit == '$/month' else 'run'}"

    def holds(self, change: FlowChange, volume: Volume) -> Held:
        """Whether a flow stays within it. What is not known is neither within nor over.

        A new flow is no percentage of anything, so a percentage does not hold it. A model without a price could cost
        anything, so nothing is known of a flow whose parts have changed.
        """
        if change.kind in ("same", "removed"):
            return "within"
        increase = change.increase
        if increase is None or change.unpriced:
            return "not known"
        if increase <= 0:
            return "within"
        if self.unit == "%":
            if change.before is None:
                return "within"
            if change.share is None:  # it cost nothing before
                return "over"
            return "over" if _more(change.share * 100, self.amount) else "within"
        if self.unit == "$":
            return "over" if _more(increase, self.amount) else "within"
        if volume.runs is not None and _more(increase * volume.runs, self.amount):
            return "over"
        return "not known" if volume.runs is None or volume.least else "within"


def _more(value: float, limit: Decimal) -> bool:
    """Over the limit by more than what floating point adds."""
    return value > float(limit) * (1 + 1e-9)
