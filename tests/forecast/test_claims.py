"""Claims: every figure is computed, the verdict follows from it, and the page is fresh."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlay.forecast.claims import Claim, Figure, all_claims, page
from outlay.values.usage import Usage

CLAIMS = {claim.claim: claim for claim in all_claims()}


def test_the_page_is_fresh():
    """`outlay claims --markdown > docs/claims.md` after a change."""
    assert (Path(__file__).parents[2] / "docs" / "claims.md").read_text("utf-8") == page()


@pytest.mark.parametrize(
    ("claim", "verdict"),
    [
        ("single premium call", "holds"),
        ("twelve in a row", "holds"),
        ("twelve at once", "holds"),
        ("routed: 4 premium, 8 small", "holds only if"),
        ("six of twelve cached", "holds only if"),
        ("each of twelve retried once", "holds only if"),
        ("six steps", "holds"),
        ("combined: six steps, routed, cached, at once, retried", "holds only if"),
        ("30 calls at 0.985 fail one time in seven", "wrong"),
        ("five voters in parallel take five times as long", "wrong"),
        ("a cached prefix of 30K tokens used 20 times saves 90 %", "wrong"),
        ("100 developers, 3 such sessions on 200 days", "wrong"),
        ("tiering to two large and three middle calls saves 60 to 80 %", "wrong"),
    ],
)
def test_verdicts(claim: str, verdict: str):
    assert CLAIMS[claim].verdict == verdict


def test_our_own_rows_hold():
    """The rows that we put beside the tables come out as the issue that asked for them has them."""
    ours = [claim for claim in CLAIMS.values() if claim.source == "our row beside it"]
    assert len(ours) == 8
    assert [claim.claim for claim in ours if claim.verdict not in ("holds", "holds only if")] == []


def test_a_verdict_follows_from_the_figures():
    def verdict(*figures: Figure, only_if: str = "") -> str:
        return Claim("", "", "", figures, only_if).verdict

    assert verdict(Figure("", 83.41, 83.4141, 2)) == "holds"
    assert verdict(Figure("", 83.41, 83.4141, 2), only_if="retries are free") == "holds only if"
    assert verdict(Figure("", 83.41, 83.42, 2), only_if="retries are free") == "wrong"
    assert verdict(Figure("", 83.41, None, 2)) == "cited"
    assert verdict(Figure("", None, 83.41, 2)) == "ours only"
    assert verdict() == "cited"


def test_the_ticket_table_is_the_price_books():
    """One small call and two middle ones, 1,000 tokens in and 150 out, at today's list prices; volumes are ours."""
    from outlay.forecast.claims.money import TICKET_MODELS, ticket
    from outlay.models.naming import resolve
    from outlay.runtime.directory import default_prices

    small, middle = (resolve(model).price(default_prices()) for model in TICKET_MODELS)
    assert small is not None
    assert middle is not None
    usage = Usage(input_tokens=1_000, output_tokens=150)
    assert ticket().dollars == pytest.approx(float(small.cost(usage) + 2 * middle.cost(usage)))
    claim = CLAIMS["a month of tickets, one small and two middle calls each, at list prices"]
    assert (claim.verdict, [figure.printed for figure in claim.figures]) == ("ours only", [None] * 4)
    assert claim.figures[3].ours == pytest.approx(1_000_000 * ticket().dollars)
