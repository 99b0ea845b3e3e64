"""`outlay health`: a table of the stored runs, and the same as JSON."""

from __future__ import annotations

from cli_support import Call


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
