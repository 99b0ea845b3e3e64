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
from outlay.protocols.stages import Answers, Lane, Stages
from outlay.runtime.breakers import Breakers
from outlay.runtime.permits import Permits
from outlay.runtime.retries import RetryBudgets

_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Breakers, Permits, RetryBudgets]] = WeakKeyDictionary()


@cache
def _limits() -> Mapping[str, LaneLimits]:
    """What `outlay.toml` says, read once."""
    from outlay.models.limit_file import find_limits

    return find_limits()


def stages(cache: Answers, lane: Lane) -> Stages:
    """The stages of a host's runs: those that it brings, and those that all runs of the running loop share."""
    loop = asyncio.get_running_loop()
    shared = _shared.get(loop)
    if shared is None:
        shared = _shared[loop] = Breakers(), Permits(loop, _limits()), RetryBudgets()
    breakers, permits, retries = shared
    return Stages(cache=cache, breaker=breakers, permits=permits, retries=retries, lane=lane)
