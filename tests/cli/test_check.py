"""`outlay check`: caps, prices, limits, and what the prompt cache will do, before anything is spent."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from cli_support import Call

FLOW = '''
from outlay import Agent, Budget
from outlay.patterns import Pipeline, Refine

RULES = "rule of the house. " * 900


def look(page: int) -> str:
    """Read a page."""
    return "x"


def answer(request):
    return "ok"


coder = Agent("coder", "anthropic:claude-sonnet-4-6", instructions=RULES, tools=[look], offline=answer)
short = Agent("short", "anthropic:claude-haiku-4-5", instructions="Be brief.", offline=answer)
gpt = Agent("gpt", "openai:gpt-5.4", instructions=RULES, offline=answer)
own = Agent("own", "openai-chat:nobody-knows-it", offline=answer)
timed = Agent("timed", "anthropic:claude-sonnet-4-6", instructions=[lambda: "now", RULES], cache="off", offline=answer)
polish = Refine(coder, lambda draft: None, max_rounds=4, name="polish")
flow = Pipeline(polish, short, gpt, name="desk", budget=Budget(usd=1))
mute = Agent("mute", "anthropic:claude-haiku-4-5")
'''


LONG_FLOW = '''
from outlay import Agent, Compaction


def look(page: int) -> str:
    """Read a page."""
    return ""


def agent(name, model="anthropic:claude-haiku-4-5", **more):
    return Agent(name, model, tools=[look], max_turns=100, offline=lambda r: "", **more)


whole = agent("whole")
short = agent("short", compaction=Compaction())
blind = agent("blind", "openai-chat:nobody-knows-it", compaction=Compaction())
'''


@pytest.fixture
def flow(tmp_path: Path) -> str:
    path = tmp_path / "desk_to_check.py"
    path.write_text(FLOW)
    return str(path)


def test_a_flow_is_looked_at_without_a_key(flow: str, call: Call):
    """Every line says what is so; none says what nobody knows."""
    said = call("check", f"{flow}:flow")
    assert said.code == 0
    assert said.out.splitlines() == [
        "desk · 3 agents · 1 tool",
        "  ✓ names, models and settings fit  to run offline",
        "  ✓ every loop has a cap            polish max_rounds=4, coder max_turns=8",
        f"  ✓ every model has a price         genai-prices {version('genai-prices')}",
        "  ✓ money is limited                desk $1",
        "  cache coder  1 breakpoint after system 1 5m · about 4,316 tokens · pays from the 1st read · 1 read expected"
        " in 5 min",
        "  cache short  none: the prefix is about 2 tokens, the least that is cached is 4,096",
        "  cache gpt    the provider caches by itself · about 4,275 tokens · 0 reads expected in 5 min",
    ]


def test_as_json(flow: str, call: Call):
    """One document; figures and not sentences for programs."""
    said = call("check", f"{flow}:coder", "--json", "--runs", "40").json
    assert {finding["about"]: finding["state"] for finding in said["findings"]} == {
        "setting": "ok",
        "caps": "ok",
        "prices": "ok",
        "budget": "note",
    }
    (coder,) = said["cache"]
    assert (coder["breakpoints"], coder["reads"]) == (["system 1 5m"], 40)
    assert coder["pays_from"] == pytest.approx(0.2778, abs=1e-4)


def test_many_runs_make_it_worth_caching_what_one_run_does_not(flow: str, call: Call):
    """The expectation is yours to state; nothing is assumed."""
    alone = call("check", f"{flow}:timed", "--json").json["cache"][0]
    assert alone["why"].startswith("switched off for this agent; what its instructions' functions say is not known")
    one = call("check", f"{flow}:flow", "--runs", "1", "--json").json["cache"][0]
    many = call("check", f"{flow}:flow", "--runs", "100", "--json").json["cache"][0]
    assert (one["reads"], many["reads"]) == (1, 100)


def test_a_long_conversation_is_advised_to_be_shortened(tmp_path: Path, call: Call):
    """Who may take a hundred turns reads them all again in each; with a compaction, who has no price is named."""
    path = tmp_path / "long_to_check.py"
    path.write_text(LONG_FLOW)
    said = call("check", f"{path}:whole")
    assert "? all that was said is read again in each turn  whole max_turns=100" in said.out
    assert "next: Agent(…, compaction=Compaction()) shortens it where that is cheaper" in said.out
    assert "✓ long conversations are shortened" in call("check", f"{path}:short").out
    assert (
        "? without a price, blind shortens before the context window is full only" in call("check", f"{path}:blind").out
    )


def test_what_would_keep_it_from_running_is_exit_code_1(flow: str, call: Call):
    """No key and no stand-in."""
    said = call("check", f"{flow}:mute")
    assert said.code == 1
    assert "✗ agent 'mute': anthropic:claude-haiku-4-5 needs a key" in said.out
    assert "next: export ANTHROPIC_API_KEY=…" in said.out


def test_a_model_without_a_price_is_noted(flow: str, call: Call):
    """Unknown is not zero."""
    said = call("check", f"{flow}:own")
    assert "? no price is known for openai-chat:nobody-knows-it" in said.out
    assert "next: put the price into outlay.toml" in said.out
