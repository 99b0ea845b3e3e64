"""`outlay.testing.Faults` given to an Emulator."""

from __future__ import annotations

from typing import Any

import pytest

from outlay.emulator import Fault
from outlay.emulator import Faults as WireFaults
from outlay.emulator.wire_faults import on_the_wire
from outlay.errors import ConfigError
from outlay.sim.faults import KINDS
from outlay.testing import Emulator, Faults


def test_its_rates_are_those_of_the_wire() -> None:
    schedule = on_the_wire(Faults(seed=7, rates={429: 0.1, "reset": 0.05, "rate_limited": 0.1}))
    assert schedule is not None
    assert (schedule.seed, schedule.rates) == (7, {429: 0.2, Fault.reset(billed=True): 0.05})


def test_one_number_is_shared_out() -> None:
    schedule = on_the_wire(Faults(rates=0.5))
    assert schedule is not None
    assert len(schedule.rates) == len(KINDS) - 1  # usage is the behaviour's
    assert sum(schedule.rates.values()) == pytest.approx(0.5)


def test_a_schedule_of_the_emulators_own_stays_as_it_is() -> None:
    own = WireFaults(at={1: 529})
    assert on_the_wire(own) is own
    assert on_the_wire(None) is None


@pytest.mark.parametrize("options", [{"latency": 1}, {"length": 5}, {"quality": 0.5}, {"rates": {"wrong_usage": 0.1}}])
def test_what_is_the_emulators_own_to_decide_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="Emulator has"):
        Emulator(faults=Faults(**options))


async def test_a_client_meets_with_them() -> None:
    """And with nothing else."""
    import anthropic

    async with Emulator(faults=Faults(seed=1, rates={529: 0.5})) as emulator:
        client = anthropic.AsyncAnthropic(api_key="k", base_url=emulator.anthropic_url, max_retries=0)
        seen: list[int] = []
        for _ in range(12):
            try:
                await client.messages.create(model="m", max_tokens=9, messages=[{"role": "user", "content": "x"}])
                seen.append(200)
            except anthropic.APIStatusError as error:
                seen.append(error.status_code)
        await client.close()
    assert set(seen) == {200, 529}
