"""Detached: a node beside the flow, which nobody waits for."""

from __future__ import annotations

import typing
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, Unpack, cast

from outlay.agents.function import as_node
from outlay.errors import ConfigError
from outlay.patterns.pattern import Common, Pattern
from outlay.patterns.profile import Consequence, Profile
from outlay.protocols.context import GRACE_SECONDS, RunContext
from outlay.protocols.node import In, Node, Out

A = TypeVar("A")


@dataclass(frozen=True, eq=False)
class Detached(Pattern[In, Out]):
    """Starts `node` on its input and passes the input on at once: `Pipeline(answer, Detached(log), publish)`.

    What `node` gives is dropped; what it costs stands in the bill, within the same budgets; its failure is a line in
    `Result.skipped`. It works while later stages do. Once the run has its answer it gets `grace` seconds more, and is
    then cut off (`RunContext.detach` has the details).
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="beside everything that comes after it",
        cost="that of its node",
        best_when="nobody needs its output for the answer: logging, analysis",
        worst_when="it takes longer than the flow: it is cut off `grace` seconds after the answer",
        ends="at once; its node when it is done or cut off",
        failed_member=Consequence("goes on", "a line in `.skipped`; the answer is as it would have been"),
        at_budget=Consequence("goes on", "not run, which `.skipped` says; the answer is as it would have been"),
        at_deadline=Consequence("goes on", "cut off `grace` seconds after the answer; a call under way is in doubt"),
    )

    node: Node[Any, Any]
    grace: float = field(default=GRACE_SECONDS)

    if typing.TYPE_CHECKING:

        def __init__(
            self: Detached[A, A],
            node: Node[A, Any] | Callable[[A], Any],
            grace: float = GRACE_SECONDS,
            **common: Unpack[Common],
        ) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "node", as_node(self.node))
        if not 0 <= self.grace < float("inf"):
            raise ConfigError(f"Detached: grace is in seconds, finite and not negative: {self.grace!r}")

    @property
    def input_type(self) -> Any:
        return self.node.input_type

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        return (self.node,)

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        ctx.detach(self.node, input, grace=self.grace)
        return cast("Out", input)
