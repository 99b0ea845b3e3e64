"""Taking turns: tasks of one loop that want to change one thing do it one after the other.

Only a help: other processes still come between, and versions decide. Without it 400 branches that count to 400 lose
80,000 races against each other.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary, WeakValueDictionary

from outlay.protocols.documents import Documents

_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[tuple[int, str], asyncio.Lock]] = (
    WeakKeyDictionary()
)


def turn(documents: Documents, key: str) -> asyncio.Lock:
    """The lock for `key` of these documents in the running loop; it lasts as long as somebody has it."""
    locks = _turns.setdefault(asyncio.get_running_loop(), WeakValueDictionary())
    return locks.setdefault((id(documents), key), asyncio.Lock())
