"""The address of a flow as a run records it (`triage.py:triage --deps triage.py:make`), and back.

It comes out of a store and is about to be imported, so only what FLOW allows is read from it.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from outlay.cli.problems import Problem


def address_of(flow: str, deps: str | None) -> str:
    """What to record; empty where it could not be read again."""
    if not _is_address(flow) or (deps is not None and not _is_address(deps)):
        return ""
    return shlex.join([_from_here(flow)] + ([] if deps is None else ["--deps", _from_here(deps)]))


def flow_at(source: str, run: str) -> tuple[str, str | None]:
    """FLOW, and what `--deps` was. Raises Problem where there is none, or it is no address."""
    again = f"outlay resume {run} FLOW"
    if not source:
        raise Problem(
            f"run {run} does not say where its flow is: it was not begun by outlay run",
            next=f"{again}, with FLOW as path/to/file.py:attribute or package.module:attribute",
        )
    try:
        words = shlex.split(source)
    except ValueError:
        words = []
    if len(words) in (1, 3) and all(map(_is_address, words[::2])) and words[1:2] in ([], ["--deps"]):
        return words[0], words[2] if words[2:] else None
    raise Problem(f"run {run} says that its flow is {source[:200]!r}, which is no FLOW", next=again)


def _is_address(text: str) -> bool:
    """`path/to/file.py:attribute` or `package.module:attribute`, without signs that a terminal obeys."""
    target, _, name = text.rpartition(":")
    if not name.isidentifier() or not text.isprintable() or target.startswith("-"):
        return False
    return target.endswith(".py") or all(part.isidentifier() for part in target.split("."))


def _from_here(address: str) -> str:
    """A path below the working directory as seen from there, any other file by its whole path."""
    target, _, name = address.rpartition(":")
    if not target.endswith(".py"):
        return address
    file = Path(target).resolve()
    try:
        return f"{file.relative_to(Path.cwd()).as_posix()}:{name}"
    except ValueError:
        return f"{file.as_posix()}:{name}"
