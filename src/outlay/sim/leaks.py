"""Blocking calls under virtual time: a real sleep, or a socket, would wait in real time, unnoticed."""

from __future__ import annotations

import functools
import socket
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

_BLOCKING: tuple[tuple[Any, str, str], ...] = (
    (time, "sleep", "time.sleep"),
    (socket.socket, "connect", "socket.connect"),
    (socket.socket, "connect_ex", "socket.connect_ex"),
)


@contextmanager
def found(refuse: Callable[[str], None]) -> Generator[None]:
    """Inside, `refuse` is called with the name of each such call before it is made, and may raise.

    A function that was imported by itself before (`from time import sleep`) cannot be seen.
    """
    before = [(owner, name, getattr(owner, name)) for owner, name, _ in _BLOCKING]
    for (owner, name, known), (_, _, real) in zip(_BLOCKING, before, strict=True):
        setattr(owner, name, _guarded(real, known, refuse))
    try:
        yield
    finally:
        for owner, name, real in before:
            setattr(owner, name, real)


def _guarded(real: Callable[..., Any], known: str, refuse: Callable[[str], None]) -> Callable[..., Any]:
    @functools.wraps(real)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        try:
            refuse(known)
        except Exception:
            if args and isinstance(args[0], socket.socket):
                args[0].close()  # whoever made it expects an OSError, and would leave it open
            raise
        return real(*args, **kwargs)

    return guarded
