"""What a cascade saved against its last tier alone, as the bill tells it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from outlay import Agent, run_sync
from outlay.analysis.bill import Bill
from outlay.patterns import Cascade
from outlay.testing import Reply, ScriptedModel
from outlay.values.usage import Usage

USED = Usage(1_000, 0, 0, 200)


def cascade(*replies: str, price: Any = (1, 5)) -> Agent[str]:
    cheap = ScriptedModel([Reply(reply, usage=USED) for reply in replies], name="cheap", price=price)
    strong = ScriptedModel(lambda request: Reply("good", usage=USED), name="strong", price=(10, 50))
    gate = lambda output: None if output == "good" else "not good"  # noqa: E731
    return Agent("clerk", Cascade([cheap, strong], gate))


def test_an_answer_below_the_top_saves_the_tops_price_less_its_own() -> None:
    """$0.02 for the strong one, $0.002 for the cheap one."""
    bill = run_sync(cascade("good"), "x").bill
    assert (bill.savings.cascaded, bill.savings.by_cascade) == (1, Decimal("0.018"))
    assert "cascade saved about $0.0180" in bill.render()


def test_what_was_asked_in_vain_is_what_it_cost() -> None:
    bill = run_sync(cascade("bad"), "x").bill
    assert (bill.savings.cascaded, bill.savings.by_cascade) == (1, Decimal("-0.002"))
    assert "cascade cost about $0.0020" in bill.render()


def test_bills_add_it_up() -> None:
    agent = cascade("good", "bad", "good")
    whole = Bill.merge(run_sync(agent, "x").bill for _ in range(3))
    assert (whole.savings.cascaded, whole.savings.by_cascade) == (3, Decimal("0.034"))


def test_an_unknown_price_is_not_zero() -> None:
    bill = run_sync(cascade("good", price=None), "x").bill
    assert bill.savings.by_cascade is None
    assert "cascade" not in bill.render()


def test_a_bill_without_a_cascade_says_nothing_of_one() -> None:
    bill = run_sync(Agent("clerk", ScriptedModel(["good"], price=(1, 5))), "x").bill
    assert (bill.savings.cascaded, bill.savings.by_cascade) == (0, Decimal(0))
    assert "cascade" not in bill.render()


def test_a_cascade_of_nodes_claims_nothing() -> None:
    """What the last node would have cost is not known."""
    cheap = Agent("cheap", ScriptedModel([Reply("good", usage=USED)], price=(1, 5)))
    strong = Agent("strong", ScriptedModel([Reply("good", usage=USED)], price=(10, 50)))
    bill = run_sync(Cascade([cheap, strong], lambda output: None), "x").bill
    assert (bill.savings.cascaded, bill.savings.by_cascade) == (0, Decimal(0))
