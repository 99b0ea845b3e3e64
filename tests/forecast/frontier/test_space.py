"""The words of a space, the space that a flow suggests, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from outlay import Agent
from outlay.agents.cascade import ModelCascade
from outlay.errors import ConfigError
from outlay.forecast.frontier import Space, space_of, written
from outlay.forecast.frontier.derived import cut, suggested
from outlay.forecast.frontier.language import from_toml
from outlay.forecast.frontier.rewriting import rewritten
from outlay.patterns import Debate, FanOut, Pipeline, Refine, Vote
from outlay.values.debate import Judgement

SMALL, LARGE, OTHER = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6", "openai:gpt-5.4-mini"


def fine(answer: str) -> None:
    """A check that all answers pass."""


def agent(name: str, model: str = LARGE, **options: Any) -> Agent[Any]:
    return Agent(name, model, **options)


reply = agent("reply", verify=[fine])
judge = agent("judge", SMALL, output_type=Judgement[str])
FLOW = Pipeline(
    Refine(reply, fine, max_rounds=3, name="draft"),
    FanOut([agent("p"), agent("q")], name="both"),
    Debate([agent("x"), agent("y")], judge, max_rounds=2, name="talk"),
    Vote(agent("v"), 5, name="poll"),
    agent("polish", SMALL, optional=True),
    name="flow",
)


def space(text: str) -> Space:
    return space_of(FLOW, written(text))


def changes(text: str) -> list[str]:
    """Every single change of the space, as it is shown."""
    return [str(design) for _, design in space(text).single_changes()]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"models=reply:{SMALL}|{OTHER}", [
            f'agent reply: model="{LARGE}" → "{SMALL}"',
            f'agent reply: model="{LARGE}" → "{OTHER}"',
        ]),
        (f"models=reply:{SMALL}>{LARGE}", [f'agent reply: model="{LARGE}" → Cascade(["{SMALL}", "{LARGE}"], gate)']),
        (f"cascade=reply:{SMALL}", [f'agent reply: model="{LARGE}" → Cascade(["{SMALL}", "{LARGE}"], gate)']),
        ("retries=reply:0..2", ["agent reply: output_retries=2 → 0", "agent reply: output_retries=2 → 1"]),
        ("rounds=draft:1..3", ["refine draft: max_rounds=3 → 1", "refine draft: max_rounds=3 → 2"]),
        ("rounds=1", ["refine draft: max_rounds=3 → 1; debate talk: max_rounds=2 → 1"]),
        ("samples=poll:1|3|5", ["vote poll: n=5 → 1", "vote poll: n=5 → 3"]),
        ("parallel=both:1|all", ["fanout both: max_parallel=None → 1"]),
        ("parallel=flow:all", [
            "pipeline flow: type=Pipeline(draft, both, talk, poll, polish) → FanOut([draft, both, talk, poll, polish])"
        ]),
        ("cache=polish:5m", ['agent polish: cache="auto" → "5m"']),
        ("without=polish", ["pipeline flow: stages=… polish … → without it"]),
        ("lane=live|batch", ["command outlay map: --lane=live → batch"]),
    ],
)  # fmt: skip
def test_each_lever_and_the_change_that_it_shows(text: str, shown: list[str]):
    assert changes(text) == shown


def test_levers_are_separated_by_blanks_or_commas_and_multiply():
    found = space(f"models=reply:{SMALL}, retries=reply:0..2 without=polish")
    assert found.size == 2 * 3 * 2
    assert len({design.picks for design in found.designs()}) == 12
    assert next(iter(found.designs())).is_base


def test_the_models_and_the_cascades_of_an_agent_are_one_lever():
    found = space(f"models=reply:{SMALL} cascade=reply:{SMALL}")
    assert [choice.label for choice in found.levers[0].choices] == [
        "as it is",
        "reply on claude-haiku-4-5",
        "reply on claude-haiku-4-5 then claude-sonnet-4-6",
    ]


def test_a_design_is_a_flow():
    found = space(f"cascade=reply:{SMALL} rounds=draft:1 without=polish")
    last = [*found.designs()][-1]
    flow = rewritten(FLOW, last.arguments, last.without)
    assert isinstance(flow, Pipeline)
    draft, *_, poll = flow.stages
    assert isinstance(draft, Refine)
    assert draft.max_rounds == 1
    assert isinstance(draft.generator, Agent)
    assert isinstance(draft.generator.model, ModelCascade)
    assert poll.name == "poll"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "empty"),
        ("retries=reply:2", "empty"),
        ("sizes=3", "no lever"),
        ("retries", "no lever"),
        ("models=reply", "which model"),
        ("models=reply:nobody:x", "nobody"),
        ("models=nobody:anthropic:x", "nobody"),
        ("rounds=reply:1", "reply is an agent, not a loop"),
        ("retries=x:1", "not an agent with retries"),
        ("rounds=draft:3..1", "empty"),
        ("rounds=draft:1..1000", "wider"),
        ("rounds=draft:many", "not a number"),
        ("without=nobody", "no pipeline"),
        ("lane=fast", "lane"),
        ("parallel=flow:3", "flow:3 is not understood"),
        ("cache=polish:2h", "cache"),
        (f"cascade=polish:{SMALL}", "needs a gate"),
    ],
)
def test_what_is_no_space_is_refused_with_the_word(text: str, problem: str):
    with pytest.raises(ConfigError, match=problem):
        space(text)


def test_a_file_has_levers_and_expectations():
    text = f"""
        lane = ["live", "batch"]
        [models]
        reply = ["{SMALL}", "{OTHER}"]
        [rounds]
        draft = "1..3"
        [expect."reply@{OTHER}"]
        seconds = 0.5
        right = 0.9
    """
    found, expected = from_toml(text, "space.toml")
    assert space_of(FLOW, found).size == 2 * 3 * 3
    assert expected[f"reply@{OTHER}"].right == 0.9
    with pytest.raises(ConfigError, match=r"space\.toml.*speed"):
        from_toml("[expect.reply]\nspeed = 1", "space.toml")
    with pytest.raises(ConfigError, match="cannot read"):
        from_toml("[", "space.toml")


def test_a_flow_suggests_its_own_models_fewer_rounds_and_what_is_optional():
    found = suggested(FLOW)
    assert [lever.name for lever in found.levers] == [
        *(f"model of {name}" for name in ("reply", "p", "q", "x", "y", "judge", "v", "polish")),
        "stage polish",
        "rounds of draft",
        "rounds of talk",
        "samples of poll",
        "retries of reply",
        "parallel of both",
        "lane",
    ]


def test_a_cap_that_caps_nothing_suggests_a_few_smaller_ones():
    writer = agent("a")
    many = Pipeline(Refine(writer, fine, max_rounds=1_000_000, name="loop"), Vote(agent("v"), 100_001, name="poll"))
    sizes = {lever.name: [choice.label for choice in lever.choices[1:]] for lever in suggested(many).levers}
    assert sizes["rounds of loop"] == ["rounds 1", "rounds 2", "rounds 3", "rounds 4"]
    assert sizes["samples of poll"] == ["samples 1", "samples 3", "samples 5", "samples 7"]


def test_a_space_is_cut_to_the_levers_that_gain_most_by_themselves():
    whole = suggested(FLOW)
    found = cut(whole, {"lane": 0.5, "rounds of talk": 0.3, "retries of reply": 0.1}, 12)
    assert [lever.name for lever in found.levers] == ["rounds of talk", "retries of reply", "lane"]
    assert {lever.name for lever in whole.levers} == {lever.name for lever in found.levers} | {*found.left_out}
    assert cut(whole, {}, whole.size) == whole


def test_a_flow_that_suggests_nothing_is_an_error():
    with pytest.raises(ConfigError, match="suggests nothing"):
        suggested(Agent("a", "openai-chat:own"))
