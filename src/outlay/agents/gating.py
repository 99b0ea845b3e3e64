"""Asking the gates of a cascade: functions of the output, and gates that see the whole answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from outlay.errors import ConfigError, OutlayError, one_line
from outlay.protocols.context import RunContext
from outlay.protocols.gate import TierGate
from outlay.values.tier_answer import TierAnswer


def as_gates(given: Any) -> tuple[Any, ...]:
    """A gate or a list of them. Raises ConfigError for what is none."""
    gates = tuple(cast("Sequence[Any]", given)) if isinstance(given, list | tuple) else (given,)
    if not gates or not all(isinstance(gate, TierGate) or callable(gate) for gate in gates):
        raise ConfigError(
            f"Cascade: {given!r} is no gate",
            hint="give a function (output) -> None | str, a gate of outlay.routing, or a list of them",
        )
    return gates


async def refusal(ctx: RunContext[Any], gates: Sequence[Any], answer: TierAnswer) -> tuple[str, str | None]:
    """The gate that does not let an answer through, and why; where all do, the last one that looked at it, and None.

    Raises ConfigError for a gate that raises: it can neither accept nor refuse.
    """
    name = ""
    for gate in gates:
        if getattr(gate, "tier", answer.tier) != answer.tier:
            continue  # it is for the answers of another tier
        name = gate_name(gate)
        try:
            problem = await _asked(ctx, gate, answer)
        except OutlayError:
            raise
        except Exception as error:
            raise ConfigError(
                f"the gate {name} raised {one_line(error)}",
                path=ctx.path,
                hint=f"call {name} by hand on what tier {answer.tier} gave; a gate gives None, or says what is wrong",
            ) from error
        if problem is not None:
            return name, problem
    return name, None


async def _asked(ctx: RunContext[Any], gate: Any, answer: TierAnswer) -> str | None:
    if isinstance(gate, TierGate):
        return await gate.judge(ctx, answer)
    # a function of the output has nothing to say of a turn that only calls tools
    return await ctx.check(cast("Callable[..., Any]", gate), answer.output) if answer.final else None


def goes_by_logprobs(gate: Any, tier: int | None = None) -> bool:
    """Does a gate go by the log-probabilities of a tier's answers (None: of any)?"""
    return bool(getattr(gate, "reads_logprobs", False)) and tier in (None, gate.tier)


def gate_name(gate: Any) -> str:
    return str(getattr(gate, "name", "") or getattr(gate, "__name__", "") or type(gate).__name__)
