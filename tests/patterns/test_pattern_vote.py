"""Vote: the same question several times, and what most answers say."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from outlay import Agent, Budget, RunContext, node, run_sync
from outlay.errors import BudgetExceeded, ConfigError, DeadlineExceeded, OutlayError, Overloaded
from outlay.patterns import FanOut, Pipeline, Refine, Router, Vote
from outlay.testing import Reply, ScriptedModel, virtual_time


def busy():
    return Overloaded("busy", retryable=False)


def sampler(*answers, latency=0.0, **options):
    """Sample i says `answers[i]`, after `latency` seconds, or after its own where that is a list."""
    model = ScriptedModel(list(answers), latency=latency, price=(1, 1))
    return Agent("solver", model, **options)


def told(*script):
    """A worker whose sample i answers what stands in `script[i]`: (seconds, answer)."""

    @node
    async def worker(ctx: RunContext, _: Any) -> Any:
        seconds, answer = script[int(ctx.path.rpartition("[")[2][:-1])]
        await ctx.sleep(seconds)
        if isinstance(answer, Exception):
            raise answer
        return answer

    return worker


def facts(result):
    return result.facts["vote"]


# ── the winner ────────────────────────────────────────────────────────────────────────────────────────────


def test_most_votes_win():
    """And the facts say by how much."""
    result = run_sync(Vote(sampler("7", "8", "7", "9", "7"), 5), "3 + 4?")
    assert (result.unwrap(), result.degraded) == ("7", False)
    assert facts(result) == {
        "votes": {"7": 3, "8": 1, "9": 1},
        "winner": "7",
        "margin": 2,
        "agreement": 0.6,
        "asked": 5,
        "saved": 0,
    }


def test_the_key_says_what_counts_as_the_same():
    """The output is the first with the winning key, as it was given."""
    flow = Vote(sampler("it is 8", "so: 7", "7!", "the answer is 7"), 4, key=lambda text: text.strip("!")[-1])
    result = run_sync(flow, "3 + 4?")
    assert result.unwrap() == "so: 7"
    assert facts(result)["votes"] == {"7": 3, "8": 1}


def test_a_key_may_be_async_and_ask_for_the_context():
    """The one context rule."""

    async def last_word(ctx: RunContext, text: str) -> str:
        return f"{ctx.input}: {text.split()[-1]}"

    assert facts(run_sync(Vote(sampler("a 1", "b 1"), 2, last_word), "q"))["winner"] == "q: 1"


def test_keys_that_python_cannot_hash_are_compared_by_their_json():
    """Structured outputs need no key of their own."""

    class Point(BaseModel):
        x: int
        tags: list[str] = []

    flow = Vote(sampler(Point(x=1), Point(x=2), Point(x=1), output_type=Point), 3)
    result = run_sync(flow, "where?")
    assert result.unwrap() == Point(x=1)
    assert facts(result)["winner"] == '{"tags": [], "x": 1}'
    assert facts(run_sync(Vote(sampler("a", "b"), 2, key=lambda text: [1, {"b": 2}]), "q"))["agreement"] == 1.0


def test_of_equals_the_lowest_sample_number_wins_whoever_is_faster():
    """Latency is luck; the number is not."""
    assert run_sync(Vote(told((9, "a"), (1, "b"), (1, "b"), (9, "a")), 4), "q").unwrap() == "a"


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from(["a", "b", "c", None])), min_size=1, max_size=9),
    st.booleans(),
)
def test_the_winner_is_that_of_all_samples(script, early_stop):
    """Whatever the latencies and failures, with early stop or without: no sample left out could have changed it. It
    takes as long as the slowest sample where all start at once, and else at most n/2 of them in a row.
    """
    given = [(seconds, busy() if answer is None else answer) for seconds, answer in script]
    said = [answer for _, answer in script if answer is not None]
    with virtual_time() as clock:
        result = run_sync(Vote(told(*given), len(script), early_stop=early_stop), "q")
    if not said:
        assert isinstance(result.error, Overloaded)
        return
    assert result.unwrap() == max(dict.fromkeys(said), key=said.count)
    slowest = max(seconds for seconds, _ in script)
    if early_stop:
        assert clock.elapsed <= slowest * max(1, (len(script) + 1) // 2)
    else:
        assert (clock.elapsed, facts(result)["asked"]) == (slowest, len(script))


def test_agreement_of_all_is_reported():
    """1.0 says that the samples did not vary, or that there was nothing to vote on."""
    result = run_sync(Vote(sampler("7", "7", "7"), 3, early_stop=False), "q")
    assert (facts(result)["agreement"], facts(result)["margin"]) == (1.0, 3)


def test_one_sample_is_a_vote():
    """It wins."""
    assert run_sync(Vote(sampler("7"), 1), "q").unwrap() == "7"


def test_long_keys_are_shown_by_their_beginning_and_stay_apart():
    """The facts are for reading."""
    result = run_sync(Vote(sampler("x" * 200 + "1", "x" * 200 + "2", "x" * 200 + "1"), 3), "q")
    assert list(facts(result)["votes"].values()) == [2, 1]
    assert all(len(text) <= 90 for text in facts(result)["votes"])


# ── early stop ────────────────────────────────────────────────────────────────────────────────────────────


def test_no_sample_asks_for_summary_that_is_not_needed():
    """Where the first majority agrees the rest is saved, in the time of one sample."""
    agent = sampler(*["7"] * 9, latency=3)
    with virtual_time() as clock:
        result = run_sync(Vote(agent, 9), "q")
    assert (result.unwrap(), len(agent.model.calls), clock.elapsed) == ("7", 5, 3)
    assert (facts(result)["asked"], facts(result)["saved"]) == (5, 4)
    assert sum(line.calls for line in result.bill.lines) == 5


def test_where_answers_disagree_one_more_asks_for_summary_at_once():
    """It does not wait for the slowest of those under way."""
    flow = Vote(told((1, "a"), (1, "b"), (5, "a"), (1, "a"), (1, "z")), 5)
    with virtual_time() as clock:
        result = run_sync(flow, "q")
    assert (result.unwrap(), clock.elapsed, facts(result)["saved"]) == ("a", 5, 1)


def test_without_early_stop_all_start_at_once():
    """As long as the slowest."""
    flow = Vote(told((1, "a"), (2, "a"), (3, "a"), (9, "b"), (4, "a")), 5, early_stop=False)
    with virtual_time() as clock:
        result = run_sync(flow, "q")
    assert (clock.elapsed, facts(result)["votes"], facts(result)["saved"]) == (9, {"a": 4, "b": 1}, 0)


def test_two_that_lead_together_are_not_settled():
    """A rest that could tie is asked for: two of four are no majority."""
    agent = sampler("a", "a", "b", "b")
    assert run_sync(Vote(agent, 4), "q").unwrap() == "a"
    assert len(agent.model.calls) == 4


# ── what fails, and where it stops ────────────────────────────────────────────────────────────────────────


def test_a_failed_sample_is_left_out():
    """The others decide; the result is degraded and says why."""
    result = run_sync(Vote(sampler("a", busy(), "b", "b"), 4), "q")
    assert (result.output, result.stop_reason, result.degraded) == ("b", "completed", True)
    assert [(part.path, type(part.error)) for part in result.skipped] == [("vote/solver[1]", Overloaded)]


def test_samples_own_turn_limit_is_its_own():
    """It is left out; the run reports it."""
    loop = Reply(tool_calls=[("noop", {})])

    def noop() -> str:
        return ""

    agent = sampler(loop, "b", "b", loop, tools=[noop], max_turns=2)
    model = ScriptedModel(lambda r: loop if r.path.endswith("[0]") else "b")
    result = run_sync(Vote(agent.replace(model=model), 3), "q")
    assert (result.output, result.stop_reason) == ("b", "turn_limit")


def test_with_none_left_the_first_error_is_raised():
    """The first by sample number."""
    result = run_sync(Vote(told((3, busy()), (1, ValueError("late")), (2, busy())), 3), "q")
    assert isinstance(result.error, Overloaded)
    assert len(result.skipped) == 3


def test_a_key_that_raises_leaves_its_ballot_out():
    """The reason names the key function."""

    def number(text: str) -> int:
        return int(text)

    result = run_sync(Vote(sampler("7", "seven", "7", "8"), 4, number), "q")
    assert (result.output, result.degraded) == ("7", True)
    assert [part.path for part in result.skipped] == ["vote/solver[1]"]
    assert "number raised" in result.skipped[0].reason


def test_a_key_that_always_raises_is_named():
    """What was paid for is on the bill; the error says which function to mend."""

    def number(text: str) -> int:
        return int(text)

    result = run_sync(Vote(sampler("x", "y", "z"), 3, number), "q")
    assert isinstance(result.error, ConfigError)
    assert "number" in str(result.error)
    assert "ValueError" in str(result.error)
    assert sum(line.calls for line in result.bill.lines) == 3


def test_a_key_without_json_leaves_its_ballot_out():
    """A circle can neither be hashed nor compared."""
    circle: list[Any] = []
    circle.append(circle)
    result = run_sync(Vote(told((0, "a"), (0, "b"), (0, "a")), 3, lambda x: circle if x == "b" else x), "q")
    assert (result.output, len(result.skipped)) == ("a", 1)


@pytest.mark.parametrize("early_stop", [True, False])
@pytest.mark.parametrize(("calls", "output"), [(0, None), (1, "a"), (2, "a"), (3, "a"), (4, "b")])
def test_a_budget_stop_leaves_the_leader_so_far(calls, output, early_stop):
    """With one ballot there is a leader; the reason is the budget."""
    flow = Vote(sampler("a", "b", "a", "b", "b", "b", "b"), 7, key=str, early_stop=early_stop)
    result = run_sync(flow, "q", budget=Budget(calls=calls))
    assert (result.stop_reason, result.degraded) == ("budget", True)
    assert isinstance(result.error, BudgetExceeded)
    assert result.output == ("a" if calls == 4 else output)
    assert sum(facts(result)["votes"].values()) == calls


def test_a_stop_that_could_not_change_the_winner_does_not_end_the_flow():
    """Three of five agree before the budget ends: the answer is settled, the run says what it hit."""
    flow = Vote(sampler("a", "a", "a", "b", "c"), 5, early_stop=False)
    result = run_sync(Pipeline(flow, len), "q", budget=Budget(calls=3))
    assert (result.output, result.stop_reason, result.error) == (1, "budget", None)


def test_money_is_never_overshot():
    """Samples wait for one another's reservations; the limit holds."""
    agent = sampler(*["a", "b"] * 8, max_output_tokens=100)
    result = run_sync(Vote(agent, 16, early_stop=False), "q", budget=Budget(usd="0.0004"))
    assert result.bill.total + result.bill.in_doubt <= Decimal("0.0004")
    assert result.output in ("a", None)


@pytest.mark.parametrize(("seconds", "output"), [(1, None), (3, "b"), (5, "b"), (7, "a")])
def test_a_deadline_leaves_the_leader_so_far(seconds, output):
    """What came in by then is counted."""
    flow = Vote(told((6, "a"), (2, "b"), (4, "b"), (6, "a"), (6, "a"), (9, "c"), (9, "c")), 7, early_stop=False)
    result = run_sync(flow, "q", budget=Budget(seconds=seconds))
    assert (result.output, result.stop_reason) == (output, "deadline")
    assert isinstance(result.error, DeadlineExceeded)
    assert sum(facts(result)["votes"].values()) == sum(s < seconds for s in (6, 2, 4, 6, 6, 9, 9))


def test_an_optional_worker_that_is_skipped_casts_no_ballot():
    """An input is no answer to itself."""
    result = run_sync(Vote(sampler(busy(), "a", "a", optional=True), 3), "q")
    assert (result.output, facts(result)["votes"]) == ("a", {"a": 2})
    none = run_sync(Vote(sampler(busy(), busy(), optional=True), 2), "q")
    assert (none.output, type(none.error)) == (None, OutlayError)


def test_a_sample_that_waits_for_a_human_suspends_the_vote():
    """The others go on; the run waits for the one whose word is still needed, and asks for no other in its place."""

    @node
    async def asks(ctx: RunContext, _: str) -> str:
        return await ctx.ask("which?") if ctx.path.endswith("[0]") else "a"

    result = run_sync(Vote(asks, 3), "q")
    assert (result.stop_reason, len(result.pending), facts(result)["asked"]) == ("approval", 1, 2)
    assert run_sync(Vote(asks, 3), "q", on_ask=lambda item: "a").unwrap() == "a"


def test_an_agents_own_budget_is_one_for_all_samples():
    """As everywhere."""
    result = run_sync(Vote(sampler("a", "b", "b", budget=Budget(calls=2)), 3), "q")
    assert (result.output, result.stop_reason) == ("a", "budget")


# ── with others ───────────────────────────────────────────────────────────────────────────────────────────


def test_a_vote_in_other_patterns_and_other_patterns_in_a_vote():
    """It is a node like any other, and takes any."""
    with virtual_time() as clock:
        items = FanOut(Vote(told((2, "a"), (3, "a")), 2))
        assert run_sync(items, ["x", "y", "z"]).unwrap() == ["a"] * 3
    assert clock.elapsed == 3
    piped = Pipeline(Vote(sampler("7", "8", "7"), 3), lambda text: int(text), Vote(lambda x: x + 1, 3, name="again"))
    assert run_sync(piped, "q").unwrap() == 8
    refined = Refine(Vote(sampler("a", "b", "b"), 3), lambda text: None if text == "b" else "no")
    assert run_sync(refined, "q").unwrap() == "b"
    routed = Vote(Router(sampler("x", "x"), {"x": str.upper}, default=str.lower), 2)
    assert run_sync(routed, "q").unwrap() == "Q"
    assert run_sync(Vote(Vote(sampler(*"aabab"), 3, name="inner"), 2), "q").unwrap() == "a"


def test_budget_option_optional_and_replace():
    """They hold for the vote as a whole."""
    flow = Vote(sampler(*"abcdefgh"), 5, budget=Budget(calls=2))
    assert (run_sync(flow, "q").output, run_sync(flow.replace(n=1), "q").output) == ("a", "c")
    skipped = Vote(sampler(busy(), busy(), busy()), 3, optional=True)
    assert run_sync(Pipeline(skipped, len), "go").output == 2


@pytest.mark.parametrize(
    "wrong",
    [{"worker": 42}, {"n": 0}, {"n": -1}, {"n": 2.5}, {"n": True}, {"n": "3"}, {"key": "text"}],
    ids=str,
)
def test_what_cannot_work_is_refused_when_it_is_made(wrong):
    """A ConfigError, before anything is spent."""
    with pytest.raises(ConfigError):
        Vote(**({"worker": len, "n": 3} | wrong))
