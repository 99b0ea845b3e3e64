"""The circuit breakers of one event loop, one for each model (policies/breaker.py decides)."""

from __future__ import annotations

from outlay.errors import ModelError, Overloaded, one_line
from outlay.policies.breaker import BreakerPolicy, Circuit, is_outage
from outlay.protocols.model import Model
from outlay.protocols.stages import Turned

_POLICY = BreakerPolicy()


class Breakers:
    __slots__ = ("_circuits", "_policy")

    def __init__(self, policy: BreakerPolicy = _POLICY) -> None:
        self._policy = policy
        self._circuits: dict[tuple[str, str], Circuit] = {}

    def admit(self, model: Model, now: float) -> None:
        circuit = self._circuits.get((model.provider, model.id))
        if circuit is None or circuit.admits(now):
            return
        wait = circuit.next_probe - now
        raise Overloaded(
            f"{model.id} is not asked: its circuit is open since {circuit.failures} failures in a row "
            f"(the last: {circuit.reason}); it is tried again in {wait:.0f} s",
            provider=model.provider,
            retryable=False,
            retry_after=wait,
            hint="give the agent a fallback=[…] model, or run it again later",
        )

    def passes(self, model: Model) -> bool:
        circuit = self._circuits.get((model.provider, model.id))
        return circuit is None or circuit.state == "closed"

    def down_since(self, model: Model) -> float | None:
        circuit = self._circuits.get((model.provider, model.id))
        return None if circuit is None else circuit.down_since

    def record(self, model: Model, error: ModelError | None, sent: float, now: float) -> Turned | None:
        circuit = self._circuits.get((model.provider, model.id))
        if error is not None and is_outage(error):
            if circuit is None:
                circuit = self._circuits[model.provider, model.id] = Circuit(self._policy)
            opened = circuit.failed(one_line(error), now, sent)
            return Turned(model.id, "open", circuit.reason) if opened else None
        if circuit is None or not circuit.succeeded(sent):  # one that never failed has no circuit
            return None
        return Turned(model.id, "closed", circuit.reason)
