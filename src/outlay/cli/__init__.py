"""The command line: it asks and shows; everything that it shows is decided below.

One command a file, imported when it is called, so that `outlay --help` costs no more than click.
"""

from __future__ import annotations

import gc
import signal

#: Objects between two collections. A thousand calls in flight are 100,000 objects that all live: with Python's own 700,
#: a third of the CPU of a wide fan-out goes into looking at them. A library leaves that to its program; this is one.
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
