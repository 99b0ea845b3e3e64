"""`outlay health`: a table of the stored runs, and the same as JSON."""

from __future__ import annotations

from pathlib import Path

from cli_support import Call

from outlay import Agent, run_sync
from outlay.patterns import Cascade
from outlay.testing import ScriptedModel


def test_it_says_who_was_called_how_often_and_how_long_it_took(call: Call) -> None:
    for text in ("a", "b", "c"):
        assert call("run", "desk.py:echo", "--input", text, "--models", "offline").code == 0
    said = call("health")
    assert said.code == 0
    first, *rows = said.out.splitlines()
    assert first == "3 runs · 3 completed"
    assert any(row.startswith("echo ") and row.split()[1] == "3" for row in rows)
    assert any(row.startswith("provider ") for row in rows)
    found = call("health", "--json").json
    assert found["runs"] == {"completed": 3}
    (agent,) = found["agents"]
    assert (agent["name"], agent["calls"], agent["failed"], agent["errors"]) == ("echo", 3, 0, {})
    assert agent["p50_seconds"] <= agent["p95_seconds"]
    assert agent["escalated"] is None


def test_only_one_flow_or_only_what_is_new(call: Call) -> None:
    call("run", "desk.py:echo", "--input", "a", "--models", "offline")
    assert call("health", "--flow", "echo").out.startswith("1 run · 1 completed\n")
    assert call("health", "--since", "7d").out.startswith("1 run ")
    assert call("health", "--since", "0s").out == "0 runs\n"
    missing = call("health", "--flow", "eco")
    assert (missing.code, missing.err) == (
        2,
        "error: no run of a flow named 'eco' is stored\n  next: --flow is one of echo\n",
    )


def test_without_a_store_it_says_how_to_get_one(call: Call) -> None:
    said = call("health")
    assert said.code == 2
    assert "there is no store" in said.err


def test_an_age_that_is_none_is_refused(call: Call) -> None:
    assert call("health", "--since", "soon").code == 2


def test_of_a_cascade_it_says_what_its_tiers_settled_and_whether_it_pays(call: Call, tmp_path: Path) -> None:
    """Half of the turns come to the top, one in four is not settled there."""
    store = str(tmp_path / "s.db")
    cheap = ScriptedModel(lambda r: "fine" if int(r.text) % 2 else "hm", name="cheap", price=(1_000, 0))
    strong = ScriptedModel(lambda r: "hm" if int(r.text) % 8 == 0 else "fine", name="strong", price=(10_000, 0))
    gate = lambda output: None if output == "fine" else "unsure"  # noqa: E731
    agent = Agent("desk", Cascade([cheap, strong], gate))
    for n in range(40):
        run_sync(agent, str(n), store=store, on_alert=lambda alert: None)
    said = call("health", "--store", store).out
    assert "cascade desk · 40 turns\n  tier 0  asked 40 · 20 passed · 20 refused\n" in said
    assert "  tier 1  asked 20 · 15 passed · 5 refused\n" in said
    assert "  it pays up to 90.0 % to the top, 50.0 % came there" in said
    assert "  ! 50 % of the turns came to the top tier, more than 30 %" in said
    assert "  ! the top tier did not settle 25 %, more than 20 %" in said
    (found,) = call("health", "--store", store, "--json").json["cascades"]
    assert (found["turns"], found["to_top"], found["top_failures"]) == (40, 0.5, 0.25)
    assert found["p95_usd"] == 0.011
    assert found["p99_first_token"] is None
