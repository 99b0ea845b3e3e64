"""Escalations: what cascades did, from events."""

from decimal import Decimal

import pytest

from outlay import Agent, run_sync
from outlay.analysis.escalation import EscalationFold, escalations
from outlay.errors import Overloaded
from outlay.patterns import Cascade, FanOut
from outlay.testing import ScriptedModel, virtual_time


def model(name, cents, seconds, answer):
    return ScriptedModel(answer, name=name, price=(cents * 10_000, 0), latency=seconds)


def flow(*, nodes=False):
    """The cheap model knows even numbers, the strong one all but 9; a question is one token."""

    def gate(text):
        return None if text == "sure" else "not sure"

    cheap = model("cheap", 1, 1.0, lambda r: "sure" if int(r.text) % 2 == 0 else "?")
    strong = model("strong", 10, 4.0, lambda r: "sure" if int(r.text) != 9 else "?")
    if nodes:
        return Cascade([Agent("cheap", cheap), Agent("strong", strong)], gate, name="c")
    return Agent("c", Cascade([cheap, strong], gate))


def folded(flow, inputs):
    with virtual_time():
        (found,) = run_sync(FanOut(flow), inputs).escalations
    return found


@pytest.mark.parametrize("nodes", [False, True], ids=["models", "nodes"])
def test_each_tier_is_counted_by_how_its_turns_ended(nodes):
    found = folded(flow(nodes=nodes), [str(i) for i in range(10)])
    assert (found.path, found.turns) == ("fanout/c", 10)
    assert [(t.asked, t.passed, t.refused, t.failed) for t in found.tiers] == [(10, 5, 5, 0), (5, 4, 1, 0)]
    assert (found.to_top, found.top_failures) == (0.5, pytest.approx(0.2))
    assert [t.usd for t in found.tiers] == [Decimal("0.10"), Decimal("0.50")]


@pytest.mark.parametrize("nodes", [False, True], ids=["models", "nodes"])
def test_a_turn_costs_and_takes_what_all_its_tiers_did(nodes):
    found = folded(flow(nodes=nodes), [str(i) for i in range(10)])
    assert (found.cost(50), found.cost(95)) == (0.01, 0.11)
    assert (found.latency(50), found.latency(95)) == (pytest.approx(1.0), pytest.approx(5.0))


def test_it_stops_paying_where_the_cheap_calls_are_dearer_than_what_they_save():
    """A cent below the top in each turn, ten at the top: up to 90 % may come there."""
    assert folded(flow(), ["1", "2"]).stops_paying_at == pytest.approx(0.9)
    assert folded(flow(), ["2", "4"]).stops_paying_at is None  # nothing is known of the top


def test_a_top_tier_that_fails_is_counted_apart():
    down = ScriptedModel([Overloaded("busy", retryable=False)], name="strong", price=(1, 1))
    agent = Agent("c", Cascade([model("cheap", 1, 0, lambda r: "?"), down], lambda text: "no"))
    (found,) = escalations(run_sync(agent, "1").events)
    assert (found.tiers[1].asked, found.tiers[1].failed, found.top_failures) == (1, 1, 1.0)


def test_an_unpriced_tier_leaves_the_cost_unknown():
    cheap = ScriptedModel(lambda r: "?", name="cheap")
    agent = Agent("c", Cascade([cheap, model("strong", 1, 0, lambda r: "yes")], lambda t: None if t == "yes" else t))
    (found,) = escalations(run_sync(agent, "1").events)
    assert (found.tiers[0].usd, found.cost(50), found.stops_paying_at) == (None, None, None)


def test_more_than_the_shares_that_are_fine_is_an_alert_from_twenty_turns_on():
    odd = [str(i) for i in range(1, 60, 2)]
    assert folded(flow(), odd[:19]).alerts == ()
    assert folded(flow(), odd).alerts == (
        "fanout/c: 100 % of the turns came to the top tier, more than 30 %",
        "fanout/c: at 100 % to the top it no longer pays; it does up to 90 %",
    )
    (failing,) = folded(flow(), ["9"] * 6 + [str(i) for i in range(0, 40, 2)]).alerts
    assert failing == "fanout/c: the top tier did not settle 100 %, more than 20 %"


def test_a_turn_is_counted_once_however_often_it_is_told():
    """A resumed run says again what it decided."""
    with virtual_time():
        events = run_sync(flow(), "1").events
    fold = EscalationFold()
    for event in (*events, *events):
        fold.add(event)
    (found,) = fold.escalations()
    assert (found.turns, found.tiers[0].asked, found.tiers[0].usd) == (1, 1, Decimal("0.01"))
