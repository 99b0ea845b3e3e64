"""RoundRobin: members speak in turn, each seeing what was said so far (AutoGen's `RoundRobinGroupChat`)."""

from __future__ import annotations

import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, TypeVar, Unpack, cast, overload

from outlay.agents.content import as_text
from outlay.agents.function import as_node
from outlay.errors import ConfigError, Stopped, TurnLimit
from outlay.patterns.condition import Condition, InContext, check_condition, node_in, why_ended
from outlay.patterns.pattern import NOT_A_FAILURE, Common, Pattern
from outlay.patterns.profile import Consequence, Profile
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out
from outlay.values.turn import Conversation, Turn

A = TypeVar("A")
Ended = Literal["stop", "loop", "max_turns", "silence"]


@dataclass(slots=True)
class Floor:
    """Who has spoken so far, and what that means for going on."""

    members: int
    turns: list[Turn[Any]] = field(default_factory=list[Turn[Any]])
    #: What each turn said, as text; None where the member failed.
    _said: list[str | None] = field(default_factory=list[str | None])

    def spoke(self, speaker: str, output: Any) -> None:
        self.turns.append(Turn(speaker, output))
        self._said.append(as_text(output))

    def failed(self) -> None:
        self._said.append(None)

    @property
    def silent(self) -> bool:
        """Has nobody said anything for as many turns as there are members?"""
        return len(self._said) >= self.members and not any(s is not None for s in self._said[-self.members :])

    @property
    def repeating(self) -> bool:
        """Is a round over in which everybody said what they had said in the round before?"""
        n = self.members
        whole = len(self._said) >= 2 * n and len(self._said) % n == 0
        return whole and self._said[-n:] == self._said[-2 * n : -n]


@dataclass(frozen=True, eq=False)
class RoundRobin(Pattern[In, Out]):
    """Members speak one after the other, over and over, and the output is the list of their turns, as
    `Turn(speaker, output)`.

    Each gets `Conversation(input, turns)`. `max_turns` counts single turns, failed ones too. `stop` is asked after each
    turn: a function of the turns so far, or a node that gets the Conversation (and is not asked after the last turn,
    which ends it anyway); it gives a bool, an object with `done`, or a text that says why to stop. A round in
    which everybody repeats their last turn ends it as a `loop`.

    A member that fails loses its turn, and the result is degraded; a whole round of failures raises the first of
    them. `Result.facts` says how it ended: `stop`, `loop`, `max_turns`, or `silence` where all members were optional
    and skipped.
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="none: one speaks at a time",
        cost="one call a turn, each reading all turns before: input grows with the square of the turns",
        best_when="each contribution builds on the others': ideas, reviews, drafts of several hands",
        worst_when="members need not hear each other, and wait in turn all the same",
        ends="when `stop` says so, after `max_turns`, or when a whole round repeats itself",
        failed_member=Consequence("goes on", "it loses its turn; a whole round of failures is raised"),
        at_budget=Consequence("best so far", "the turns so far"),
        at_deadline=Consequence("best so far", "the turns so far"),
    )

    agents: Sequence[Node[Any, Any]]
    max_turns: int
    stop: Any = field(default=None)

    if typing.TYPE_CHECKING:

        @overload
        def __init__(
            self: RoundRobin[Any, list[Turn[A]]],
            agents: Sequence[Node[Any, A] | Callable[..., Any]],
            max_turns: int,
            stop: Condition[list[Turn[A]]] | None = None,
            **common: Unpack[Common],
        ) -> None: ...
        @overload
        def __init__(
            self: RoundRobin[Any, list[Turn[A]]],
            agents: Sequence[Node[Any, A] | Callable[..., Any]],
            max_turns: int,
            stop: InContext[list[Turn[A]]],
            **common: Unpack[Common],
        ) -> None: ...
        def __init__(self, *args: Any, **options: Any) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.agents, str | Node) or not isinstance(self.agents, typing.Iterable):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"RoundRobin: agents= is a list of members, not {self.agents!r}", hint="write [a, b]")
        object.__setattr__(self, "agents", tuple(as_node(agent) for agent in self.agents))
        if not self.agents:
            raise ConfigError("a RoundRobin needs at least one member", hint="RoundRobin([a, b], max_turns=6)")
        if self.max_turns < 1:
            raise ConfigError(f"RoundRobin: max_turns must be at least 1, not {self.max_turns}")
        check_condition(self.stop, "RoundRobin: stop=", 'stop=lambda turns: "DONE" in turns[-1].output')

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        return tuple({id(node): node for node in (*self.agents, *node_in(self.stop))}.values())

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        floor = Floor(len(self.agents))
        ctx.if_stopped(lambda: list(floor.turns) or None)
        try:
            ended, why = await self._talk(ctx, input, floor)
        except Stopped as stop:
            ctx.report(ended=stop.reason, turns=len(floor.turns))
            raise stop.with_best(list(floor.turns) or None, ctx.path) from None
        ctx.report(ended=ended, why=why, turns=len(floor.turns))
        return cast("Any", floor.turns)

    async def _talk(self, ctx: RunContext[Any], input: In, floor: Floor) -> tuple[Ended, str]:
        """Let them speak until there is a reason to end; the reason."""
        errors: list[Exception | None] = []
        for number in range(1, self.max_turns + 1):
            error = await self._turn(ctx, self.agents[(number - 1) % len(self.agents)], input, floor)
            errors.append(error)
            if floor.silent:
                for failure in filter(None, errors[-len(self.agents) :]):
                    raise failure
                return "silence", ""
            why = await self._stops(ctx, Conversation(input, tuple(floor.turns)), last=number == self.max_turns)
            if why:
                return "stop", why
            if floor.repeating:
                return "loop", "a whole round repeated the one before"
        return "max_turns", ""

    async def _turn(self, ctx: RunContext[Any], member: Node[Any, Any], input: In, floor: Floor) -> Exception | None:
        """One member's turn; what went wrong with it, None if nothing did."""
        given = Conversation(input, tuple(floor.turns))
        try:
            output = await ctx.child(member, given)
        except TurnLimit as limit:  # one member's own limit says nothing of the others
            error: Exception = limit
        except NOT_A_FAILURE:
            raise
        except Exception as failure:
            error = failure
        else:
            if (
                output is given and member.optional
            ):  # an optional member was skipped: what it was given is no contribution
                floor.failed()
            else:
                floor.spoke(member.name, output)
            return None
        floor.failed()
        ctx.skip(member.name, "the member failed and lost its turn", error)
        return error

    async def _stops(self, ctx: RunContext[Any], conversation: Conversation[Any], last: bool) -> str:
        """Why the stop condition ends it here; empty if it does not, and before anybody has spoken."""
        if self.stop is None or not conversation.turns:
            return ""
        if node_in(self.stop):
            return "" if last else await why_ended(ctx, self.stop, conversation)
        return await why_ended(ctx, self.stop, list(conversation.turns))
