"""The third program of the contract: a test. `triage` and `Intent` are those of the first."""

from program_triage import Intent, triage

from outlay import run_sync
from outlay.errors import Overloaded
from outlay.testing import ScriptedModel, virtual_time

sure = ScriptedModel([Intent(label="billing", confidence=0.99)])


def test_an_overloaded_provider_means_a_human():
    down = ScriptedModel([Overloaded("busy")] * 3, latency=30)
    with virtual_time() as clock:
        result = run_sync(triage, "Where is my card?", models={"router": sure, "reply": down})
    assert result.unwrap().startswith("to a human: Overloaded")
    assert clock.elapsed >= 90
