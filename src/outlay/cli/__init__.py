"""The command line: it asks and shows; everything that it shows is decided below.

One command a file, imported when it is called, so that `outlay --help` costs no more than click.
"""

from __future__ import annotations

import gc
import signal

#: New objects between two looks of the garbage collector: what the runtime does while many calls are in flight
#: (runtime/collector.py) a program of its own may do all the time. Offline runs of many rows take a tenth less CPU.
_OBJECTS = 50_000


def main() -> None:
    """The `outlay` program."""
    gc.set_threshold(_OBJECTS, 20, 50)
    from outlay.cli.group import cli

    try:
        cli()
    finally:
        # All is said and kept: one more Ctrl-C must not turn the exit code into a killed process.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
