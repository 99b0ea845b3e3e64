"""Assumptions in a file: what is read, and what is refused with the place where it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from outlay.errors import ConfigError
from outlay.forecast import Confusion, Empirical, Expect, Lognormal, Step
from outlay.forecast.declared import assumptions_in

FILE = """
subtasks = 4
batch_seconds = { values = [60, 3600] }
[everyone]
failure = 0.01
[agents.reply]
output_tokens = { median = 120, spread = 0.4 }
right = { sound = 0.97, flawed = 0.2, detection = 0.9, correlation = 0.3, retries = 1 }
[agents."reply@openai:gpt-5.4-mini"]
right = 0.9
seconds = 2
[routes.triage]
billing = 0.4
technical = 0.6
[confusion.triage]
sent.billing = { billing = 0.9, technical = 0.1 }
sent.technical = { technical = 1.0 }
right.billing = { billing = 0.95 }
right.technical = { technical = 0.95, billing = 0.2 }
"""


def test_a_file_declares_agents_routes_and_a_routers_mistakes():
    found = assumptions_in(FILE, "a.toml")
    assert (found.subtasks, found.items, found.batch_seconds) == (4, None, Empirical((60, 3600)))
    assert found.everyone == Expect(failure=0.01)
    step = Step(sound=0.97, flawed=0.2, detection=0.9, correlation=0.3, retries=1)
    assert found.agents["reply"] == Expect(output_tokens=Lognormal(120, 0.4), right=step)
    assert found.agents["reply@openai:gpt-5.4-mini"] == Expect(right=0.9, seconds=2)
    assert found.routes == {"triage": {"billing": 0.4, "technical": 0.6}}
    assert found.confusion["triage"] == Confusion(
        {"billing": {"billing": 0.9, "technical": 0.1}, "technical": {"technical": 1.0}},
        {"billing": {"billing": 0.95}, "technical": {"technical": 0.95, "billing": 0.2}},
    )


def test_the_file_in_the_guide_is_one():
    page = (Path(__file__).parents[2] / "docs/guide/forecast.md").read_text("utf-8")
    [text] = [block for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "[agents." in block]
    found = assumptions_in(text, "forecast.md")
    assert ([*found.agents], [*found.confusion]) == (["reply"], ["triage"])


def test_an_empty_file_declares_nothing():
    found = assumptions_in("", "a.toml")
    assert (found.agents, found.everyone, found.subtasks) == ({}, Expect(), None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("sub", "cannot read a.toml"),
        ("steps = 3", "there is no 'steps'"),
        ("items = 0", "items is a whole number from 1 on, not 0"),
        ("items = true", "items is a whole number from 1 on"),
        ("agents = 3", "agents is a table, not 3"),
        ("[agents]\nreply = 3", "agents.reply is a table, not 3"),
        ("[agents.reply]\nfails = 0.1", "agents.reply: there is no 'fails'"),
        ("[agents.reply]\nfailure = 2", "agents.reply: failure is a probability"),
        ('[agents.reply]\nright = "0.9"', "agents.reply: '0.9' is not a number"),
        ("[agents.reply]\nright = { flawed = 0.9 }", "agents.reply: sound is missing"),
        ("[agents.reply]\nright = { sound = 0.9, luck = 1 }", "agents.reply: there is no 'luck'"),
        ("[agents.reply]\nright = { sound = 0.9, retries = 0.5 }", "agents.reply: retries"),
        ("[everyone]\nseconds = { median = 1 }", "everyone: spread is missing"),
        ("[everyone]\nseconds = { values = 1 }", "everyone: values is a list of numbers"),
        ("[everyone]\nseconds = { values = [] }", "everyone: an empirical distribution needs at least one value"),
        ("[everyone]\nseconds = -1", "everyone: value must be finite and not negative"),
        ('[routes.r]\na = "x"', "routes.r: 'x' is not a number"),
        ("[confusion.r]\nsent.a = { a = 0.5 }", "confusion.r: where 'a' is sent sums to 0.5, not to 1"),
    ],
)
def test_what_is_no_such_file_is_refused_with_its_place(text: str, problem: str):
    with pytest.raises(ConfigError) as refused:
        assumptions_in(text, "a.toml")
    assert problem in refused.value.message
    assert "a.toml" in refused.value.message
