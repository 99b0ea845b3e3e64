"""Runs one Python file with what the system allows to be taken from it first. A program of its own, started by `runs`:

    python -I confined.py CODE SECONDS BYTES CHECK TOKEN

CHECK is a file that is run after CODE and sees its names, or an empty word. TOKEN is printed at the very end: a program
that ends the process early does not get there.
"""

import os
import sys
from typing import Any


def confine(seconds: int, size: int) -> None:
    """Limits of the process and its children, and no network where the system lets us leave it."""
    try:
        import resource
    except ImportError:  # Windows: only the time is limited, from outside
        sys.addaudithook(_refuse)
        return
    for limit, value in (
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_AS, size),
        (resource.RLIMIT_FSIZE, min(size, 64 * 2**20)),
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(limit)[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(limit, (lowest, lowest))
        except (ValueError, OSError):  # macOS knows no RLIMIT_AS
            continue
    _leave_the_network()
    sys.addaudithook(_refuse)


def _leave_the_network() -> None:
    """A network namespace without any interface, where an ordinary user may make one (Linux)."""
    try:
        import ctypes

        ctypes.CDLL(None, use_errno=True).unshare(0x10000000 | 0x40000000)  # CLONE_NEWUSER | CLONE_NEWNET
    except (OSError, AttributeError, TypeError, ImportError):
        return


def _refuse(event: str, arguments: Any) -> None:
    """What the namespace does not keep from the network, or does not exist: an honest program is told here."""
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"):
        raise PermissionError("there is no network here")


def main() -> None:
    code, seconds, size, check, token = sys.argv[1:]
    confine(int(seconds), int(size))
    sys.argv = [code]
    sys.path.insert(0, os.getcwd())
    names: dict[str, Any] = {"__name__": "__main__", "__file__": code}
    try:
        _execute(code, names)
    except SystemExit as end:  # how many a program ends that went well
        if end.code not in (None, 0):
            raise
    if check:
        _execute(check, names)
    sys.stdout.flush()
    sys.stdout.write(f"\n{token}\n")
    sys.stdout.flush()


def _execute(file: str, names: dict[str, Any]) -> None:
    with open(file, encoding="utf-8") as opened:
        exec(compile(opened.read(), file, "exec"), names)  # noqa: S102 - it is what this program is for


main()
