"""The one context rule: a function's first parameter annotated `RunContext` gets the context, and is in no schema."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import lru_cache
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
    """The parameters a caller passes, without `self`; empty where Python cannot tell (some built-ins)."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (ValueError, TypeError):
        return []


def _is_context(annotation: Any, function: Callable[..., Any]) -> bool:
    if isinstance(annotation, str):
        if _BY_NAME.match(annotation):
            return True
        scope = getattr(inspect.unwrap(function), "__globals__", {})
        annotation = scope.get(annotation.split("[")[0])  # an import under another name
    return annotation is RunContext or get_origin(annotation) is RunContext


async def call(function: Callable[..., Any], ctx: RunContext[Any], *args: Any) -> Any:
    """Call a function of the user's, sync or async, with the context where it asks for it."""
    result = function(ctx, *args) if takes_context(function) else function(*args)
    return await result if inspect.isawaitable(result) else result
