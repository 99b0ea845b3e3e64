"""A failure that the flow was told of, as a record and back: a replay raises what the first run raised.

No class is imported by a name out of data. An exception's class is looked for among those that the process already
has; where it is gone, `RecordedFailure` stands for it.
"""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

from outlay import errors
from outlay.errors import OutlayError
from outlay.events.records import EffectFailed

_LONGEST = 2_000
_FACTS = ("status", "provider", "request_id", "retry_after", "hint", "tool", "path")
_PLAIN = (str, int, float, bool, type(None))
_CAUSE = "_outlay_effect"


class RecordedFailure(OutlayError):
    """A failure of an earlier run whose exception class is no longer there. `type` is its name."""

    def __init__(self, message: str = "", *, type: str = "", path: str = "") -> None:
        super().__init__(message, path=path)
        self.type = type


def fields(error: BaseException) -> dict[str, Any]:
    """What an EffectFailed says of `error`."""
    kind = type(error)
    if isinstance(error, OutlayError):
        facts = {name: found for name in _FACTS if isinstance(found := getattr(error, name, None), _PLAIN) and found}
        return {
            "error": kind.__name__,
            "home": kind.__module__,
            "args": (error.message[:_LONGEST],),
            "facts": facts,
        }
    args = tuple(arg[:_LONGEST] if isinstance(arg, str) else arg for arg in error.args if isinstance(arg, _PLAIN))
    if len(args) < len(error.args):
        args = (_text(error),)
    return {"error": kind.__qualname__, "home": kind.__module__, "args": args}


def rebuild(record: EffectFailed, path: str = "") -> Exception:
    """The exception that `fields` described."""
    if record.home == errors.__name__:
        known = getattr(errors, record.error, None)
        if isinstance(known, type) and issubclass(known, OutlayError):
            message = str(record.args[0]) if record.args else ""
            found: OutlayError = known(message)  # with the path that it had, if any: a model may have read it
            for name, value in record.facts.items():
                if name in _FACTS:
                    setattr(found, name, value)
            return found
    kind = _class(record.home, record.error)
    if kind is None:
        text = str(record.args[0]) if record.args else ""
        return RecordedFailure(f"{record.error}: {text}", type=record.error, path=path)
    # not through __init__: its parameters need not be what it kept as its args
    error = kind.__new__(kind, *record.args)
    error.args = tuple(record.args)
    return error


def blame(error: BaseException, key: str) -> None:
    """Note on an exception which effect it came from."""
    if getattr(error, _CAUSE, None) is None:
        setattr(error, _CAUSE, key)


def cause_of(error: BaseException | None) -> str:
    """The key of the effect that an exception came from, through what was raised from it; empty if from none."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if (key := getattr(error, _CAUSE, None)) is not None:
            return str(key)
        error = error.__cause__ or error.__context__
    return ""


def _class(home: str, name: str) -> type[Exception] | None:
    if home == "builtins":
        found = getattr(builtins, name, None)
        return found if isinstance(found, type) and issubclass(found, Exception) else None
    return next((kind for kind in _loaded(Exception) if kind.__module__ == home and kind.__qualname__ == name), None)


def _loaded(kind: type[Exception]) -> Iterator[type[Exception]]:
    """All exception classes of this process."""
    seen: set[type] = set()
    stack: list[type[Exception]] = [kind]
    while stack:
        for inner in stack.pop().__subclasses__():
            if inner not in seen:
                seen.add(inner)
                stack.append(inner)
                yield inner


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_LONGEST]
    except Exception:  # an exception whose text raises
        return ""
