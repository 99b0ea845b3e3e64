"""Debate: several answer on their own, then read one another and answer again, until a judge is satisfied.

Du et al. 2023, "Improving Factuality and Reasoning in Language Models through Multiagent Debate"; the judge follows
Liang et al. 2023, "Encouraging Divergent Thinking in Large Language Models through Multi-Agent Debate". Worth its
price, (1 + rounds) × debaters with transcripts that grow, where answers can be argued about and debaters differ: in
model, instructions or tools. Where they differ by chance only, try `Vote` first, which costs less.
"""

from __future__ import annotations

import typing
from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, Unpack, cast, get_origin

from outlay.agents.agent import Agent
from outlay.agents.content import as_text
from outlay.agents.function import as_node
from outlay.errors import ConfigError, DeadlineExceeded, OutlayError, Stopped, TurnLimit, one_line
from outlay.patterns.pattern import NOT_A_FAILURE, Common, Pattern, Step
from outlay.patterns.profile import Consequence, Profile
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out
from outlay.protocols.signature import call
from outlay.values.ballots import Ballots, as_key
from outlay.values.critique import Feedback
from outlay.values.debate import Hearing, Judgement, Rebuttal

A = TypeVar("A")
B = TypeVar("B")
Answers = Mapping[str, Any]
_SHOWN = 120


@dataclass(frozen=True, eq=False)
class Debate(Pattern[In, Out]):
    """Each debater answers without having seen another's answer; then up to `max_rounds` rounds in which each sees
    the others' last answers. A debater that is an agent goes on in its transcript; another node gets
    `Rebuttal(question, own, others)`. After each round the judge gets `Hearing(question, rounds, final)` and gives
    `Judgement(done, answer)`; its last answer is the output.

    No further round follows where the judge is satisfied; where no new objection came up, that is, every debater
    gave an answer equal to its last one (text: but for white space), which the judge is not asked about again;
    where `stop` `(answers by debater) -> bool` says so; with fewer than two debaters left; and after `max_rounds`.

    A failed debater is left out from then on and stands in `Result.skipped`; if no first answer comes in, the first
    error is raised. Where the judge fails, its last judgement stands. What one judgement may cost is set aside, so
    that a budget stop still ends with one; the best answer without any is the one that most debaters gave.

    Facts: `rounds` (further ones held), `changes` (for each of them who changed its answer, from what to what, and
    whether the judge's answer changed), `satisfied` (the judge, at the end) and `ended`: `judge`, `no_change`, `stop`,
    `alone`, `max_rounds`, or the reason of a stop such as `budget`.
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="debaters at once, rounds and judge one after the other",
        cost="(1 + rounds) × n calls and a judgement a round, with transcripts that grow",
        best_when="answers can be argued about, and debaters differ in model, instructions or tools",
        worst_when="debaters differ by chance only: a `Vote` costs less",
        ends="when the judge is satisfied, nobody changes an answer, `stop` says so, or after `max_rounds`",
        failed_member=Consequence("goes on", "left out from then on; where the judge fails its last judgement stands"),
        at_budget=Consequence("answer", "one last judgement: its call is set aside"),
        at_deadline=Consequence("best so far", "the last judgement, or what most debaters said last"),
    )

    debaters: Sequence[Node[In, Any]]
    judge: Node[Any, Any]
    max_rounds: int = field(default=2)
    stop: Callable[..., Any] | None = field(default=None)

    if typing.TYPE_CHECKING:

        def __init__(
            self: Debate[A, B],
            debaters: Sequence[Node[A, Any] | Callable[..., Any]],
            judge: Step[Hearing, Judgement[B]],
            max_rounds: int = 2,
            stop: Callable[[dict[str, Any]], Any] | Callable[[RunContext[Any], dict[str, Any]], Any] | None = None,
            **common: Unpack[Common],
        ) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.debaters, Node) or not isinstance(self.debaters, list | tuple):
            raise ConfigError(f"Debate: debaters is a list of nodes, not {self.debaters!r}")
        object.__setattr__(self, "debaters", tuple(as_node(one) for one in self.debaters))
        object.__setattr__(self, "judge", as_node(self.judge))
        if len(self.debaters) < 2:
            raise ConfigError(f"a Debate needs at least two debaters, not {len(self.debaters)}")
        twice = [name for name, n in Counter(child.name for child in self.children).items() if n > 1]
        if twice:
            raise ConfigError(
                f"Debate: {', '.join(map(repr, twice))} stands there twice, and answers are told apart by name",
                hint="give each a name of its own: agent.replace(name=…)",
            )
        if not isinstance(self.max_rounds, int) or isinstance(self.max_rounds, bool) or self.max_rounds < 0:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"Debate: max_rounds is a number of rounds, 0 or more, not {self.max_rounds!r}")
        if self.stop is not None and not callable(self.stop):
            raise ConfigError(f"Debate: stop= is a function (answers) -> bool, not {self.stop!r}")
        kind: Any = getattr(self.judge, "output_type", Judgement)
        kind = get_origin(kind) or kind
        if isinstance(kind, type) and not issubclass(kind, Judgement):
            raise _not_a_judgement(self.judge, kind.__name__)

    @property
    def input_type(self) -> Any:
        return self.debaters[0].input_type

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        return (*self.debaters, self.judge)

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        talk = _Talk(self, ctx, input)
        ctx.reserve_finish(self.judge)
        ctx.if_stopped(lambda: talk.best)
        ended = ""
        while not ended:
            await talk.hold_round()
            ended = await talk.why_over()
            if ended != "no_change" or not talk.judged:
                ended = await talk.hear_judge(ended)
            talk.report(ended)
        return talk.best


@dataclass(slots=True)
class _Talk:
    """One debate under way: what was said in each round, and what the judge made of it."""

    debate: Debate[Any, Any]
    ctx: RunContext[Any]
    question: Any
    rounds: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    changes: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    judgement: Judgement[Any] | None = None
    stop: Stopped | None = None

    async def hold_round(self) -> None:
        """Answers of all debaters that are still there, at the same time."""
        ctx, debate = self.ctx, self.debate
        before = self.rounds[-1] if self.rounds else None
        answers: dict[str, Any] = {}
        errors: dict[str, Exception] = {}

        async def one(debater: Node[Any, Any]) -> None:
            asked = self.question if before is None else self._asked(debater, before)
            try:
                answer = await ctx.child(debater, asked, origin=self.question, transcript=ctx.transcript_of(debater))
            except TurnLimit as limit:  # a debater's own limit says nothing of the others
                errors[debater.name] = limit
            except Stopped as stop:
                self.stop = self.stop or stop
                ctx.skip(debater.name, one_line(stop), stop)
            except NOT_A_FAILURE:
                raise
            except Exception as error:
                errors[debater.name] = error
            else:
                if not (debater.optional and answer is asked):  # it was skipped: a question is no answer to itself
                    answers[debater.name] = answer

        self.rounds.append(answers)
        await ctx.gather(*(one(debater) for debater in debate.debaters if before is None or debater.name in before))
        answers, errors = self._in_order(answers), self._in_order(errors)
        self.rounds[-1] = answers
        when = "the first answers" if before is None else f"round {len(self.rounds) - 1}"
        for name, error in errors.items():
            ctx.skip(name, f"the debater failed in {when} and is left out", error)
        if before is not None:
            changed = changed_answers(before, answers)
            self.changes.append({"round": len(self.rounds) - 1, "changed": changed, "judgement_changed": False})
            if not answers:
                self.rounds.pop()  # what was said before stands
        elif not answers:
            failed = next(iter(errors.values()), None)
            raise self.stop or failed or OutlayError(f"{ctx.path}: each debater was skipped, there is no answer")

    def _in_order(self, found: Mapping[str, A]) -> dict[str, A]:
        """By the debaters' order: who was faster must not change what the others and the judge read."""
        return {debater.name: found[debater.name] for debater in self.debate.debaters if debater.name in found}

    def _asked(self, debater: Node[Any, Any], answers: Answers) -> Any:
        """What a debater gets in a further round."""
        others = {name: answer for name, answer in answers.items() if name != debater.name}
        if isinstance(debater, Agent):
            return Feedback(rebuttal_text(others))
        return Rebuttal(self.question, answers[debater.name], others)

    async def why_over(self) -> str:
        """Why no further round follows, as far as the judge has no say in it; empty if one may."""
        debate, answers = self.debate, self.rounds[-1]
        if self.stop is not None:
            return self.stop.reason
        if self.changes and not self.changes[-1]["changed"]:
            return "no_change"
        if len(answers) < 2:
            return "alone"
        if debate.stop is not None and await call(debate.stop, self.ctx, dict(answers)):
            return "stop"
        return "max_rounds" if len(self.changes) >= debate.max_rounds else ""

    async def hear_judge(self, ended: str) -> str:
        """Ask the judge, for the last time if the debate has `ended`. Gives why it ended by then, empty if it goes on.

        Raises the stop that leaves no judgement, with the best answer so far.
        """
        ctx = self.ctx
        if isinstance(self.stop, DeadlineExceeded):
            raise self.stop.with_best(self.best, ctx.path)  # there is no time left to hear anybody
        try:
            await self._hear(Hearing(self.question, tuple(self.rounds), bool(ended)))
        except Stopped as stop:
            if ended or isinstance(stop, DeadlineExceeded):
                raise stop.with_best(self.best, ctx.path) from None
            self.stop = stop
            return await self.hear_judge(stop.reason)  # from what was set aside
        satisfied = self.judgement is not None and self.judgement.done
        return "judge" if satisfied and ended in ("", "max_rounds") else ended

    async def _hear(self, hearing: Hearing) -> None:
        """One judgement; where the judge fails the last one stands. Raises its error if there is none to end with."""
        ctx, judge, last = self.ctx, self.debate.judge, self.judgement
        try:
            found = await ctx.child(judge, hearing, origin=self.question, finishing=hearing.final)
        except TurnLimit as limit:
            failure: Exception = limit
        except NOT_A_FAILURE:
            raise
        except Exception as error:
            failure = error
        else:
            if not isinstance(found, Judgement):
                raise _not_a_judgement(judge, type(found).__name__, ctx.path)
            self.judgement = cast("Judgement[Any]", found)
            if last is not None and self.changes:
                changed = _comparable(last.answer) != _comparable(self.judgement.answer)
                self.changes[-1]["judgement_changed"] = changed
            return
        if hearing.final and not self.judged:
            raise failure
        ctx.skip(judge.name, "the judge failed, its last judgement stands" if last else "the judge failed", failure)

    @property
    def judged(self) -> bool:
        """There is an answer of the judge."""
        return self.judgement is not None and self.judgement.answer is not None

    @property
    def best(self) -> Any:
        """The judge's last answer; without one, what most debaters said last (of equals, the first debater's)."""
        if self.judgement is not None and self.judgement.answer is not None:
            return self.judgement.answer
        said = next((answers for answers in reversed(self.rounds) if answers), dict[str, Any]())
        ballots = Ballots[Any](len(said))
        for i, answer in enumerate(self._in_order(said).values()):
            ballots = ballots.add(i, _comparable(answer), answer)
        return ballots.winner

    def report(self, ended: str) -> None:
        satisfied = self.judgement is not None and self.judgement.done
        facts = {"rounds": len(self.changes), "changes": list(self.changes), "satisfied": satisfied}
        self.ctx.report(**facts, **({"ended": ended} if ended else {}))


def changed_answers(before: Answers, after: Answers) -> dict[str, dict[str, str]]:
    """Who gave another answer than the round before, from what to what, shortened for people to read."""
    return {
        name: {"from": _shown(before[name]), "to": _shown(answer)}
        for name, answer in after.items()
        if _comparable(before[name]) != _comparable(answer)
    }


def rebuttal_text(others: Answers) -> str:
    """What a debater that is an agent reads of the others, in its own conversation."""
    said = "\n\n".join(f"{name} answered: {as_text(answer)}" for name, answer in others.items())
    return (
        f"Others answered the same question on their own.\n\n{said}\n\n"
        "Check their reasoning against yours. Give your answer again, in the same form: changed where they convinced "
        "you, unchanged where they are wrong."
    )


def _comparable(answer: Any) -> Hashable:
    """What makes two answers the same: for text, all but its white space."""
    return as_key(" ".join(answer.split()) if isinstance(answer, str) else answer)


def _shown(answer: Any) -> str:
    text = " ".join(as_text(answer).split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _not_a_judgement(judge: Node[Any, Any], kind: str, path: str = "") -> ConfigError:
    return ConfigError(
        f"Debate: the judge {judge.name} gives {kind}, not a Judgement",
        path=path,
        hint=f"Agent({judge.name!r}, …, output_type=Judgement)",
    )
