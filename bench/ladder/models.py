"""The two models of the ladder: what they are called, how fast they are, and that they are emulated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from bench.ladder.rungs import Setting
from outlay.emulator.latency import Latency
from outlay.models import Anthropic
from outlay.patterns import Cascade

STRONG, CHEAP = "claude-sonnet-4-6", "claude-haiku-4-5"


def _around(seconds: float) -> Callable[[Random], float]:
    """Log-normal with this median; one in twenty takes more than twice as long."""
    return lambda random: seconds * Random(random.random()).lognormvariate(0.0, 0.45)


#: Assumed, not measured: seconds to the first token and for each token after it.
LATENCY = {STRONG: Latency(_around(0.9), 0.014), CHEAP: Latency(_around(0.5), 0.006)}


def model_for(setting: Setting, gate: Any, students: Sequence[Any] = ()) -> Any:
    """The strong one, with what the setting puts below it."""
    strong, cheap = (Anthropic(name, api_key="sk-emulator") for name in (STRONG, CHEAP))
    tiers = [*students, *((cheap,) if setting.cascade else ()), strong]
    return strong if len(tiers) == 1 else Cascade(tiers, gate)
