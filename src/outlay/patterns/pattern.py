"""What patterns share: a default name, and what may stand where a node may."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias, TypedDict, TypeVar

from outlay.errors import ConfigError, InDoubt, JournalMismatch, PolicyViolation, Stopped, StoreFailed
from outlay.patterns.profile import Profile
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out
from outlay.values.budget import Budget

A = TypeVar("A")
B = TypeVar("B")
#: A node, or a plain function: `(input)` or `(ctx, input)`, async or not.
Step: TypeAlias = (
    Node[A, B]
    | Callable[[A], Awaitable[B]]
    | Callable[[RunContext[Any], A], Awaitable[B]]
    | Callable[[A], B]
    | Callable[[RunContext[Any], A], B]
)

Budgets: TypeAlias = Budget | tuple[Budget, ...] | None


class Common(TypedDict, total=False):
    """What every pattern takes besides its parts."""

    name: str
    description: str
    budget: Budgets
    optional: bool


#: Not a worker's failure: the run is told to end, is built wrongly, or may not do this.
NOT_A_FAILURE = (Stopped, ConfigError, PolicyViolation, InDoubt, JournalMismatch, StoreFailed)


@dataclass(frozen=True, eq=False)
class Pattern(Node[In, Out]):
    """A node that runs other nodes. Unnamed, it is called by its class.

    `description` says what it is for where it stands as a tool or under a supervisor.
    """

    #: What docs/patterns.md says of it. A pattern of your own needs none.
    profile: ClassVar[Profile]

    name: str = field(default="", kw_only=True)
    description: str = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        if not self.name:
            object.__setattr__(self, "name", type(self).__name__.lower())
        super().__post_init__()
