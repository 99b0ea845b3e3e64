"""`outlay check`: caps, prices, limits, and what the prompt cache will do, before anything is spent."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import pytest
from cli_support import Call

FLOW = '''
from outlay import Agent, Budget
from outlay.patterns import Debate, Judgement, Pipeline, Refine

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
panel = Debate([short, gpt], Agent("judge", "anthropic:claude-haiku-4-5", output_type=Judgement, offline=answer), 4)
mute = Agent("mute", "anthropic:claude-haiku-4-5")
slip = Agent("slip", "openai:gpt-5-minii", offline=answer)
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
        "before production: 3 of 10 hold, 3 do not, 4 not known",
        "  ✓ caps              every loop has a cap",
        "  ✓ budget            the flow itself is limited",
        "  ? time-outs         calls and tools have time-outs, the flow as a whole has no deadline of its own",
        "      next: desk: budget=Budget(seconds=60)",
        "  ✗ fallback          a run fails where anthropic is down: coder, short have nobody to go to",
        '      next: coder: fallback=["…"] of another provider, or optional=True',
        "  ✗ typed-handoffs    coder hands free text to short",
        "      next: coder: output_type= a model with the fields that short needs",
        "  ✗ checkers          what gpt says leaves the flow unchecked",
        "      next: gpt: verify=[…], of outlay.checkers or your own (output) -> None | str",
        "  ? trace-and-alerts  no run of it is stored",
        '      next: run(…, store=…, on_alert=Webhook("https://…")), or OUTLAY_WEBHOOK; outlay trace last shows a run',
        "  ✓ allow-lists       each agent has a list of tools, none of them declared to change the world",
        "  ? resumable         no run of it is stored",
        '      next: run(…, store="runs.db", run_id=…); outlay run and map do so by themselves',
        "  ? baseline          a single agent was never measured on the same cases",
        "      next: outlay compare FILE:single FLOW --dataset cases.jsonl --checker …",
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


def test_a_mistyped_model_is_asked_about(flow: str, call: Call):
    said = call("check", f"{flow}:slip")
    assert "? no price is known for openai:gpt-5-minii" in said.out
    assert "next: did you mean openai:gpt-5-mini? put the price into outlay.toml" in said.out
    assert "did you mean openai:gpt-5-mini? give it in outlay.toml" in call("forecast", f"{flow}:slip", "--n", "5").out


def test_warnings_stand_with_their_reason_and_the_line_to_change(flow: str, call: Call):
    """They do not keep a flow from running: the exit code is 0, unless --strict is given."""
    said = call("check", f"{flow}:panel")
    assert said.code == 0
    lines = said.out.splitlines()
    at = lines.index("  ! debate-rounds: debate: 2 debaters, up to 4 rounds: 15 calls, 9 with two")
    assert lines[at + 1].startswith("      money, latency: each round asks every debater again")
    assert lines[at + 2].startswith("      next: Debate(…, max_rounds=2)")
    assert call("check", f"{flow}:panel", "--strict").code == 1


def test_a_strict_check_passes_once_all_is_mended_or_silenced(flow: str, call: Call):
    """By id, or by id and node; in outlay.toml for good."""
    ids = ["judge-family:debate", "fallback", "checkers"]
    quiet = [word for one in ids for word in ("--silence", one)]
    assert call("check", f"{flow}:panel", "--strict", *quiet).code == 1
    assert call("check", f"{flow}:panel", "--strict", *quiet, "--silence", "debate-rounds").code == 0
    Path("outlay.toml").write_text('[check]\nsilence = ["debate-rounds"]\n')
    assert call("check", f"{flow}:panel", "--strict", *quiet).code == 0


def test_warnings_and_points_as_json(flow: str, call: Call):
    """One document for programs."""
    said = call("check", f"{flow}:panel", "--json", "--holds", "trace-and-alerts").json
    assert [one["id"] for one in said["warnings"]] == ["judge-family", "debate-rounds"]
    assert set(said["warnings"][0]) == {"id", "nodes", "what", "concerns", "why", "change"}
    states = {one["id"]: one["state"] for one in said["checklist"]}
    assert len(states) == 10
    assert (states["caps"], states["fallback"], states["trace-and-alerts"]) == ("pass", "fail", "pass")
    assert said["stored_runs"] == 0


def test_stored_runs_say_what_the_flow_alone_does_not(flow: str, call: Call):
    """Read if they are there, and left alone with --no-stored."""
    assert call("run", f"{flow}:short", "--input", "x", "--budget", "1").code == 0
    said = call("check", f"{flow}:short", "--json").json
    assert said["stored_runs"] == 1
    assert {one["id"]: one["state"] for one in said["checklist"]}["budget"] == "pass"
    alone = call("check", f"{flow}:short", "--json", "--no-stored").json
    assert alone["stored_runs"] == 0
    assert {one["id"]: one["state"] for one in alone["checklist"]}["budget"] == "not known"


@pytest.mark.parametrize(
    ("options", "said", "next"),
    [
        (["--silence", "debate-round"], "there is no 'debate-round'", "use debate-rounds"),
        (["--holds", "prayer"], "there is no 'prayer'", "one of caps, budget"),
        (["--expect", "short"], "--expect 'short' is not AGENT=TOKENS", "--expect reply=300"),
        (["--expect", "nobody=3"], "the flow has no agent 'nobody'", "one of short"),
        (["--store", "nowhere.db"], "there is no store at nowhere.db", "outlay demo makes one"),
    ],
)
def test_what_is_not_understood_is_said_before_anything_is_checked(
    flow: str, call: Call, options: list[str], said: str, next: str
):
    """With the word that was meant."""
    found = call("check", f"{flow}:short", *options)
    assert found.code == 2
    assert said in found.err
    assert f"next: {next}" in found.err


def test_an_expectation_on_the_command_line(flow: str, call: Call):
    """A cap far above what is needed, without a single run."""
    said = call("check", f"{flow}:short", "--expect", "short=60")
    assert "! output-cap: short: max_output_tokens=1,024, and it is expected to write 60 tokens" in said.out
    assert "next: short: max_output_tokens=150" in said.out


def test_names_and_figures_of_others_cannot_steer_the_terminal(tmp_path: Path, call: Call):
    """What a flow or a store holds is shown without its control characters."""
    path = tmp_path / "odd_flow.py"
    path.write_text(
        "from outlay import Agent\nfrom outlay.patterns import Pipeline\n"
        "a = Agent('a\\x1b[2J\\u202e', 'anthropic:claude-opus-4-8', instructions='x', offline=lambda r: 'x')\n"
        "flow = Pipeline(a, a.replace(name='b\\x07'), name='desk\\x1b]0;x\\x07')\n"
    )
    said = call("check", f"{path}:flow")
    assert "! equal-agents" in said.out
    assert not {sign for sign in said.out if sign in "\x1b\x07\u202e"}
