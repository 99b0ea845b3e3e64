"""Items of the inbox as people read them, and the item that a typed id means."""

from __future__ import annotations

import json
import shlex
from datetime import UTC, datetime
from typing import Any

from outlay.analysis.text import one_line
from outlay.cli.problems import Problem
from outlay.cli.words import jsonable, money
from outlay.runtime.inbox import Inbox
from outlay.runtime.pending import Decided, Pending

#: Characters of an id that are shown.
ID = 8
#: A command is shown for each of so many options.
_SHOWN = 4


def what(item: Pending) -> str:
    """What is to be decided, in a few words."""
    if item.kind == "approval":
        return f"allow {item.action}"
    if item.kind == "budget":
        return f"raise {item.action} of {(item.arguments or {}).get('scope', '')}"
    return f"did {item.action} happen?" if item.kind == "in_doubt" else item.question


def details(item: Pending) -> str:
    """The arguments, or the options of a question."""
    if item.arguments is not None:
        return json.dumps(item.arguments, ensure_ascii=False)
    return " | ".join(item.options)


def item_line(item: Pending) -> str:
    """`3fa2c9d1 allow send {"to": "bob"}`"""
    return one_line(f"{item.id[:ID]} {what(item)} {details(item)}", 110)


def ways_to_decide(item: Pending) -> tuple[str, ...]:
    """The commands that decide it."""
    id = item.id[:ID]
    if item.kind in ("approval", "watchdog"):
        return f"outlay approve {id}", f"outlay deny {id} --reason TEXT"
    if item.kind == "budget":
        return (f"outlay approve {id} --answer {'USD' if item.action == 'usd' else 'LIMIT'}",)
    # Options may be a model's words, and these lines are there to be copied into a shell.
    if not 0 < len(item.options) <= _SHOWN or not all(map(_is_short, item.options)):
        return (f"outlay approve {id} --answer TEXT",)
    return tuple(f"outlay approve {id} --answer {shlex.quote(option)}" for option in item.options)


def _is_short(option: str) -> bool:
    return option.isprintable() and 0 < len(option) <= 40 and not option.startswith("-")


def span(seconds: float) -> str:
    """`40 s`, `12 min`, `5 h`, `3 d`."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def due(item: Pending, now: float) -> str:
    """When it is decided without anybody, and how."""
    if item.deadline is None:
        return ""
    then = "times out" if item.default is None else item.default
    return one_line(f"{'passed' if now >= item.deadline else f'in {span(item.deadline - now)}'}: {then}", 24)


def state_of(item: Pending, now: float) -> str:
    """waiting, expired, decided (its run has not gone on yet), or closed."""
    if item.closed:
        return "closed"
    return "decided" if item.decision is not None else "expired" if item.is_expired(now) else "waiting"


def document(item: Pending, now: float) -> dict[str, Any]:
    return {
        "id": item.id,
        "run_id": item.run_id,
        "state": state_of(item, now),
        "kind": item.kind,
        "path": item.path,
        "question": item.question,
        "options": list(item.options),
        "action": item.action or None,
        "arguments": jsonable(item.arguments),
        "spent": money(item.spent),
        "created": _iso(item.created),
        "deadline": None if item.deadline is None else _iso(item.deadline),
        "default": item.default,
        "decision": None if item.decision is None else _decision(item.decision),
    }


def _decision(decided: Decided) -> dict[str, Any]:
    return {
        "answer": decided.answer,
        "denied": decided.denied,
        "by": decided.by,
        "reason": decided.reason,
        "time": _iso(decided.time),
        "result": decided.result,
    }


def _iso(time: float) -> str:
    return datetime.fromtimestamp(time, UTC).isoformat()


async def find_item(inbox: Inbox, name: str) -> Pending:
    """The item whose id begins with `name`: an open one, else one that is closed. Raises Problem."""
    found = await inbox.list(prefix=name) or await inbox.list(prefix=name, closed=True)
    exact = [item for item in found if item.id == name]
    if len(exact or found) == 1 and name:
        return (exact or found)[0]
    if found and name:
        raise Problem(f"{len(found):,} items begin with {name!r}", *map(item_line, found[:8]), next="type more of it")
    raise Problem(f"there is no item {name!r} in the inbox", next="outlay approvals lists what is open")
