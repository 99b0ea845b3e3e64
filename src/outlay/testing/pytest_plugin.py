"""Fixtures for pytest, which loads this module by itself wherever Outlay is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from outlay.sim.clock import VirtualClock


@pytest.fixture
def virtual_clock() -> Iterator[VirtualClock]:
    """The test's `run_sync` calls run on virtual time; `virtual_clock.elapsed` is what they took, in seconds."""
    from outlay.sim.loop import virtual_time  # not at the top: every pytest session would pay for it

    with virtual_time() as clock:
        yield clock
