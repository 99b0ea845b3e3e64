"""The command line: it asks and shows; everything that it shows is decided below.

One command a file, imported when it is called, so that `outlay --help` costs no more than click.
"""

from __future__ import annotations


def main() -> None:
    """The `outlay` program."""
    from outlay.cli.group import cli

    cli()
