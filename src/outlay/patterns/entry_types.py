"""The types of a board's entries, and what is refused because of them."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast

from outlay.agents.output import portable
from outlay.errors import ConfigError


def is_type(thing: Any) -> bool:
    """Is this a type, and not a value of one?"""
    return isinstance(thing, type) or typing.get_origin(thing) is not None or thing is Any


def type_of(value: Any) -> Any:
    """The type of an entry that was declared by its first value; None says nothing."""
    return Any if value is None else cast("Any", type(value))


def adapter_of(kind: Any) -> Any:
    """What checks values of a type. Raises ConfigError for a type that no schema expresses."""
    try:
        return _adapter_of(kind)
    except TypeError as error:  # unhashable: no type is
        raise ConfigError(f"not a type: {kind!r}: {error}") from None


@lru_cache(maxsize=1024)
def _adapter_of(kind: Any) -> Any:
    from pydantic import ConfigDict, TypeAdapter
    from pydantic.errors import PydanticUserError

    kind = portable(kind)
    try:
        return TypeAdapter(kind)
    except PydanticUserError as error:
        if not is_type(kind):
            raise ConfigError(
                f"not a type of an entry: {kind!r}", hint="give a type, as str or list[Finding]"
            ) from error
    try:  # a class of the user's own: an instance of it is what is wanted
        return cast(Any, TypeAdapter)(kind, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError as error:
        raise ConfigError(f"not a type of an entry: {kind!r}: {str(error).partition(chr(10))[0]}") from None


def problems_of(values: Mapping[str, Any], types: Mapping[str, Any]) -> list[str]:
    """What is wrong with the types of these values, one text for each; nothing is converted to make it fit."""
    from pydantic import ValidationError

    found: list[str] = []
    for name, value in values.items():
        try:
            adapter_of(types[name]).validate_python(value, strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, (name, *first["loc"])))
            found.append(f"{where}: {first['msg']}")
    return found
