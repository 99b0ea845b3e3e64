"""The simulator finds bugs: each of those planted here, one at a time, breaks a law within so many seeds."""

from contextlib import suppress

import pytest

from outlay.errors import Conflict, ModelError
from outlay.policies.ledger import Ledger
from outlay.runtime.flight import Flight
from outlay.runtime.identity import Scope
from outlay.runtime.ownership import Ownership
from outlay.runtime.recorder import Recorder
from outlay.sim.faulty import FaultyModel
from outlay.sim.schedule import simulate

#: The most seeds that a planted bug may live through.
WITHIN = 150


def drop_a_settle(monkeypatch):
    """What a call cost is given back instead of spent."""
    monkeypatch.setattr(Ledger, "settle", lambda self, hold, usd, tokens: self.release(hold) or [])


def retry_twice(monkeypatch):
    """A second layer tries again, below the one that counts and reserves."""
    once = FaultyModel.send

    async def send(self, request, transport, on_text=None):
        try:
            return await once(self, request, transport, on_text)
        except ModelError:
            return await once(self, request, transport, on_text)

    monkeypatch.setattr(FaultyModel, "send", send)


def ignore_a_cancel(monkeypatch):
    """What is in flight goes on when its run is cancelled."""

    async def cut_off(self, **options):
        pass

    monkeypatch.setattr(Flight, "cut_off", cut_off)


def reuse_an_occurrence_number(monkeypatch):
    """The second of two equal effects takes the first one's name."""
    monkeypatch.setattr(Scope, "occurrence", lambda self, what: 0)


def forget_the_lease(monkeypatch):
    """A run is taken over from whoever has it."""

    async def check_free(self, run_id, owner, wall):
        pass

    monkeypatch.setattr(Ownership, "check_free", check_free)


def forget_the_fence(monkeypatch):
    """An owner that was shut out goes on all the same."""

    async def durable(self):
        if self.store is not None:
            with suppress(Conflict):
                await self.store.flush(self.run_id)

    monkeypatch.setattr(Recorder, "durable", durable)


PLANTED = {
    drop_a_settle: "budgets",
    retry_twice: "intents",
    ignore_a_cancel: "is over and",
    reuse_an_occurrence_number: "duplicates",
    forget_the_lease: "took the run over",
    forget_the_fence: "had taken the run over",
}


@pytest.mark.parametrize("plant", PLANTED, ids=lambda plant: plant.__name__)
def test_a_planted_bug_is_found(plant, monkeypatch):
    """And by the law that is about it. Without the bug, the seed that found it is clean."""
    with monkeypatch.context() as patched:
        plant(patched)
        found = next((o for o in map(simulate, range(WITHIN)) if any(PLANTED[plant] in v for v in o.violations)), None)
    assert found is not None, f"not found within {WITHIN} seeds"
    assert simulate(found.seed).violations == ()
