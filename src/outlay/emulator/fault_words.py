"""A schedule of faults in words, as the command line takes it: `429=0.05`, `529@3`, `half-stream@1`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from outlay.emulator.faults import Fault, FaultLike, Faults

#: Faults by name. What needs seconds is a matter of latency.
KINDS: Final[Mapping[str, Callable[[], Fault]]] = {
    "timeout": Fault.timeout,
    "reset": Fault.reset,
    "html": Fault.html,
    "not-json": Fault.not_json,
    "truncated": Fault.truncated,
    "half-stream": Fault.half_stream,
    "error-event": Fault.error_event,
    "twice": Fault.twice,
    "extras": Fault.extras,
}


def faults_of(words: Iterable[str], seed: int = 0) -> Faults:
    """`WHAT=SHARE` happens to that share of the requests, `WHAT@N` to the N-th; WHAT is an HTTP status from 400 to 599
    or a name of `KINDS`. Raises ValueError that says which word is wrong, and how."""
    at: dict[int, FaultLike] = {}
    rates: dict[FaultLike, float] = {}
    for word in words:
        what, sign, number = word.partition("@") if "@" in word else word.partition("=")
        fault = _fault(what, word)
        if sign == "@":
            at[int(_number(number, int, word))] = fault
        else:
            rates[fault] = rates.get(fault, 0.0) + (_number(number, float, word) if sign else 1.0)
    if any(position < 1 for position in at):
        raise ValueError("requests are counted from 1")
    if any(not 0 <= rate <= 1 for rate in rates.values()) or sum(rates.values()) > 1 + 1e-9:
        raise ValueError("the shares of faults are from 0 to 1, and at most 1 together")
    return Faults(at=at, rates=rates, seed=seed)


def _fault(what: str, word: str) -> FaultLike:
    name = what.strip().lower().replace("_", "-")
    if name in KINDS:
        return KINDS[name]()
    if name.isascii() and name.isdigit() and 400 <= int(name) <= 599:
        return int(name)
    raise ValueError(f"{word!r} names no fault: it is a status from 400 to 599, or one of {', '.join(KINDS)}")


def _number(text: str, kind: Callable[[str], float], word: str) -> float:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"{word!r}: {text!r} is no number; write 429=0.05 for a share, 529@3 for the third") from None
