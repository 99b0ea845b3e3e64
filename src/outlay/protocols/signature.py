"""The one context rule: a function's first parameter annotated `RunContext` gets the context, and is in no schema."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, get_origin

from outlay.protocols.context import RunContext

_BY_NAME = re.compile(r"^(\w+\.)*RunContext(\[.*\])?$", re.DOTALL)


def takes_context(function: Callable[..., Any]) -> bool:
    """Does this function (or callable object) want the context first?"""
    try:
        return _takes_context(function)
    except TypeError:  # unhashable callables cannot be remembered
        return _takes_context.__wrapped__(function)


@lru_cache(maxsize=4096)
def _takes_context(function: Callable[..., Any]) -> bool:
    parameters = tuple(parameters_of(function))
    return bool(parameters) and _is_context(parameters[0].annotation, function)


def parameters_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters a caller passes: without `self`, and without what a partial binds. Empty where Python cannot
    tell (some built-ins).
    """
    try:
        found = inspect.signature(function).parameters.values()
    except (ValueError, TypeError):
        return []
    bound = function.keywords if isinstance(function, partial) else {}
    return [parameter for parameter in found if parameter.name not in bound]


def required_of(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters that must be passed by position."""
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [p for p in parameters_of(function) if p.kind in positional and p.default is p.empty]


def globals_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The names that a function's annotations mean, whatever it is wrapped in."""
    found: Any = function
    while True:
        if isinstance(found, partial):
            found = found.func  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        elif hasattr(found, "__wrapped__"):
            found = found.__wrapped__  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        elif inspect.isroutine(found) or isinstance(found, type):  # pyright: ignore[reportUnknownArgumentType]
            return getattr(found, "__globals__", {})  # pyright: ignore[reportUnknownArgumentType]
        else:
            found = type(found).__call__  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType, reportUnknownVariableType]


def _is_context(annotation: Any, function: Callable[..., Any]) -> bool:
    if isinstance(annotation, str):
        annotation = annotation.strip("'\"")  # quoted where all annotations are text already
        if _BY_NAME.match(annotation):
            return True
        first, *rest = annotation.split("[")[0].split(".")
        annotation = globals_of(function).get(first)  # an import under another name
        for name in rest:
            annotation = getattr(annotation, name, None)
    return annotation is RunContext or get_origin(annotation) is RunContext


async def call(function: Callable[..., Any], ctx: RunContext[Any], *args: Any) -> Any:
    """Call a function of the user's, sync or async, with the context where it asks for it."""
    result = function(ctx, *args) if takes_context(function) else function(*args)
    return await result if inspect.isawaitable(result) else result
