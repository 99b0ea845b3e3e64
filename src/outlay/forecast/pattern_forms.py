"""Each pattern's own formula, one beside the other. Loops and early stops in expectation."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from outlay.agents.agent import Agent
from outlay.agents.content import as_text
from outlay.agents.function import FunctionNode, as_node
from outlay.forecast.assumptions import Beliefs
from outlay.forecast.cascade_form import in_order
from outlay.forecast.expected import Expected, at_once, either
from outlay.forecast.moments import Moments, maximum
from outlay.forecast.reliability import majority, routed
from outlay.forecast.routing import confusion_of, labels_of, sent
from outlay.forecast.walk import Form, Passed, Unforeseeable, Walk
from outlay.patterns import (
    Blackboard,
    Cascade,
    Debate,
    FanOut,
    Mesh,
    Pipeline,
    Refine,
    RoundRobin,
    Router,
    Supervisor,
    Vote,
)
from outlay.patterns.debate import rebuttal_text
from outlay.patterns.detached import Detached
from outlay.patterns.gate import Gate
from outlay.protocols.gate import TierGate
from outlay.protocols.node import Node
from outlay.values.plan import Task

#: What JSON puts around each of several results.
_AROUND = 8
#: What stands around a critic's feedback, and the feedback, in characters: to an agent, and in a Revision.
FEEDBACK, REVISION = 84, 56
#: A loop is followed for so many rounds, as a simulated run is for so many calls, and until it is as good as over.
MOST_ROUNDS, OVER = 2_000, 1e-12
#: The walk over the ballots of a vote is long where they are many.
MOST_SAMPLES = 300


def rounds(most: int) -> Iterator[int]:
    """The rounds that a cap allows. Raises Unforeseeable in one that no loop with a cap would come to."""
    for k in range(most):
        if k == MOST_ROUNDS:
            raise Unforeseeable(f"it may go round {most:,} times, which is as good as without an end")
        yield k


def in_common(passed: Passed, form: Callable[[Passed], Expected]) -> Expected:
    """What several parts make of one input: right for all of them, or wrong for all of them."""
    if passed.right is None or passed.right in (0.0, 1.0):
        return form(passed)
    sound, flawed = (form(replace(passed, right=right)) for right in (1.0, 0.0))
    return either([(passed.right, sound), (1 - passed.right, flawed)])


def pipeline(walk: Walk, node: Pipeline[Any, Any], passed: Passed) -> Expected:
    """Costs and times add up as far as it gets; chances multiply."""
    total = walk.expect(node.stages[0], passed)
    for stage in node.stages[1:]:
        total = total.then(walk.expect(stage, passed.after(total)))
    return total


def fan_out(walk: Walk, node: FanOut[Any, Any], passed: Passed) -> Expected:
    """Costs add up, the slowest decides; it answers where enough of them do."""
    found = in_common(passed, lambda given: _branches(walk, node, given))
    return found if node.merge is None else found.then(walk.expect(node.merge, passed.after(found)))


def _branches(walk: Walk, node: FanOut[Any, Any], passed: Passed) -> Expected:
    if isinstance(node.worker, tuple):
        parts = [walk.expect(worker, passed) for worker in node.worker]
    else:
        parts = [walk.expect(node.worker, item) for item in _items(walk, node, passed)]
    needed = None if node.on_error == "raise" else node.min_success
    found = at_once(parts, needed=needed, lanes=node.max_parallel)
    return replace(found, characters=found.characters + _AROUND * len(parts))


def _items(walk: Walk, node: FanOut[Any, Any], passed: Passed) -> list[Passed]:
    value = passed.value
    if node.split is not None and value is not None:
        split = as_node(node.split)
        if isinstance(split, FunctionNode) and not split.wants_context:
            value = split.function(value)
    if isinstance(value, list | tuple):
        several = cast("Sequence[Any]", value)
        return [replace(Passed.of(item), right=passed.right) for item in several]
    n = walk.beliefs.number("items", node.name)
    return [Passed(passed.characters / n, None, passed.right)] * n


def router(walk: Walk, node: Router[Any, Any], passed: Passed) -> Expected:
    """The classifier, then one route by its share of the labels; what fails on the way goes to the default."""
    choice = walk.expect(node.classifier, passed)
    passed = replace(passed, right=choice.right)
    default = walk.expect(node.default, passed)
    routes = [(share, _route(walk, node, label, passed, default)) for label, share in sent(node, walk.beliefs).items()]
    taken = either(routes) if routes else default
    right = _routed_right(walk, node, taken)
    if node.on_error == "raise":
        return replace(choice.then(taken), right=right)
    found = choice.then(either([(choice.answers, taken), (1 - choice.answers, default)]), reached=1.0)
    answers = either([(choice.answers, taken), (1 - choice.answers, default)]).answers
    return replace(found, answers=answers, clean=choice.clean * taken.clean, right=right)


def _route(walk: Walk, node: Router[Any, Any], label: str, passed: Passed, default: Expected) -> Expected:
    if label not in node.routes or label in node.escalate:
        return default
    route = walk.expect(node.routes[label], passed)
    if node.on_error == "raise":
        return route
    rest = default.happening(1 - route.answers)
    found = route.then(rest, reached=1.0)
    answers = route.answers + (1 - route.answers) * default.answers
    return replace(found, answers=answers, clean=route.clean, characters=route.characters, right=route.right)


def _routed_right(walk: Walk, node: Router[Any, Any], taken: Expected) -> float | None:
    """Confusion times specialists, where that is declared; else of the classifier and then of the route."""
    confusion = confusion_of(node, walk.beliefs)
    if confusion is None:
        return taken.right  # given what the classifier passes on: right as often as that is
    return routed(walk.beliefs.shares(node.name, labels_of(node)), confusion.sent, confusion.right).success


def vote(walk: Walk, node: Vote[Any, Any], passed: Passed) -> Expected:
    """Samples until the count is decided, by the exact distribution of votes for the usual answer and for another."""
    return in_common(passed, lambda given: _samples(walk, node, given))


def _samples(walk: Walk, node: Vote[Any, Any], passed: Passed) -> Expected:
    if node.n > MOST_SAMPLES:
        raise Unforeseeable(f"{node.n:,} samples are more than its formula is for")
    one = walk.expect(node.worker, passed)
    agreement = walk.beliefs.agreement(node.worker.name)
    first = needed_now(node.n, 0, 0, 0) if node.early_stop else node.n
    asked = float(node.n) if not node.early_stop else samples_asked(node.n, agreement, one.answers)
    sampled = one.happening(1.0)
    agents = {name: share * asked for name, share in sampled.agents.items()}
    seconds = maximum([one.seconds] * first) + Moments((asked - first) * one.seconds.mean)
    none = (1 - one.answers) ** node.n
    right = None if one.right is None else majority(one.right, node.n)
    return Expected(agents, seconds, 1 - none, one.clean**asked, one.characters, right)


def needed_now(n: int, usual: int, other: int, spoiled: int) -> int:
    """Ballots still needed at the least (values/ballots.py) where two answers are in play."""
    to_come = n - usual - other - spoiled
    return min(to_come, max(0, (to_come - abs(usual - other)) // 2 + 1))


def samples_asked(n: int, agreement: float, answers: float = 1.0) -> float:
    """The mean number of samples of a vote that stops early: a walk over how many said the usual thing, another, or
    nothing."""
    states = {(0, 0, 0): 1.0}
    total = 0.0
    while states:
        after: dict[tuple[int, int, int], float] = {}
        for (usual, other, spoiled), p in states.items():
            if not needed_now(n, usual, other, spoiled):
                total += p * (usual + other + spoiled)
                continue
            for state, q in (
                ((usual + 1, other, spoiled), answers * agreement),
                ((usual, other + 1, spoiled), answers * (1 - agreement)),
                ((usual, other, spoiled + 1), 1 - answers),
            ):
                if p * q > OVER:
                    after[state] = after.get(state, 0.0) + p * q
        states = after
    return total


def refine(walk: Walk, node: Refine[Any, Any], passed: Passed) -> Expected:
    """Drafts until the critics are content or the rounds are used up: `sum (1 - a)^k`. An agent goes on in its own
    transcript, which grows by its draft and the feedback."""
    content = _content(walk, node.name, node.critic)
    total: Expected | None = None
    characters, reached = passed.characters, 1.0
    draft = Expected()
    for _ in rounds(node.max_rounds):
        draft = _again(walk, node.generator, characters, passed)
        judged = draft.then(_critics(walk, node.name, node.critic, passed, draft))
        round = replace(judged, characters=draft.characters, right=draft.right)
        total = round if total is None else replace(total.then(round, reached=reached), answers=total.answers)
        reached *= judged.answers * (1 - content)
        characters += draft.characters + FEEDBACK
        if reached < OVER:
            break
    assert total is not None
    if node.fallback is not None:
        given = Passed(passed.characters + draft.characters + REVISION, None, draft.right)
        total = replace(total.then(walk.expect(node.fallback, given), reached=reached), answers=total.answers)
    return replace(total, clean=total.clean * (1 - reached) if node.fallback is None else total.clean)


def _again(walk: Walk, node: Node[Any, Any], characters: float, passed: Passed) -> Expected:
    if isinstance(node, Agent):
        below = replace(walk, path=f"{walk.path}/{node.name}")
        return below.agent(node, walk.prompt(node, passed) + characters - passed.characters, passed.right)
    return walk.expect(node, passed)


def _content(walk: Walk, name: str, critics: Sequence[Any]) -> float:
    return math.prod(_accept(walk.beliefs, name, critic) for critic in critics)


def _accept(beliefs: Beliefs, name: str, critic: Any) -> float:
    if isinstance(critic, Agent):
        return beliefs.accept(critic.name, opinion=True)
    return beliefs.accept(name, opinion=False)


def _critics(walk: Walk, name: str, critics: Sequence[Any], passed: Passed, draft: Expected) -> Expected:
    """In order, up to the first that is not content."""
    total, reached = Expected(), 1.0
    for critic in critics:
        if isinstance(critic, Node):
            found = walk.expect(cast("Node[Any, Any]", critic), Passed(passed.characters + draft.characters + 20))
            total = total.then(found, reached=reached)
        reached *= _accept(walk.beliefs, name, critic)
    return total


def gate(walk: Walk, node: Gate[Any, Any], passed: Passed) -> Expected:
    """Its critics; what does not pass goes no further."""
    found = _critics(walk, node.name, node.check, passed, Expected(characters=passed.characters))
    content = _content(walk, node.name, node.check)
    return replace(
        found,
        answers=found.answers * content,
        clean=found.clean * content,
        characters=passed.characters,
        right=passed.right,
    )


def cascade(walk: Walk, node: Cascade[Any, Any], passed: Passed) -> Expected:
    """Tiers in order, each as often as the gate refuses all that came before it."""
    if any(isinstance(gate, TierGate) for gate in node.gate):
        raise Unforeseeable("it has a gate that decides by what is answered")
    refused = 1 - math.prod(walk.beliefs.accept(node.name, opinion=False) for _ in node.gate)
    asked = [walk.expect(tier, passed) for tier in node.tiers for _ in range(node.attempts)]
    found, _ = in_order(asked, [refused] * len(asked))
    return found


def supervisor(walk: Walk, node: Supervisor[Any, Any], passed: Passed) -> Expected:
    """Planner, then independent subtasks dealt out to the workers in turn, then the synthesizer; one round."""
    if node.max_rounds > 1:
        raise Unforeseeable("whether it plans again depends on what its workers say (max_rounds above 1)")
    n = min(walk.beliefs.number("subtasks", node.name), node.max_subtasks)
    plan = walk.expect(node.informed_planner, passed)
    around = len(as_text(Task("", "")))
    task = Passed(passed.characters + around + SUBTASK_CHARACTERS, None, passed.right)

    def subtasks(given: Passed) -> Expected:
        return at_once([walk.expect(node.workers[i % len(node.workers)], given) for i in range(n)], needed=1)

    work = in_common(replace(task, right=plan.right), subtasks)
    given = passed.characters + work.characters + _AROUND * n
    end = walk.expect(node.synthesizer, Passed(given, None, work.right))
    return plan.then(work).then(end)


#: What one subtask of a plan asks for.
SUBTASK_CHARACTERS = 40


def debate(walk: Walk, node: Debate[Any, Any], passed: Passed) -> Expected:
    """First answers, then rounds in which each reads the others, until the judge is satisfied: `sum (1 - a)^k`.

    Assumes that somebody changes an answer in each round. The judge hears all rounds so far.
    """
    if node.stop is not None:
        raise Unforeseeable("its stop condition depends on what is said")
    accept = walk.beliefs.accept(node.judge.name, opinion=isinstance(node.judge, Agent))
    said, own, reached = 0.0, passed.characters, 1.0
    total = Expected()
    for round in rounds(node.max_rounds + 1):
        answers = at_once([_again(walk, one, own, passed) for one in node.debaters], needed=1)
        one = answers.characters / len(node.debaters)
        said += answers.characters + _AROUND * len(node.debaters)
        heard = answers.then(walk.expect(node.judge, Passed(passed.characters + said + 40)))
        total = heard if not round else replace(total.then(heard, reached=reached), answers=total.answers)
        reached *= heard.answers * (1 - accept)
        others = {str(i): "" for i in range(len(node.debaters) - 1)}
        own += one * len(node.debaters) + len(rebuttal_text(others))
        if reached < OVER:
            break
    return replace(total, right=None)


def round_robin(walk: Walk, node: RoundRobin[Any, Any], passed: Passed) -> Expected:
    """All turns, each over a conversation that is one turn longer."""
    if node.stop is not None:
        raise Unforeseeable("its stop condition depends on what is said")
    total = Expected()
    characters = passed.characters + 24
    for turn in rounds(node.max_turns):
        found = walk.expect(node.agents[turn % len(node.agents)], Passed(characters))
        total = total.then(replace(found, answers=1.0), reached=1.0)
        characters += found.characters + 28 + len(node.agents[turn % len(node.agents)].name)
    return replace(total, characters=characters - passed.characters, right=None)


def detached(walk: Walk, node: Detached[Any, Any], passed: Passed) -> Expected:
    """It costs, and nobody waits for it."""
    found = walk.expect(node.node, passed)
    return Expected(found.agents, clean=found.clean, characters=passed.characters, right=passed.right)


def unforeseeable(walk: Walk, node: Any, passed: Passed) -> Expected:
    raise Unforeseeable(f"who works next in a {type(node).__name__} depends on what is said")


FORMS: Mapping[type[Any], Form] = {
    Pipeline: pipeline,
    FanOut: fan_out,
    Router: router,
    Vote: vote,
    Refine: refine,
    Gate: gate,
    Cascade: cascade,
    Supervisor: supervisor,
    Debate: debate,
    RoundRobin: round_robin,
    Detached: detached,
    Mesh: unforeseeable,
    Blackboard: unforeseeable,
}
