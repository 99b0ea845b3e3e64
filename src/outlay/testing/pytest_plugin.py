"""Fixtures for pytest, which loads this module by itself wherever Outlay is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from outlay.sim.clock import VirtualClock


@pytest.fixture
def virtual_clock() -> Iterator[VirtualClock]:
    """The test's `run_sync` calls run on virtual time; `virtual_clock.elapsed` is what they took, in seconds."""
    from outlay.sim.loop import virtual_time  # not at the top: every pytest session would pay for it

    with virtual_time() as clock:
        yield clock


def pytest_pycollect_makeitem(name: str, obj: Any) -> list[Any] | None:
    """`from outlay.checkers import tests` imports a checker: pytest would take it for a test by its name."""
    return [] if getattr(obj, "__module__", None) == "outlay.checkers.tests" else None
