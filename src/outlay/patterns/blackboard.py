"""Blackboard: specialists that never speak to each other, and work on what stands on a common board.

The architecture of Hearsay-II (Erman, Hayes-Roth, Lesser and Reddy 1980, "The Hearsay-II Speech-Understanding System");
its control by what has changed after Hayes-Roth 1985, "A Blackboard Architecture for Control". Here everyone whose
turn it is runs at once; there a scheduler chose one.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, Unpack, cast, overload

from outlay.errors import ConfigError, Conflict, Stopped, TurnLimit, one_line
from outlay.patterns.agenda import Agenda
from outlay.patterns.board import Board
from outlay.patterns.condition import Condition, InContext, check_condition, node_in, why_ended
from outlay.patterns.entry_types import adapter_of, is_type, problems_of, type_of
from outlay.patterns.pattern import NOT_A_FAILURE, Common, Pattern
from outlay.patterns.profile import Consequence, Profile
from outlay.patterns.specialist import Specialist, writes_of
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out

#: The entry that holds the run's input. Everybody may read it, nobody may write it.
INPUT = "input"


@dataclass(frozen=True, eq=False)
class Blackboard(Pattern[In, Out]):
    """Specialists fire when what they read has changed, and write on the board; the output is the final board, a dict.

    `board` is what stands there at first: a name with a value (typed by its class), or with a type (still empty). The
    input stands under `input`. A specialist fires when all that it reads is there and any of it has changed
    since it last fired; a write of an equal value changes nothing. All that are ready run at the same time on one
    snapshot. Of two that write one entry in a step the first declared wins; the other's writes are a Conflict, and it
    is fired again on the new version.

    It ends when `until(board)` says so (a function, or a node that gets the board; it may give the reason as text; an
    entry that is still empty means not yet), when nobody is ready (quiescence), or after `max_steps` runs of
    specialists, which degrades the result. A specialist that fails, or writes what it may not, changes nothing
    and is skipped with the reason until what it reads changes; if all did, the first error is raised. A stop
    keeps the board so far. `Result.facts` has the versions, and the history of who wrote which.
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="all whose entries have changed, at once; step after step",
        cost="one call a run of a specialist, up to `max_steps`",
        best_when="nobody knows the order: findings trigger one another",
        worst_when="the order is fixed, or two specialists keep changing each other's entries",
        ends="when `until` holds, nobody has anything new to read, or after `max_steps`",
        failed_member=Consequence("goes on", "changes nothing and is skipped; if all fail the first error is raised"),
        at_budget=Consequence("best so far", "the board so far"),
        at_deadline=Consequence("best so far", "the board so far"),
    )

    specialists: Sequence[Specialist]
    board: Mapping[str, Any] = field(default_factory=dict[str, Any])
    until: Any = None
    max_steps: int = 20

    if typing.TYPE_CHECKING:

        @overload
        def __init__(
            self: Blackboard[Any, dict[str, Any]],
            specialists: Sequence[Specialist],
            board: Mapping[str, Any] = ...,
            until: Condition[dict[str, Any]] | None = None,
            max_steps: int = 20,
            **common: Unpack[Common],
        ) -> None: ...
        @overload
        def __init__(
            self: Blackboard[Any, dict[str, Any]],
            specialists: Sequence[Specialist],
            board: Mapping[str, Any],
            until: InContext[dict[str, Any]],
            max_steps: int = 20,
            **common: Unpack[Common],
        ) -> None: ...
        def __init__(self, *args: Any, **options: Any) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "specialists", tuple(self.specialists))
        if not isinstance(self.board, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"Blackboard: board= maps names to values or types, not {self.board!r}")
        object.__setattr__(self, "board", MappingProxyType(dict(self.board)))
        check_condition(self.until, "Blackboard: until=", 'until=lambda board: "answer" in board')
        if self.max_steps < 1:
            raise ConfigError(f"Blackboard: max_steps must be at least 1, not {self.max_steps}")
        if not self.specialists:
            raise ConfigError("a Blackboard needs at least one Specialist", hint="Specialist(node, reads, writes)")
        for one in self.specialists:
            if not isinstance(one, Specialist):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(f"Blackboard: not a Specialist: {one!r}", hint="Specialist(node, reads, writes)")
        names = [one.name for one in self.specialists]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(
                    f"Blackboard: two specialists are named {name!r}", hint="rename one: node.replace(name='…')"
                )
        self._check_entries()

    def _check_entries(self) -> None:
        """Every entry that is read is written by somebody or there from the start; the first values fit their types."""
        if INPUT in self.board or any(INPUT in one.writes for one in self.specialists):
            raise ConfigError(f"Blackboard: the entry {INPUT!r} holds the input, and nobody writes it")
        written = {name for one in self.specialists for name in one.writes}
        for one in self.specialists:
            for name in one.reads:
                if name not in written and name not in self.first and name != INPUT:
                    raise ConfigError(
                        f"Blackboard: {one.name} reads {name!r}, which nobody writes",
                        hint="put it on board=, or name it in the writes= of a specialist",
                    )
        untyped = sorted(written - self.types.keys())
        if untyped:
            raise ConfigError(
                f"Blackboard: the entry {untyped[0]!r} has no type",
                hint=f"declare it: board={{{untyped[0]!r}: str}}, or writes={{{untyped[0]!r}: str}}",
            )
        problems = problems_of(self.first, self.types)
        if problems:
            raise ConfigError(f"Blackboard: a first value has the wrong type: {'; '.join(problems)}")

    @cached_property
    def first(self) -> Mapping[str, Any]:
        """The values that stand there from the start."""
        return {name: value for name, value in self.board.items() if not is_type(value)}

    @cached_property
    def types(self) -> Mapping[str, Any]:
        """Each entry's type: as declared on the board or by a specialist, else that of its first value."""
        declared = {name: kind for name, kind in self.board.items() if is_type(kind)}
        for kind in declared.values():
            adapter_of(kind)
        for one in self.specialists:
            for name, kind in one.declared:
                if declared.setdefault(name, kind) != kind:
                    raise ConfigError(
                        f"Blackboard: {one.name} declares {name!r} as {kind!r}, and it is {declared[name]!r} elsewhere",
                        hint="declare an entry's type once",
                    )
        return {**{name: type_of(value) for name, value in self.first.items()}, **declared}

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        return (*(one.node for one in self.specialists), *node_in(self.until))

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        problems = problems_of({INPUT: input}, {INPUT: self.types.get(INPUT, Any)})
        if problems:
            raise ConfigError(f"{ctx.path}: the input has the wrong type: {problems[0]}")
        empty = Board()
        work = _Work(self, ctx, empty.write("board", self.first, empty).write(INPUT, {INPUT: input}, empty))
        ctx.if_stopped(lambda: work.board.read())
        try:
            await work.do()
        except Stopped as stop:
            work.ended = stop.reason
            raise stop.with_best(work.board.read(), ctx.path) from None
        finally:
            work.report()
        if work.ended == "max_steps":
            ctx.skip("until", f"not done after {self.max_steps} runs of specialists")
        return cast("Any", work.board.read())


@dataclass(slots=True)
class _Work:
    """One board being worked on."""

    pattern: Blackboard[Any, Any]
    ctx: RunContext[Any]
    board: Board
    agenda: Agenda = field(init=False)
    ended: str = "failed"
    why: str = ""
    conflicts: int = 0
    done: int = 0
    first_error: Exception | None = None

    def __post_init__(self) -> None:
        self.agenda = Agenda(self.pattern.specialists, self.pattern.max_steps)

    async def do(self) -> None:
        """Step after step until there is a reason to end. Raises the first error where nobody succeeded."""
        while not (why := await self._until()):
            ready = self.agenda.ready(self.board)
            firing = self.agenda.fire(ready, self.board)
            if not firing:
                if self.first_error is not None and not self.done:
                    raise self.first_error
                self.ended = "max_steps" if ready else "quiescence"
                return
            await self._step(firing)
        self.ended, self.why = "until", why

    async def _step(self, firing: Sequence[Specialist]) -> None:
        """Run them on one snapshot, then apply what they wrote in the order of declaration."""
        snapshot = self.board
        outcomes = await self.ctx.gather(*(self._fire(one, snapshot) for one in firing))
        stops = [outcome for outcome in outcomes if _is_stop(outcome)]
        for one, outcome in zip(firing, outcomes, strict=True):
            if isinstance(outcome, Exception):
                if not _is_stop(outcome):
                    self.first_error = self.first_error or outcome
                    self.ctx.skip(one.name, one_line(outcome), outcome)
            else:
                self._apply(one, outcome, snapshot)
        if stops:
            raise cast("Stopped", stops[0])

    async def _fire(self, specialist: Specialist, snapshot: Board) -> dict[str, Any] | Exception:
        """What one specialist wants to write, or why there is nothing."""
        given = snapshot.read(specialist.reads)
        try:
            output = await self.ctx.child(specialist.node, given)
            if output is given and specialist.node.optional:  # it was skipped: what it was given is no write
                return {}
            return writes_of(specialist, output, self.pattern.types)
        except Stopped as stop:  # what is in flight goes on: it is paid for
            return stop
        except NOT_A_FAILURE:
            raise
        except Exception as error:
            return error

    def _apply(self, specialist: Specialist, writes: Mapping[str, Any], snapshot: Board) -> None:
        try:
            self.board = self.board.write(specialist.name, writes, snapshot)
        except Conflict as conflict:
            self.conflicts += 1
            self.agenda.again(specialist)
            self.ctx.decide("conflict", specialist=specialist.name, why=one_line(conflict))
        else:
            self.done += 1

    async def _until(self) -> str:
        until = self.pattern.until
        if until is None:
            return ""
        board = self.board.read()
        try:
            return await why_ended(self.ctx, until, board if node_in(until) else _Seen(board))
        except _Empty as empty:
            if empty.args[0] in self.pattern.types:
                return ""
            raise ConfigError(
                f"{self.ctx.path}: until= asks for {empty.args[0]!r}, which is no entry of the board",
                hint=f"the entries are {', '.join((INPUT, *self.pattern.types))}",
            ) from None

    def report(self) -> None:
        self.ctx.report(
            ended=self.ended,
            why=self.why,
            steps=self.agenda.steps,
            conflicts=self.conflicts,
            versions=self.board.versions(self.board.entries),
            history=[list(version) for version in self.board.history],
        )


class _Empty(KeyError):
    """An entry that has no value."""


class _Seen(dict[str, Any]):
    """The board as a condition sees it."""

    def __missing__(self, name: str) -> Any:
        raise _Empty(name)


def _is_stop(outcome: Any) -> bool:
    """A specialist's own turn limit says nothing of the others."""
    return isinstance(outcome, Stopped) and not isinstance(outcome, TurnLimit)
