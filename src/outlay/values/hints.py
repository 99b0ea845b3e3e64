"""What is annotated, as far as it can be known at run time."""

from __future__ import annotations

import inspect
import typing
from typing import Any


def hints_of(thing: Any, *, extras: bool = True) -> dict[str, Any]:
    """The annotations of a function or a class by name; none where only a type checker can read them. `extras` leaves
    `Annotated` as it is."""
    try:
        return typing.get_type_hints(inspect.unwrap(thing), include_extras=extras)
    except Exception:  # names imported for the type checker alone, a forward reference to nothing
        return {}
