"""The command line: it asks and shows; everything that it shows is decided below.

One command a file, imported when it is called, so that `outlay --help` costs no more than click.
"""

from __future__ import annotations

import signal


def main() -> None:
    """The `outlay` program."""
    from outlay.cli.group import cli

    try:
        cli()
    finally:
        # All is said and kept: one more Ctrl-C must not turn the exit code into a killed process.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
