"""Ctrl-C where several processes work: a terminal sends it to all of them, and one says so."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def deaf() -> Generator[None]:
    """Processes that begin here do not hear of Ctrl-C: a traceback of theirs, out of the middle of an import, says
    nothing. Who began them ends them, or makes them `mortal`.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def mortal() -> None:
    """From here on Ctrl-C, and one that came before, ends this process without a word."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
