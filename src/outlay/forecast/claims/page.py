"""All claims, and the page of the documentation that is drawn from them."""

from __future__ import annotations

from collections import Counter
from itertools import groupby

from outlay.forecast.claims.claim import Claim
from outlay.forecast.claims.money import caches, cited, money, tickets
from outlay.forecast.claims.plans import compounding, plans
from outlay.forecast.claims.twelve_steps import twelve_steps

_HEAD = """# Claims

The published arithmetic of this field, recomputed: `outlay claims` prints these figures, and a test holds that this
page is fresh. Ours come out of the closed form that `outlay forecast` uses, or out of the same prices and formulas;
none is written down. A verdict is `holds` where all printed figures come out at the precision in which they are
printed, `holds only if` where that takes what is said there, and `wrong` where one does not. Where the printed figures
are not at hand it is `ours only`, and `cited` where there is nothing to compute. Rows marked "our row beside it" are
what the tables leave out. Publications are named where we know them.
"""


def all_claims() -> list[Claim]:
    """Every claim, computed now."""
    return [*twelve_steps(), *plans(), *compounding(), *caches(), *money(), *tickets(), *cited()]


def page() -> str:
    """The claims as Markdown, one table a section."""
    claims = all_claims()
    counts = Counter(claim.verdict for claim in claims)
    lines = [_HEAD, ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common()) + ".", ""]
    for section, group in groupby(claims, key=lambda claim: claim.section):
        lines += [f"## {section}", "", "| claim | source | printed | ours | verdict |", "|---|---|---|---|---|"]
        lines += [_row(claim) for claim in group]
        lines.append("")
    return "\n".join(lines)


def _row(claim: Claim) -> str:
    verdict = f"{claim.verdict} {claim.only_if}" if claim.verdict == "holds only if" else claim.verdict
    ours = "; ".join(part for part in (claim.ours, claim.note) if part)
    cells = (claim.claim, claim.source, claim.printed, ours, verdict)
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
