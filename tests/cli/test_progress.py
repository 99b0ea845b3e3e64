"""How a map comes along: the money that is likely to be spent."""

from decimal import Decimal

import pytest

from outlay import node
from outlay.cli.progress import Progress
from outlay.cli.tally import Tally
from outlay.events import CallFinished


@node
async def flow(x: str) -> str:
    return x


def after(rows: int, cost: str, of: int) -> Progress:
    """A map of `of` rows, `rows` of which are finished at `cost` each."""
    tally = Tally(flow)
    progress = Progress("flow", tally, rows=of)
    for n in range(rows):
        facts = {"agent": "a", "model": "m", "attempt": 1, "key": f"{n}", "cost": Decimal(cost)}
        tally.add(CallFinished(run=f"r{n}", seq=0, time=0.0, path="flow/a", **facts))
        progress.add(degraded=False, failed=False, cost=Decimal(cost))
    return progress


@pytest.mark.parametrize(
    ("cost", "likely"),
    [("0.1", "likely $10.00–10.00"), ("0.00002", "likely $0.0020–0.0020")],
)
def test_the_likely_cost_of_all_rows_has_the_digits_that_it_needs(cost, likely):
    """Cents from a dollar on; below one a hundredth of them."""
    assert likely in after(20, cost, of=100).line()


def test_nothing_is_likely_after_a_few_rows():
    """Nineteen rows say too little."""
    assert "likely" not in after(19, "0.1", of=100).line()
