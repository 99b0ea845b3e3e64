"""One run as a task: what counts as its success, and what it cost."""

from decimal import Decimal

import pytest
from events_of import Log

from outlay.analysis.bill import Bill
from outlay.analysis.task import checks_passed, task
from outlay.events import Checked, RunFinished, RunResumed, RunStarted


def run(log: Log) -> Log:
    log.add(RunStarted, flow="desk")
    return log


def test_it_costs_what_its_bill_says():
    log = run(Log())
    log.call("router", cost="0.001")
    log.start("reply", reserved=Decimal("0.02"))
    log.add(RunFinished, stop_reason="error", seconds=3.0)
    found, bill = task(log.events), Bill.of(log.events)
    assert found is not None
    assert (found.cost, found.at_least, found.in_doubt) == (bill.total, bill.at_least, bill.in_doubt)
    assert (found.outcome, found.seconds, found.tokens, found.calls) == ("error", 3.0, 15, 2)
    assert found.failed


def test_what_is_unknown_stays_unknown():
    log = run(Log())
    log.call("router", cost=None, tokens=(None, None, None, None))
    found = task(log.events)
    assert found is not None
    assert (found.cost, found.tokens, found.at_least) == (None, None, Decimal(0))


def test_a_run_that_goes_on_is_not_over():
    log = run(Log())
    log.add(RunFinished, stop_reason="budget", seconds=1.0)
    log.add(RunResumed)
    found = task(log.events)
    assert found is not None
    assert not found.is_over
    assert found.started == 1_000.0


def test_the_end_of_a_run_whose_beginning_is_not_there_is_no_task():
    log = Log()
    log.call("router")
    assert task(log.events) is None


def checked(*checks: tuple[str, tuple[str, ...], str], calls: tuple[str, ...] = ()) -> bool | None:
    """The verdict on checks as (path, names, problem)."""
    log = Log()
    for path in calls:
        log.call("x", path=path)
    for path, names, problem in checks:
        log.add(Checked, path, agent="x", checks=names, problem=problem)
    return checks_passed(log.events)


def test_without_a_check_nobody_knows():
    assert checked() is None
    assert checked(("a", ("type",), "no JSON")) is None


def test_the_last_word_of_each_place_counts():
    """A correction that passes makes it good; in a loop the next round does."""
    assert checked(("a", ("short",), "too long"), ("a", ("short",), "")) is True
    assert checked(("r/a", ("short",), "too long"), ("r/a#2", ("short",), "")) is True
    assert checked(("a", ("short",), ""), ("b", ("cites",), "cites nothing")) is False
    assert checked(("f/a[0]", ("short",), "too long"), ("f/a[1]", ("short",), "")) is False


def test_the_opinion_of_a_model_is_no_check():
    """A gate whose critic is an agent: it was called right below."""
    assert checked(("gate", ("critic",), ""), calls=("gate/critic",)) is None
    assert checked(("gate", ("critic",), "dull"), calls=("gate/critic#2",)) is None
    assert checked(("gate", ("short", "critic"), ""), calls=("gate/critic",)) is True
    assert checked(("gate", ("crit",), "no"), calls=("gate/critic",)) is False


@pytest.mark.parametrize("outcome", ["", "approval", "cancelled"])
def test_what_may_go_on_is_not_over(outcome: str):
    log = run(Log())
    if outcome:
        log.add(RunFinished, stop_reason=outcome, seconds=1.0)
    found = task(log.events)
    assert found is not None
    assert not found.is_over
