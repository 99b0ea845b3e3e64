"""Pipeline: one stage after the other, each on the output of the one before."""

from __future__ import annotations

import typing
from collections.abc import Awaitable
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from types import UnionType
from typing import Any, ClassVar, Self, TypeVar, Unpack, cast, get_args, get_origin, overload

from outlay.agents.agent import Agent
from outlay.agents.function import FunctionNode, as_node
from outlay.errors import ConfigError, Stopped
from outlay.patterns.pattern import Budgets, Common, Pattern, Step
from outlay.patterns.profile import Consequence, Profile
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out
from outlay.values.hints import hints_of

S = TypeVar("S")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")
#: Which numbers may stand for which, as type checkers have it (PEP 484).
_WIDENS_TO: dict[type, tuple[type, ...]] = {float: (int,), complex: (int, float)}


@dataclass(frozen=True, eq=False, init=False)
class Pipeline(Pattern[In, Out]):
    """Stages in a row. Each gets the previous output, `ctx.origin` (the pipeline's input) and `ctx.source` (the path
    of the node its input came from).

    Raises ConfigError where two neighbours are annotated and do not fit.
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="none: stage after stage, wall time is their sum",
        cost="one call a stage",
        best_when="the steps are known beforehand and each needs the one before",
        worst_when="an early mistake goes through all later stages unseen (put a `Gate` between)",
        ends="after the last stage",
        failed_member=Consequence(
            "error",
            "raised, with what was done before in `.partial`; an `optional` stage passes its input on",
        ),
        at_budget=Consequence("no output", "the last stage's best if it has one; finished stages are in `.partial`"),
        at_deadline=Consequence("no output", "as at the budget"),
    )

    stages: tuple[Node[Any, Any], ...] = field(default=())

    @overload
    def __init__(self: Pipeline[S, T1], s1: Step[S, T1], /, **common: Unpack[Common]) -> None: ...
    @overload
    def __init__(self: Pipeline[S, T2], s1: Step[S, T1], s2: Step[T1, T2], /, **common: Unpack[Common]) -> None: ...
    @overload
    def __init__(
        self: Pipeline[S, T3], s1: Step[S, T1], s2: Step[T1, T2], s3: Step[T2, T3], /, **common: Unpack[Common]
    ) -> None: ...
    @overload
    def __init__(
        self: Pipeline[S, T4],
        s1: Step[S, T1],
        s2: Step[T1, T2],
        s3: Step[T2, T3],
        s4: Step[T3, T4],
        /,
        **common: Unpack[Common],
    ) -> None: ...
    @overload
    def __init__(
        self: Pipeline[S, T5],
        s1: Step[S, T1],
        s2: Step[T1, T2],
        s3: Step[T2, T3],
        s4: Step[T3, T4],
        s5: Step[T4, T5],
        /,
        **common: Unpack[Common],
    ) -> None: ...
    @overload
    def __init__(
        self: Pipeline[S, T6],
        s1: Step[S, T1],
        s2: Step[T1, T2],
        s3: Step[T2, T3],
        s4: Step[T3, T4],
        s5: Step[T4, T5],
        s6: Step[T5, T6],
        /,
        **common: Unpack[Common],
    ) -> None: ...
    @overload
    def __init__(
        self: Pipeline[S, T7],
        s1: Step[S, T1],
        s2: Step[T1, T2],
        s3: Step[T2, T3],
        s4: Step[T3, T4],
        s5: Step[T4, T5],
        s6: Step[T5, T6],
        s7: Step[T6, T7],
        /,
        **common: Unpack[Common],
    ) -> None: ...
    @overload
    def __init__(
        self: Pipeline[S, T8],
        s1: Step[S, T1],
        s2: Step[T1, T2],
        s3: Step[T2, T3],
        s4: Step[T3, T4],
        s5: Step[T4, T5],
        s6: Step[T5, T6],
        s7: Step[T6, T7],
        s8: Step[T7, T8],
        /,
        **common: Unpack[Common],
    ) -> None: ...
    @overload
    def __init__(
        self: Pipeline[Any, Any],
        s1: Any,
        s2: Any,
        s3: Any,
        s4: Any,
        s5: Any,
        s6: Any,
        s7: Any,
        s8: Any,
        s9: Any,
        /,
        *stages: Any,
        **common: Unpack[Common],
    ) -> None: ...
    def __init__(
        self, *stages: Any, name: str = "", description: str = "", budget: Budgets = None, optional: bool = False
    ) -> None:
        if not stages:
            raise ConfigError("a Pipeline needs at least one stage")
        nodes = tuple(as_node(stage) for stage in stages)
        options = {"name": name, "description": description, "budget": budget, "optional": optional}
        for key, value in (options | {"stages": nodes}).items():
            object.__setattr__(self, key, value)
        self.__post_init__()
        for before, after in pairwise(nodes):
            _must_fit(before, after)

    def replace(self, **changes: Any) -> Self:
        """A changed copy; `stages=` takes them all."""
        stages = changes.pop("stages", self.stages)
        kept = ("name", "description", "budget", "optional")
        options = {option: getattr(self, option) for option in kept} | changes
        return type(self)(*stages, **options)

    @property
    def input_type(self) -> Any:
        return self.stages[0].input_type

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        return self.stages

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        value: Any = input
        source = ""
        for stage in self.stages[:-1]:
            output = await ctx.child(stage, value, origin=input, source=source)
            if output is not value:  # a gate, or a stage that was skipped, is not where it came from
                value, source = output, ctx.last_finished
        try:
            return await ctx.child(self.stages[-1], value, origin=input, source=source)
        except Stopped as stop:
            raise stop.with_best(stop.best, ctx.path) from None  # the last stage's best answer is the pipeline's


def _must_fit(before: Node[Any, Any], after: Node[Any, Any]) -> None:
    wanted = _class_of(after.input_type) if isinstance(after, FunctionNode) else None
    given = _output_of(before)
    if given is None or wanted is None or issubclass(given, (wanted, *_WIDENS_TO.get(wanted, ()))):
        return
    if (given, wanted) in ((int, float), (int, complex), (float, complex)):
        return  # as type checkers have it (PEP 484, the numeric tower)
    raise ConfigError(
        f"{before.name} gives {given.__name__}, but {after.name}, the next stage, takes {wanted.__name__}",
        hint="put a stage between them, or mend the annotation",
    )


def _output_of(node: Node[Any, Any]) -> type | None:
    if isinstance(node, Agent):
        return _class_of(node.output_type)
    if isinstance(node, FunctionNode):
        return _class_of(hints_of(node.function, extras=False).get("return"))
    return None


def _class_of(hint: Any) -> type | None:
    """The plain class that a hint surely is, None where there is any doubt."""
    origin = get_origin(hint)
    if origin is typing.Literal:
        kinds: set[Any] = {type(value) for value in get_args(hint)}
        return kinds.pop() if len(kinds) == 1 else None
    kind: Any = hint if origin is None else origin
    if not isinstance(kind, type) or kind in (object, Any, UnionType):  # Any is a class since 3.11
        return None
    plain = cast("type[Any]", kind)
    if typing.is_typeddict(plain) or issubclass(plain, Awaitable):
        return None
    return None if issubclass(plain, Enum) or getattr(plain, "_is_protocol", False) else plain
