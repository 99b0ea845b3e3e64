"""The flows of one revision, read in a process of their own: two revisions do not mix, and a broken one ends nothing
but its own process."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

import outlay
from outlay.checkers.process import run
from outlay.cli.candidates import Candidate
from outlay.cli.problems import ERROR, Problem
from outlay.cli.revisions import Tree
from outlay.forecast.review.changes import Broken
from outlay.forecast.review.flowcost import FlowCost
from outlay.forecast.review.known import Known

#: What may be a key. The names stay, so that code which asks for them at import still imports.
_SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?|_PAT)$", re.IGNORECASE)
_WITH_PASSWORD = re.compile(r"://[^/\s]*:[^/\s]*@")
_WITHHELD = "withheld-by-outlay-diff"
_OURS = Path(outlay.__file__).resolve().parent
#: The child's own modules come from here, whatever the revision has; only then its path becomes the user's.
_START = (
    "import sys; sys.path.insert(0, sys.argv[1]); import outlay.cli.reading_child as child; child.main(sys.argv[2:])"
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What a process is to read: flows by address, or the nodes of files that are nowhere part of another node."""

    label: str
    folder: str
    path: tuple[str, ...]
    environment: Mapping[str, str]
    #: Modules from below here belong to the working tree, and not to the revision; empty where they may.
    foreign: str = ""
    addresses: tuple[str, ...] = ()
    files: tuple[Candidate, ...] = ()
    known: Known = Known()
    input: str | None = None
    rows: tuple[Any, ...] = ()
    simulate: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What is the same for both revisions. `input` is a text, `rows` are inputs as a file has them; `seconds` is how
    long a revision may take."""

    known: Known
    input: str | None = None
    rows: Sequence[Any] = ()
    simulate: int = 0
    seconds: float = 120


class Reading(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it found. `absent` are addresses of files or attributes that are not there."""

    flows: tuple[FlowCost, ...] = ()
    broken: tuple[Broken, ...] = ()
    absent: tuple[str, ...] = ()


def read(
    tree: Tree,
    scratch: Path,
    *,
    addresses: Sequence[str] = (),
    files: Sequence[Candidate] = (),
    asked: Question,
) -> Reading:
    """Raises Problem where the process does not come to an end of its own."""
    scratch.mkdir(parents=True, exist_ok=True)
    if not tree.folder.is_dir():  # the working directory is not there in this revision
        return Reading(absent=tuple(addresses))
    if not addresses and not files:
        return Reading()
    task = Asked(
        label=tree.label,
        folder=str(tree.folder),
        path=_path_for(tree),
        environment=_environment(),
        foreign="" if tree.origin is None else str(tree.origin.resolve()),
        addresses=tuple(addresses),
        files=tuple(files),
        known=asked.known,
        input=asked.input,
        rows=tuple(asked.rows),
        simulate=asked.simulate,
    )
    answer = scratch / "reading.json"
    # -I: nothing but what we say is on its path; -B: no compiled files in anybody's folder.
    command = [sys.executable, "-I", "-B", "-c", _START, str(_OURS.parent), str(answer)]
    done = run(command, folder=scratch, timeout=asked.seconds, input=msgspec.json.encode(task).decode())
    try:
        return msgspec.json.decode(answer.read_bytes(), type=Reading)
    except (OSError, msgspec.DecodeError):
        how = f"took longer than {asked.seconds:g} s" if done.code is None else f"ended with code {done.code}"
        said = [line for line in done.output.strip().splitlines() if line.strip()][-3:]
        more = "--timeout gives it more time, or name" if done.code is None else "name"
        raise Problem(
            f"cannot read the flows of {tree.label}: importing them {how}",
            *said,
            next=f"{more} the flows to read: outlay diff BASE HEAD path/to/file.py:flow",
            code=ERROR,
        ) from None


def _path_for(tree: Tree) -> tuple[str, ...]:
    """Where this process finds modules, but the repository's own are the revision's."""
    entries = [str(tree.folder), str(tree.root), *([str(src)] if (src := tree.root / "src").is_dir() else [])]
    for entry in sys.path:
        place = Path(entry or ".").resolve()
        if place == _OURS.parent and not _is_installed(place):
            continue  # our own source, imported already; a neighbour in it is the repository's
        inside = tree.origin is not None and place.is_relative_to(tree.origin.resolve()) and not _is_installed(place)
        if not inside:
            entries.append(str(place))
        elif tree.origin is not None:
            entries.append(str(tree.root / place.relative_to(tree.origin.resolve())))
    return tuple(dict.fromkeys(entries))


def _is_installed(place: Path) -> bool:
    """It belongs to the interpreter, which may lie within the repository (`.venv`)."""
    prefixes = {Path(prefix).resolve() for prefix in (sys.prefix, sys.base_prefix)}
    return "site-packages" in place.parts or any(place.is_relative_to(prefix) for prefix in prefixes)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {
        name: _WITHHELD if _SECRET.search(name) or _WITH_PASSWORD.search(value) else value
        for name, value in kept.items()
    }
