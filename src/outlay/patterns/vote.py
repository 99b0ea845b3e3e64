"""Vote: ask the same thing several times and return what most answers say.

Self-consistency (Wang et al. 2022, "Self-Consistency Improves Chain of Thought Reasoning in Language Models"). Worth
its up to n-fold cost where answers are short and can be compared, and one sample is right more often than not, but not
reliably: arithmetic, extraction, classification. Samples only differ where the worker varies: give it a temperature.
"""

from __future__ import annotations

import asyncio
import typing
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, Unpack

from outlay.agents.content import as_text
from outlay.agents.function import as_node
from outlay.errors import ConfigError, OutlayError, Stopped, TurnLimit, one_line
from outlay.patterns.pattern import NOT_A_FAILURE, Common, Pattern
from outlay.patterns.profile import Consequence, Profile
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out
from outlay.protocols.signature import call
from outlay.values.ballots import Ballots, Candidate, as_key

A = TypeVar("A")
B = TypeVar("B")
_SHOWN = 80


@dataclass(frozen=True, eq=False)
class Vote(Pattern[In, Out]):
    """Run `worker` on the same input up to `n` times; the output is the first with the winning key.

    `key` `(output) -> key` says which outputs count as the same (None: equal ones); a key that Python cannot hash
    is compared by its JSON. Of equal counts the one with the lowest sample number wins, and of outputs with the
    winning key the one of the lowest sample number that came in, whoever answered first.

    With `early_stop` no sample is asked for that the result does not need: as many start at once as could settle the
    vote, and one more wherever the answers so far disagree. The winner is that of all n samples. Where they disagree
    it takes longer than one sample, up to n/2 of them in a row. Without it all n start at once.

    Failed samples, and outputs for which `key` raises, are left out and stand in `Result.skipped`; with none left
    the first error is raised. A stop by budget or deadline ends with the leader so far as the best answer, unless
    the rest could not have changed it. Facts: `votes` by key, `winner`, `margin` (votes ahead of the next key),
    `agreement` (the winner's share of the votes cast: 1.0 where all agree), `asked` and `saved` samples.
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="as many at once as could settle it; all n without `early_stop`",
        cost="n/2 to n calls, all n without `early_stop`",
        best_when="answers are short and comparable, and one is right more often than not",
        worst_when="members are wrong in the same way, or one of them is much better than the rest",
        ends="when the rest could not change the winner, or after n samples",
        failed_member=Consequence("goes on", "left out and named in `.skipped`; raised where no answer is left"),
        at_budget=Consequence("best so far", "the leader so far"),
        at_deadline=Consequence("best so far", "the leader so far"),
    )

    worker: Node[In, Out]
    n: int
    key: Callable[..., Any] | None = field(default=None)
    early_stop: bool = field(default=True)

    if typing.TYPE_CHECKING:

        def __init__(
            self: Vote[A, B],
            worker: Node[A, B],
            n: int,
            key: Callable[[B], Any] | Callable[[RunContext[Any], B], Any] | None = None,
            early_stop: bool = True,
            **common: Unpack[Common],
        ) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "worker", as_node(self.worker))
        if not isinstance(self.n, int) or isinstance(self.n, bool) or self.n < 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"Vote: n is a number of samples, at least 1, not {self.n!r}")
        if self.key is not None and not callable(self.key):
            raise ConfigError(f"Vote: key= is a function (output) -> key, not {self.key!r}")

    @property
    def input_type(self) -> Any:
        return self.worker.input_type

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        return (self.worker,)

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        poll = _Poll(self, ctx, input)
        ctx.if_stopped(lambda: poll.ballots.winner)
        turn = asyncio.Semaphore(0)

        async def sample(i: int) -> Out:
            await turn.acquire()
            return await ctx.run(self.worker, input, key=str(i))

        try:
            async with ctx.race(sample(i) for i in range(self.n)) as answers:
                finished = answers.outcomes()
                while poll.ask(turn.release):
                    await poll.take(await anext(finished))
        finally:
            ctx.report(**facts_of(poll.ballots, poll.asked))
        return poll.result()


@dataclass(slots=True)
class _Poll:
    """One vote under way: what was asked, what came back."""

    vote: Vote[Any, Any]
    ctx: RunContext[Any]
    input: Any
    ballots: Ballots[Any] = field(init=False)
    asked: int = 0
    landed: int = 0
    stop: Stopped | None = None
    #: By sample: why there is no answer, and why an answer has no key.
    failed: dict[int, Exception] = field(default_factory=dict[int, Exception])
    no_key: dict[int, Exception] = field(default_factory=dict[int, Exception])

    def __post_init__(self) -> None:
        self.ballots = Ballots(self.vote.n)

    def ask(self, start: Callable[[], None]) -> bool:
        """Start the samples that are needed by now. False if there is nothing to wait for."""
        if self.stop is None:
            needed = self.ballots.still_needed if self.vote.early_stop else self.ballots.to_come
            while self.asked < self.landed + needed:
                self.asked += 1
                start()
        return self.landed < self.asked

    async def take(self, outcome: Any) -> None:
        """Count an answer, or leave it out with the reason."""
        self.landed += 1
        sample: int = outcome.index
        error: Exception | None = outcome.error
        if error is not None:
            self._failed(sample, error)
        elif self.vote.worker.optional and outcome.value is self.input:
            self.ballots = self.ballots.spoil()  # it was skipped: an input is no answer to itself
        else:
            try:
                key = await self._key(outcome.value)
            except NOT_A_FAILURE:
                raise
            except Exception as raised:
                self.no_key[sample] = raised
                self._left_out(sample, f"the key function {self._key_name} raised", raised)
            else:
                self.ballots = self.ballots.add(sample, key, outcome.value)

    def _failed(self, sample: int, error: Exception) -> None:
        if isinstance(error, TurnLimit) or not isinstance(error, NOT_A_FAILURE):  # a sample's own limit is its own
            self.failed[sample] = error
            self._left_out(sample, "the worker failed", error)
        elif isinstance(error, Stopped):
            self.stop = self.stop or error  # what is in flight goes on: it is paid for
            self.ctx.skip(self._place(sample), one_line(error), error)
        else:
            raise error

    def _left_out(self, sample: int, reason: str, error: Exception) -> None:
        self.ballots = self.ballots.spoil()
        self.ctx.skip(self._place(sample), reason, error)

    def _place(self, sample: int) -> str:
        return f"{self.vote.worker.name}[{sample}]"

    async def _key(self, output: Any) -> Hashable:
        key = self.vote.key
        return as_key(output if key is None else await call(key, self.ctx, output))

    @property
    def _key_name(self) -> str:
        return str(getattr(self.vote.key, "__name__", "") or type(self.vote.key).__name__)

    def result(self) -> Any:
        """The winner. Raises the stop that came before it was settled, or what left no ballot."""
        ballots = self.ballots
        if self.stop is not None and not (ballots.cast and ballots.decided):
            raise self.stop.with_best(ballots.winner, self.ctx.path)
        if ballots.cast:
            return ballots.winner
        if self.no_key:
            first = self.no_key[min(self.no_key)]
            raise ConfigError(
                f"{self.ctx.path}: the key function {self._key_name} raised for each of {len(self.no_key)} answers: "
                f"{one_line(first)}",
                hint=f"call {self._key_name} on an output of {self.vote.worker.name} by hand",
            ) from first
        if self.failed:
            raise self.failed[min(self.failed)]
        raise OutlayError(f"{self.ctx.path}: each sample of {self.vote.worker.name} was skipped, there is no answer")


def facts_of(ballots: Ballots[Any], asked: int) -> dict[str, Any]:
    """What `Result.facts` says of a vote."""
    ranking = ballots.ranking
    votes = _by_text(ranking)
    return {
        "votes": votes,
        "winner": next(iter(votes), None),
        "margin": ballots.margin,
        "agreement": ballots.agreement,
        "asked": asked,
        "saved": ballots.n - asked,
    }


def _by_text(ranking: Sequence[Candidate]) -> dict[str, int]:
    """Votes by the beginning of the key as text; keys that begin alike stay apart."""
    found: dict[str, int] = {}
    for one in ranking:
        text = as_text(one.key)
        shown = text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"
        same = sum(1 for other in found if other == shown or other.startswith(f"{shown} #"))
        found[shown if not same else f"{shown} #{same + 1}"] = one.votes
    return found
