"""Patterns are tested on virtual time: latencies cost nothing, and who waits for whom can be asserted."""

import pytest

from outlay.testing import virtual_time


@pytest.fixture(autouse=True)
def on_virtual_time():
    with virtual_time() as clock:
        yield clock
