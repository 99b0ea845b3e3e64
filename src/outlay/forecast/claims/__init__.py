"""The published arithmetic of this field, recomputed with the code that users run."""

from outlay.forecast.claims.claim import Claim, Figure, Verdict
from outlay.forecast.claims.page import all_claims, page

__all__ = ["Claim", "Figure", "Verdict", "all_claims", "page"]
