"""The command line on a store in PostgreSQL, given by its address."""

from __future__ import annotations

import pytest
from cli_support import Call


@pytest.fixture
def address(postgres: str) -> str:
    """With a password, which this server does not ask for."""
    return postgres.replace("outlay@", "outlay:topsecret@")


def test_runs_are_kept_and_found_there(call: Call, address: str, monkeypatch: pytest.MonkeyPatch):
    run_id = call("run", "desk.py:desk", "--input", "calm", "--store", address, "--json").json["run_id"]
    monkeypatch.setenv("OUTLAY_STORE", address)
    assert run_id[:6] in call("runs").out
    assert run_id[:6] in call("bill", "last").out
    assert "desk" in call("trace", run_id[:6]).out


def test_the_password_is_on_no_screen(call: Call, address: str):
    """Neither where the store is named as the place of a run nor where its state is reported."""
    stopped = call("run", "desk.py:desk", "--input", "calm", "--budget", "0.000001", "--store", address)
    assert "in postgresql://outlay@/postgres" in stopped.err
    reported = call("doctor", "--store", address)
    assert "postgresql://outlay@/postgres · 1 runs" in reported.out
    missing = call("runs", "--store", address.replace("/postgres?", "/nowhere?"))
    assert '"nowhere" does not exist' in missing.err
    for said in (stopped, reported, missing):
        assert "topsecret" not in said.out + said.err
