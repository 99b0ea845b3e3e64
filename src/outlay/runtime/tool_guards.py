"""Before a tool that may be down or full: a breaker and a number of places, shared by all runs of an event loop.

Open means the declared way at once, never a queue: what the tool declares as `when_down`, or an error that the model
is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary

from outlay.errors import InDoubt, PolicyViolation, Stopped, StoreFailed, ToolError, one_line
from outlay.events.records import CircuitChanged, Decision
from outlay.policies.breaker import BreakerPolicy, Circuit
from outlay.protocols.context import RunContext
from outlay.protocols.effects import ToolEffect
from outlay.runtime.state import RunState
from outlay.values.server import Server

#: Seconds of waiting for a place that are worth an event.
_NOTICED = 0.5
#: Neither the server's fault nor a sign that it answers.
_NO_SIGN = (Stopped, PolicyViolation, InDoubt, StoreFailed)


class _Gate:
    """One server in one event loop."""

    __slots__ = ("circuit", "places")

    def __init__(self, server: Server) -> None:
        self.places = None if server.concurrency is None else asyncio.Semaphore(server.concurrency)
        rule = server.breaker
        self.circuit = None if rule is None else Circuit(BreakerPolicy(rule.failures, rule.seconds, rule.probe))


_gates: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakKeyDictionary[Server, _Gate]] = WeakKeyDictionary()


def _gate(loop: asyncio.AbstractEventLoop, server: Server) -> _Gate:
    of_loop = _gates.setdefault(loop, WeakKeyDictionary())
    found = of_loop.get(server)
    if found is None:
        found = of_loop[server] = _Gate(server)
    return found


class guarded:
    """The effect to run: itself once it may, or what it declares for the case that its server is down.

    Raises ToolError where it is down and nothing is declared.
    """

    __slots__ = ("_effect", "_gates", "_held", "_path", "_sent", "_state")

    def __init__(self, state: RunState, effect: ToolEffect, inner: RunContext[Any]) -> None:
        self._state = state
        self._effect = effect
        self._path = inner.path
        self._gates: Sequence[tuple[Server, _Gate]] = [(one, _gate(state.loop, one)) for one in effect.servers]
        self._held: list[asyncio.Semaphore] = []
        self._sent = 0.0

    async def __aenter__(self) -> ToolEffect:
        now = self._state.loop.time
        since = now()
        try:
            for server, gate in self._gates:
                circuit = gate.circuit
                if circuit is not None and circuit.state != "closed" and now() < circuit.next_probe:
                    return self._instead(server, circuit)
            for _, gate in self._gates:
                if gate.places is not None:
                    await gate.places.acquire()
                    self._held.append(gate.places)
            if (waited := now() - since) >= _NOTICED:
                self._decided("paced", tool=self._effect.tool, seconds=round(waited, 3))
            for server, gate in self._gates:  # again: it may have opened meanwhile
                if gate.circuit is not None and not gate.circuit.admits(now()):
                    return self._instead(server, gate.circuit)
        except BaseException:
            self._leave()
            raise
        self._sent = now()
        return self._effect

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave()
        cut_off = error is not None and not isinstance(error, Exception | SystemExit)
        if not self._gates or cut_off or isinstance(error, _NO_SIGN):
            return
        for server, gate in self._gates:
            rule, circuit = server.breaker, gate.circuit
            if rule is None or circuit is None or isinstance(error, rule.ignores):
                continue
            if error is None:
                turned = circuit.succeeded(self._sent)
            else:
                turned = circuit.failed(one_line(error), self._state.loop.time())
            if turned:
                self._told(server, circuit)

    def _leave(self) -> None:
        for places in self._held:
            places.release()
        self._held = []

    def _instead(self, server: Server, circuit: Circuit) -> ToolEffect:
        """What is declared for this case; from here on nothing is learned of the server."""
        self._leave()
        self._gates = ()
        effect, wait = self._effect, max(0.0, circuit.next_probe - self._state.loop.time())
        instead = "an error" if effect.when_down is None else "when_down"
        self._decided("tool_down", tool=effect.tool, server=server.name, reason=circuit.reason, instead=instead)
        if effect.when_down is None:
            raise ToolError(
                f"{effect.tool} is not called: {server.name} failed {circuit.failures} times in a row (the last: "
                f"{circuit.reason}); it is tried again in {wait:.0f} s",
                tool=effect.tool,
                path=self._path,
                hint="go on without it, or declare Tool(…, when_down=…)",
            )
        # a stand-in changes nothing in the world
        return replace(effect, invoke=effect.when_down, side_effect=False, idempotent=True, parallel=True)

    def _decided(self, about: str, **data: Any) -> None:
        self._state.recorder.emit(Decision, self._path, about=about, data=data)

    def _told(self, server: Server, circuit: Circuit) -> None:
        state = self._state
        state.recorder.emit(CircuitChanged, self._path, target=server.name, state=circuit.state, reason=circuit.reason)
        event = state.recorder.events[-1]
        if state.warn is not None and isinstance(event, CircuitChanged):
            state.warn(event)
