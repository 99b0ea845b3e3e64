"""What a flow's root takes, as far as its annotations say, and texts and rows made fit for it."""

from __future__ import annotations

import json
import sys
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, Union, cast, get_args, get_origin

from outlay.agents.agent import Agent
from outlay.agents.function import FunctionNode
from outlay.analysis.text import one_line
from outlay.cli.problems import Problem
from outlay.patterns import FanOut, Pipeline, Refine, Router
from outlay.protocols.node import Node
from outlay.protocols.signature import parameters_of
from outlay.values.hints import hints_of


class InputType:
    """The type that a flow's root says it takes; where it says nothing, anything goes."""

    def __init__(self, root: Node[Any, Any]) -> None:
        self.hint = _hint(root)
        self._adapter: Any = None
        if not self.takes_text:
            from pydantic import TypeAdapter

            try:
                self._adapter = TypeAdapter(self.hint)
            except Exception:  # a type that pydantic cannot read: JSON values go in as they are
                self._adapter = None

    @property
    def takes_text(self) -> bool:
        return self.hint is None or _may_be_text(self.hint)

    @property
    def only_text(self) -> bool:
        return self.hint is str

    @property
    def name(self) -> str:
        return getattr(self.hint, "__name__", str(self.hint)) if get_origin(self.hint) is None else str(self.hint)

    def read(self, text: str, origin: str) -> Any:
        """What `run` gives to the root: the text, or the JSON in it."""
        if self.takes_text:
            return text
        try:
            value = json.loads(text)
        except ValueError as error:
            where = f" ({error.msg} at line {error.lineno}, column {error.colno})" if hasattr(error, "lineno") else ""  # pyright: ignore
            raise Problem(
                f"the flow takes {self.name}, so the input must be JSON; {origin} is not{where}",
                f"it begins {one_line(text, 60)!r}" if text.strip() else "it is empty",
                next='for example --input \'{"text": "…"}\', or --input @file.json',
            ) from None
        try:
            return self.convert(value)
        except ValueError as error:
            raise Problem(f"{origin} does not fit the flow's input: {error}") from None

    def convert(self, value: Any) -> Any:
        """A JSON value as what the root takes. Raises ValueError that says in one line what does not fit."""
        if self.only_text and not isinstance(value, str):
            raise ValueError(f"the flow takes text, not {kind_of(value)}")
        if self._adapter is None:
            return value
        from pydantic import ValidationError

        try:
            return self._adapter.validate_python(value)
        except ValidationError as error:
            raise ValueError(f"{_first(error)} ({self.name})") from None


def read_input(given: str) -> tuple[str, str]:
    """`--input TEXT|@FILE|-`: the text and what to call it. Raises Problem."""
    if given == "-":
        data, origin = sys.stdin.buffer.read(), "stdin"
    elif given.startswith("@"):
        origin = given[1:]
        try:
            data = Path(origin).read_bytes()
        except OSError as error:
            raise Problem(
                f"cannot read {origin}: {error.strerror}", next="--input TEXT, @FILE, or - for stdin"
            ) from None
    else:
        return given, "--input"
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(f"{origin} is not UTF-8 text (byte {error.start + 1:,})", next="save it as UTF-8") from None
    if not text.strip():
        raise Problem(f"{origin} is empty", next="--input TEXT, @FILE, or - for stdin")
    return text, origin


def kind_of(value: Any) -> str:
    """A JSON value's type in JSON's words."""
    names: dict[type[Any], str] = {
        dict: "an object",
        list: "a list",
        str: "text",
        bool: "true or false",
        int: "a number",
        float: "a number",
    }
    kind = cast(type[Any], type(value))
    return "null" if value is None else names.get(kind, kind.__name__)


def _hint(node: Node[Any, Any]) -> Any:
    if isinstance(node, FunctionNode):
        return _parameter(node.function)
    if isinstance(node, Agent):
        return None if node.prompt is None else _parameter(node.prompt)
    if isinstance(node, Pipeline):
        return _hint(node.stages[0])
    if isinstance(node, Router):
        return _hint(node.classifier)
    if isinstance(node, Refine):
        return _hint(node.generator)
    if isinstance(node, FanOut):
        if node.split is not None:
            return _parameter(node.split)
        if isinstance(node.worker, tuple):
            return _hint(node.worker[0]) if node.worker else None
        return list[Any]
    return None


def _parameter(function: Callable[..., Any]) -> Any:
    """The annotation of a function's last parameter; None where there is none that can be read."""
    parameters = parameters_of(function)
    if not parameters:
        return None
    hint = hints_of(function, extras=False).get(parameters[-1].name)
    return None if hint is Any or hint is object or isinstance(hint, typing.TypeVar) else hint


def _may_be_text(hint: Any) -> bool:
    if get_origin(hint) in (Union, types.UnionType):
        return any(_may_be_text(part) for part in get_args(hint))
    if get_origin(hint) is typing.Annotated:
        return _may_be_text(get_args(hint)[0])
    return hint is str or hint is Any


def _first(error: Any) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return one_line(f"{where}: {problem['msg']}" if where else problem["msg"], 120)
