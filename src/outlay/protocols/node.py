"""Node: a piece of a flow. Agents, patterns and wrapped functions are nodes."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import typing
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from outlay.errors import ConfigError
from outlay.values.budget import Budget
from outlay.values.hints import hints_of

if TYPE_CHECKING:  # the two seams name each other; neither needs the other to run
    from outlay.protocols.context import RunContext

In = TypeVar("In", contravariant=True)
Out = TypeVar("Out", covariant=True)


@dataclass(frozen=True, eq=False)
class Node(ABC, Generic[In, Out]):
    """One step of a flow: `async run(ctx, input) -> output`, all effects through `ctx`.

    Immutable and compared by identity. `budget` limits all calls below this node in a run; an `optional` node is
    skipped when money runs short or it fails, and passes its input on.
    """

    #: Each kind of node says how it gets its name: an agent is given one, a pattern has a default.
    name: str = field(init=False)
    budget: Budget | tuple[Budget, ...] | None = field(default=None, kw_only=True)
    optional: bool = field(default=False, kw_only=True)

    def __post_init__(self) -> None:
        if self.budget is None or isinstance(self.budget, Budget):
            return
        given: Any = self.budget
        several: tuple[Any, ...] = tuple(given) if isinstance(given, list | tuple) else (given,)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if not all(isinstance(one, Budget) for one in several):
            raise ConfigError(f"{self.name}: budget={given!r} is not a Budget", hint='write budget=Budget(usd="0.50")')
        object.__setattr__(self, "budget", several)

    @abstractmethod
    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        """The node's work. The runtime calls this; others write `await ctx.run(node, input)`."""

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        """The nodes this one may run, as far as they are known before it runs."""
        return ()

    @property
    def input_type(self) -> Any:
        """The type of its input where the node says so, for checks and for its schema as a tool; None for anything."""
        return parameter_type(type(self).run, 2)

    @property
    def type(self) -> str:
        """What kind of node it is, in events and pictures."""
        return type(self).__name__

    def replace(self, **changes: Any) -> Self:
        """A changed copy."""
        return dataclasses.replace(self, **changes)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """The limits given, as a tuple."""
        if self.budget is None:
            return ()
        return (self.budget,) if isinstance(self.budget, Budget) else tuple(self.budget)

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        body = cls.__dict__.get("run")
        if body is not None and not hasattr(body, "__wrapped__"):
            cls.run = _inside_a_run(body)  # pyright: ignore[reportAttributeAccessIssue]


def parameter_type(function: Callable[..., Any], index: int) -> Any:
    """What a function's parameter is annotated with; None where it is not, may be anything, or only a type checker
    can tell.
    """
    bare = inspect.unwrap(function)
    try:
        name = list(inspect.signature(bare).parameters)[index]
    except Exception:  # fewer parameters, a built-in that tells nothing; Python 3.14 reads annotations here, too
        return None
    kind = hints_of(bare).get(name)
    return None if kind in (Any, object) or _is_open(kind) else kind


def _is_open(kind: Any) -> bool:
    return isinstance(kind, TypeVar) or any(_is_open(part) for part in typing.get_args(kind))


def _inside_a_run(body: Callable[..., Any]) -> Callable[..., Any]:
    """Refuse a direct call: it would bypass the budget, the journal and the bill."""

    @functools.wraps(body)
    def run(self: Node[Any, Any], *args: Any, **kwargs: Any) -> Any:
        if len(args) == 2 and not kwargs and getattr(args[0], "node", None) is self:
            return body(self, args[0], args[1])
        name = self.name or type(self).__name__
        raise ConfigError(
            f"{name}.run(…) was called directly",
            hint=f"inside a node write `await ctx.run({name}, input)`; at the top `await outlay.run({name}, input)`",
        )

    return run
