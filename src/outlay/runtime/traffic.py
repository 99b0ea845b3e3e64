"""What all runs of an event loop share towards their providers: breakers, permits, retry budgets.

A provider counts by account, not by run, so what one run learns (it is down, it is full) holds for the next. One set
a loop, as with the transport: its waiters are the loop's, and its clock is the loop's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from weakref import WeakKeyDictionary

from outlay.policies.lane import LaneLimits
from outlay.protocols.stages import Stages
from outlay.runtime.breakers import Breakers
from outlay.runtime.permits import Permits
from outlay.runtime.retries import RetryBudgets

_stages: WeakKeyDictionary[asyncio.AbstractEventLoop, Stages] = WeakKeyDictionary()


@cache
def _limits() -> Mapping[str, LaneLimits]:
    """What `outlay.toml` says, read once."""
    from outlay.models.limit_file import find_limits

    return find_limits()


def stages() -> Stages:
    """The stages of the running loop."""
    loop = asyncio.get_running_loop()
    found = _stages.get(loop)
    if found is None:
        found = _stages[loop] = Stages(breaker=Breakers(), permits=Permits(loop, _limits()), retries=RetryBudgets())
    return found
