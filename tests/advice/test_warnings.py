"""Every warning of `outlay check`, with flows that it is for and flows that it is not for."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from outlay import Agent, Budget, ModelSettings, node
from outlay.advice import RULES, Evidence, Survey, Written, warnings_of
from outlay.checkers import length
from outlay.patterns import (
    Cascade,
    Critique,
    Debate,
    FanOut,
    Gate,
    Judgement,
    Mesh,
    Pipeline,
    Plan,
    Refine,
    Revision,
    RoundRobin,
    Router,
    Supervisor,
    Task,
    Vote,
)
from outlay.protocols.node import Node
from outlay.routing import calls_tool, self_reported

HAIKU, SONNET, OPUS = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6", "anthropic:claude-opus-4-8"
GPT = "openai:gpt-5.4"
Flow = Node[Any, Any]


class Intent(BaseModel):
    label: Literal["card", "loan"]
    confidence: float


class Draft(BaseModel):
    title: str
    text: str


def short(text: str) -> str | None:
    return "too long" if len(text) > 400 else None


def agent(name: str, model: Any = HAIKU, **more: Any) -> Agent[Any]:
    return Agent(name, model, instructions=more.pop("instructions", f"You are {name}."), **more)


def twins(number: int, **more: Any) -> list[Agent[Any]]:
    one = agent("a", **more)
    return [one.replace(name=f"a{i}") for i in range(number)]


def crowd(number: int) -> list[Agent[Any]]:
    return [agent(f"member{i}") for i in range(number)]


def crew(*workers: Flow, name: str = "crew") -> Supervisor[Any, Any]:
    return Supervisor(agent(f"{name}-plan", output_type=Plan), workers, agent(f"{name}-sum"), name=name)


def desk(history: bool) -> Flow:
    first, second = agent("first"), agent("second")
    return Mesh({first: [second]}, start=first, max_handoffs=3, history=history)


def jury(rounds: int, judge: str = GPT) -> Flow:
    debaters = [agent("one"), agent("two")]
    return Debate(debaters, Agent("judge", judge, output_type=Judgement), max_rounds=rounds)


def review(critic: Any, *, model: str = HAIKU, **writer: Any) -> Flow:
    return Refine(agent("writer", model, **writer), critic)


def desk_of(classifier: Any, **route: Any) -> Flow:
    return Router(classifier, {"card": agent("cards", **route), "loan": agent("loans", **route)}, default=str.upper)


def steps(first: Any, then: Any) -> Flow:
    return Pipeline(agent("first", output_type=first), agent("then", prompt=then))


def to_prompt(draft: Draft) -> str:
    return draft.text


def text_prompt(text: str) -> str:
    return text


@node(children=())
async def forever(ctx: Any, task: str) -> str:
    while True:
        task = await ctx.run(agent("worker"), task)
        if "DONE" in task:
            return task


@node
async def counted(ctx: Any, task: str) -> str:
    for n in itertools.count():
        if n >= 3:
            return task
        task = await ctx.run(agent("worker"), task)
    return task


@node
async def draft(topic: str) -> str:
    return topic


@node
async def redraft(topic: str | Revision) -> str:
    return str(topic)


@node
async def goal_of(task: Task) -> str:
    return task.goal


def sure(answer: Any) -> str | None:
    return None if answer.confidence > 0.8 else "unsure"


def to_member(message: str) -> str:
    return "member1"


def look(message: str) -> dict[str, Any]:
    return {"label": "card", "confidence": 0.9}


critic = Agent("critic", GPT, output_type=Critique)
own_critic = Agent("critic", HAIKU, output_type=Critique)
small_talk = crowd(3)


def measured(**written: Any) -> Evidence:
    given: dict[str, Any] = {
        "events": 400,
        "output_p99": 80.0,
        "turns": 1.0,
        "cache_read": 0,
        "cache_write": 0,
        **written,
    }
    return Evidence(runs=400, fits={"writer": Written(**given)})


def survey(flow: Flow, **known: Any) -> Survey:
    return Survey(flow, **known)


#: By rule: what it warns of, and what it does not.
WARNED: Mapping[str, list[Callable[[], Survey]]] = {
    "uncapped-loop": [
        lambda: survey(forever),
        lambda: survey(Pipeline(agent("a"), forever)),
        lambda: survey(agent("a", max_turns=1_000_000, verify=[short])),
    ],
    "handoff-types": [
        lambda: survey(steps(str, to_prompt)),
        lambda: survey(Pipeline(agent("a", output_type=list[int]), FanOut(agent("b", prompt=text_prompt)))),
        lambda: survey(Pipeline(agent("a", output_type=int), Pipeline(agent("b", prompt=text_prompt)))),
        lambda: survey(Refine(draft, short)),
        lambda: survey(crew(draft)),
    ],
    "model-only-verification": [
        lambda: survey(review(critic)),
        lambda: survey(Pipeline(agent("a"), Gate(critic))),
        lambda: survey(review(FanOut([critic, critic.replace(name="other")], merge=critic.replace(name="sum")))),
    ],
    "judge-family": [
        lambda: survey(review([short, own_critic])),
        lambda: survey(jury(1, judge=SONNET)),
        lambda: survey(Pipeline(agent("a"), Gate([short]), Gate([short, own_critic]))),
    ],
    "self-confidence": [
        lambda: survey(desk_of(agent("look", output_type=Intent))),
        lambda: survey(agent("a", Cascade([HAIKU, SONNET], sure))),
    ],
    "flat-crowd": [
        lambda: survey(RoundRobin(crowd(6), max_turns=6)),
        lambda: survey(crew(*crowd(6))),
        lambda: survey(FanOut(crowd(7), merge=agent("sum"))),
    ],
    "deep-delegation": [
        lambda: survey(crew(crew(crew(agent("worker"), name="low"), name="middle"))),
        lambda: survey(agent("a", tools=[agent("b", tools=[agent("c", tools=[agent("d")])])])),
    ],
    "debate-rounds": [lambda: survey(jury(3))],
    "equal-agents": [
        lambda: survey(FanOut(twins(3))),
        lambda: survey(Debate(twins(2), Agent("judge", GPT, output_type=Judgement))),
        lambda: survey(FanOut([*twins(1), agent("a", settings=ModelSettings(temperature=1))])),
    ],
    "dearest-model": [
        lambda: survey(Pipeline(agent("a", OPUS), agent("b", OPUS))),
        lambda: survey(Pipeline(agent("a", GPT), agent("b", GPT))),
    ],
    "whole-history": [lambda: survey(desk(history=True)), lambda: survey(RoundRobin(small_talk, max_turns=30))],
    "one-turn-cache": [
        lambda: survey(Pipeline(agent("a"), agent("writer", cache="5m"))),
        lambda: survey(FanOut([agent("a"), agent("writer", cache="1h")])),
        lambda: survey(crew(agent("a")).replace(synthesizer=agent("writer", cache="5m"))),
        lambda: survey(agent("writer"), evidence=measured(cache_write=90_000)),
    ],
    "output-cap": [
        lambda: survey(agent("writer", max_output_tokens=4096), evidence=measured()),
        lambda: survey(agent("writer", max_output_tokens=4096), expected={"writer": 100.0}),
    ],
}
QUIET: Mapping[str, list[Callable[[], Survey]]] = {
    "uncapped-loop": [
        lambda: survey(counted),
        lambda: survey(forever.replace(budget=Budget(calls=20))),
        lambda: survey(Pipeline(agent("a"), forever, budget=Budget(usd=1))),
        lambda: survey(agent("a")),
    ],
    "handoff-types": [
        lambda: survey(steps(Draft, to_prompt)),
        lambda: survey(Pipeline(agent("a", output_type=list[str]), FanOut(agent("b", prompt=text_prompt)))),
        lambda: survey(Refine(redraft, short)),
        lambda: survey(crew(goal_of, agent("b"))),
        lambda: survey(Pipeline(agent("a"), Gate(short), agent("b", prompt=text_prompt))),
    ],
    "model-only-verification": [
        lambda: survey(review([short, critic])),
        lambda: survey(review(critic, verify=[short])),
        lambda: survey(Pipeline(agent("a"), Gate([length(max_words=9), critic]))),
    ],
    "judge-family": [
        lambda: survey(review([short, critic])),
        lambda: survey(jury(1)),
        lambda: survey(review([short, Agent("critic", "openai-chat:nobody-knows-it", output_type=Critique)])),
    ],
    "self-confidence": [
        lambda: survey(desk_of(agent("look", output_type=Intent), verify=[short])),
        lambda: survey(desk_of(agent("look", output_type=Literal["card", "loan"]))),
        lambda: survey(desk_of(look)),
        lambda: survey(agent("a", Cascade([HAIKU, SONNET], [sure, short]))),
    ],
    "flat-crowd": [
        lambda: survey(RoundRobin(crowd(5), max_turns=5)),
        lambda: survey(crew(crew(*crowd(5), name="below"), agent("beside"))),
        lambda: survey(Router(to_member, {one.name: one for one in crowd(8)}, default=str.upper)),
    ],
    "deep-delegation": [
        lambda: survey(crew(crew(agent("worker"), name="low"))),
        lambda: survey(Pipeline(Pipeline(Pipeline(Pipeline(agent("a")))))),
    ],
    "debate-rounds": [lambda: survey(jury(2))],
    "equal-agents": [
        lambda: survey(FanOut(crowd(3))),
        lambda: survey(Vote(agent("a"), n=3)),
        lambda: survey(FanOut([agent("a", instructions="x"), agent("b", SONNET, instructions="x")])),
        lambda: survey(FanOut([agent("a", instructions="x"), agent("b", instructions="x", tools=[text_prompt])])),
    ],
    "dearest-model": [
        lambda: survey(Pipeline(agent("a", OPUS), agent("b"))),
        lambda: survey(Pipeline(agent("a"), agent("b"))),
        lambda: survey(agent("a", OPUS)),
        lambda: survey(Pipeline(agent("a", OPUS, cheaper=HAIKU), agent("b", OPUS))),
        lambda: survey(Pipeline(agent("a", "openai-chat:x"), agent("b", "openai-chat:x"))),
    ],
    "whole-history": [lambda: survey(desk(history=False)), lambda: survey(RoundRobin(small_talk, max_turns=6))],
    "one-turn-cache": [
        lambda: survey(Pipeline(agent("a"), agent("writer"))),
        lambda: survey(Pipeline(agent("a"), agent("writer", cache="5m", tools=[text_prompt]))),
        lambda: survey(Pipeline(agent("a"), agent("writer", cache="5m")), runs=40),
        lambda: survey(FanOut(agent("writer", cache="5m"))),
        lambda: survey(Vote(Pipeline(agent("a"), agent("writer", cache="5m")), n=3)),
        lambda: survey(crew(agent("writer", cache="5m"))),
        lambda: survey(agent("writer", cache="5m")),
        lambda: survey(Pipeline(agent("a"), agent("writer", GPT, cache="5m"))),
        lambda: survey(agent("writer"), evidence=measured(cache_write=90_000, cache_read=400_000)),
    ],
    "output-cap": [
        lambda: survey(agent("writer", max_output_tokens=300), evidence=measured()),
        lambda: survey(agent("writer", max_output_tokens=4096), evidence=measured(events=3)),
        lambda: survey(agent("writer", max_output_tokens=4096), expected={"writer": 1500.0}, evidence=measured()),
        lambda: survey(agent("writer", max_output_tokens=4096)),
    ],
}


def _ids(survey: Survey) -> set[str]:
    return {one.id for one in warnings_of(survey)}


@pytest.mark.parametrize("rule", [rule.id for rule in RULES])
def test_each_rule_warns_of_what_it_is_for_and_of_nothing_else(rule: str):
    """Each flow of its kind is found, and none of the others."""
    assert WARNED[rule]
    assert QUIET[rule]
    assert [i for i, make in enumerate(WARNED[rule]) if rule not in _ids(make())] == []
    assert [i for i, make in enumerate(QUIET[rule]) if rule in _ids(make())] == []


def test_a_warning_says_where_what_why_and_what_to_change():
    """All of it is for people, and the line is one of the flow's own arguments."""
    (found,) = [one for one in warnings_of(survey(jury(4))) if one.id == "debate-rounds"]
    assert found.nodes == ("debate",)
    assert found.what == "debate: 2 debaters, up to 4 rounds: 15 calls, 9 with two"
    assert found.concerns == ("money", "latency")
    assert found.change.startswith("Debate(…, max_rounds=2)")
    assert found.why


def test_the_gate_of_the_box_that_asks_the_model_is_known():
    """`self_reported` is what it says."""
    with pytest.warns(UserWarning, match="no measured one"):
        gate = self_reported(0.8)
    assert "self-confidence" in _ids(survey(agent("a", Cascade([HAIKU, SONNET], gate))))
    assert "self-confidence" not in _ids(survey(agent("a", Cascade([HAIKU, SONNET], calls_tool("search")))))


def test_equal_debaters_are_a_vote():
    """What is asked the same is named as what it is; what is asked something else is not."""
    (asked,) = [w for w in warnings_of(survey(FanOut(twins(3)))) if w.id == "equal-agents"]
    assert asked.change.startswith("Vote(a0, n=3)")
    (apart,) = [w for w in warnings_of(survey(Pipeline(*twins(2)))) if w.id == "equal-agents"]
    assert apart.change.startswith("make them one agent, a0")


def test_the_cap_to_take_leaves_room():
    """Twice what 99 of 100 answers needed, in round figures."""
    (found,) = warnings_of(survey(agent("writer", max_output_tokens=4096), evidence=measured()))
    assert found.change == "writer: max_output_tokens=200"
    assert "400 calls wrote at most 80 tokens" in found.what
    (offline,) = warnings_of(survey(agent("writer", max_output_tokens=4096), evidence=measured(offline=True)))
    assert "calls of its stand-in" in offline.what


def test_a_warning_is_silenced_everywhere_or_at_one_node():
    """By its stable id."""
    flow = Pipeline(jury(3), Debate([agent("x"), agent("y")], Agent("j", GPT, output_type=Judgement), 4, name="other"))
    both = [one.nodes[0] for one in warnings_of(survey(flow)) if one.id == "debate-rounds"]
    assert both == ["debate", "other"]
    assert "debate-rounds" not in {one.id for one in warnings_of(survey(flow), {"debate-rounds"})}
    left = [one.nodes[0] for one in warnings_of(survey(flow), {"debate-rounds:other"}) if one.id == "debate-rounds"]
    assert left == ["debate"]
    twice = survey(FanOut(twins(2)))
    assert "equal-agents" not in {one.id for one in warnings_of(twice, {"equal-agents:a1"})}


def test_a_good_flow_is_met_with_silence():
    """Nothing to say is nothing said."""
    flow = desk_of(agent("look", output_type=Literal["card", "loan"]), verify=[short])
    assert warnings_of(survey(flow)) == []


def test_ids_are_stable_and_each_its_own():
    """They stand in people's configuration."""
    assert sorted(rule.id for rule in RULES) == sorted(
        [
            "uncapped-loop",
            "handoff-types",
            "model-only-verification",
            "judge-family",
            "self-confidence",
            "flat-crowd",
            "deep-delegation",
            "debate-rounds",
            "equal-agents",
            "dearest-model",
            "whole-history",
            "one-turn-cache",
            "output-cap",
        ]
    )
