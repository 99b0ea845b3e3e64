"""Whether a value of one type may stand where another is wanted. Where there is any doubt, it may."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

#: Which numbers may stand for which, as type checkers have it (PEP 484).
_WIDENS_TO: dict[type, tuple[type, ...]] = {float: (int,), complex: (int, float)}


def fits(given: Any, wanted: Any) -> bool:
    """False only where it surely does not."""
    given, wanted = _bare(given), _bare(wanted)
    for side, other in ((given, wanted), (wanted, given)):
        if get_origin(side) in (Union, types.UnionType):
            parts = get_args(side)
            return any(fits(part, other) if side is given else fits(other, part) for part in parts)
    if get_origin(given) is Literal:
        values = get_args(given)
        if get_origin(wanted) is Literal:
            return bool({repr(value) for value in values} & {repr(value) for value in get_args(wanted)})
        return any(fits(type(value), wanted) for value in values)
    if get_origin(wanted) is Literal:
        return any(fits(given, type(value)) for value in get_args(wanted))
    one, other = _class_of(given), _class_of(wanted)
    if one is None or other is None:
        return True
    if not _may_be(one, other):
        return False
    ours, theirs = get_args(given), get_args(wanted)
    if one is other and len(ours) == len(theirs) and one in (list, set, frozenset, dict):
        return all(fits(a, b) for a, b in zip(ours, theirs, strict=True))
    return True


def _may_be(given: type, wanted: type) -> bool:
    """A subclass is one; a base class may turn out to be one."""
    if issubclass(given, (wanted, *_WIDENS_TO.get(wanted, ()))):
        return True
    return issubclass(wanted, given) and given is not object


def _bare(kind: Any) -> Any:
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return getattr(kind, "__supertype__", kind)  # a NewType


def _class_of(kind: Any) -> type | None:
    """The class that a hint surely is; None where there is any doubt."""
    origin: Any = get_origin(kind) or kind
    if kind is None:
        return None
    if not isinstance(origin, type) or origin in (object, Any):
        return None
    plain = cast("type[Any]", origin)
    if typing.is_typeddict(plain):
        return dict
    if getattr(plain, "_is_protocol", False) or plain is Mapping:
        return None
    return plain


def shown(kind: Any) -> str:
    """A type as users write it."""
    if isinstance(kind, type) and not get_args(kind):
        return kind.__name__
    return str(kind).replace("typing.", "")
