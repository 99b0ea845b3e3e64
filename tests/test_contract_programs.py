"""The three programs of the contract: they read like this, they type-check, and they run."""

import asyncio
import shutil
import subprocess
import sys
from decimal import Decimal
from importlib import import_module
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "typing"


@pytest.fixture(autouse=True)
def programs(monkeypatch):
    monkeypatch.syspath_prepend(PROGRAMS)


def test_a_router_with_a_budget():
    """The first program answers and shows its bill."""
    main = import_module("program_triage").main
    result = main("offline")
    assert result.unwrap() == "Passages say: Cards arrive within 5 days."
    assert 0 < result.bill.total < Decimal("0.05")
    assert main("offline", "My house is on fire!").unwrap() == "to a human: urgent is escalated"


def test_a_supervisor_with_a_budget():
    """The second program plans, digs and puts together."""
    result = asyncio.run(import_module("program_crew").main("offline"))
    assert (result.stop_reason, result.unwrap()) == ("completed", "Ready, by 2 findings.")


def test_the_contracts_test_passes():
    """The third program is a test: three overloaded answers of 30 s, then a human."""
    import_module("program_overloaded").test_an_overloaded_provider_means_a_human()


def test_the_programs_and_the_public_surface_type_check():
    """pyright in strict mode, on what users write."""
    pyright = shutil.which("pyright", path=str(Path(sys.executable).parent))
    if pyright is None:
        pytest.skip("pyright is not installed beside this Python")
    done = subprocess.run(
        [pyright, "--pythonpath", sys.executable, str(PROGRAMS)],
        capture_output=True,
        text=True,
        cwd=PROGRAMS.parent.parent,
    )
    assert done.returncode == 0, done.stdout
