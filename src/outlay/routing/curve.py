"""What a router is worth: the quality that it buys with each share of strong calls, beside what it must beat.

The measures are RouteLLM's (Ong et al. 2024, "RouteLLM: Learning to Route LLMs with Preference Data", section 3.2).
With r(c) the quality at a share c of strong calls, PGR(c) = (r(c) - r(cheap)) / (r(strong) - r(cheap)) is the part of
the gap that is recovered.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise


@dataclass(frozen=True, slots=True)
class Curve:
    """Points (share of strong calls, quality), from none to all, with straight lines between them.

    Questions that a router cannot tell apart go to the strong model in random order: that is what the lines mean.
    """

    points: Sequence[tuple[float, float]]

    @classmethod
    def of(cls, scores: Sequence[float], cheap: Sequence[float], strong: Sequence[float]) -> Curve:
        """Of a router that sends the questions with the highest scores to the strong model first."""
        n = len(scores)
        order = sorted(range(n), key=lambda i: -scores[i])
        share, quality = 0.0, math.fsum(cheap) / n
        points = [(share, quality)]
        for _, tied in groupby(order, key=lambda i: scores[i]):
            group = list(tied)
            share += len(group) / n
            quality += math.fsum(strong[i] - cheap[i] for i in group) / n
            points.append((share, quality))
        return cls(points)

    @property
    def cheap(self) -> float:
        return self.points[0][1]

    @property
    def strong(self) -> float:
        return self.points[-1][1]

    @property
    def apgr(self) -> float | None:
        """The mean of PGR(c) over all shares c from 0 to 1; None where the strong model is no better.

        RouteLLM takes the mean of ten points; this is the area under all of them. A random router has 0.5.
        """
        gap = self.strong - self.cheap
        if gap <= 0:
            return None
        area = math.fsum((c2 - c1) * (q1 + q2) / 2 for (c1, q1), (c2, q2) in pairwise(self.points))
        return (area - self.cheap) / gap

    def cpt(self, part: float) -> float | None:
        """CPT(part): the least share of strong calls that recovers this part of the gap, None without a gap."""
        gap = self.strong - self.cheap
        return self.calls_for(self.cheap + part * gap) if gap > 0 else None

    def calls_for(self, quality: float) -> float | None:
        """The least share of strong calls that reaches a quality; None where none does."""
        if self.points[0][1] >= quality - 1e-12:
            return 0.0
        for (c1, q1), (c2, q2) in pairwise(self.points):
            if q2 >= quality - 1e-12:
                return c1 + (c2 - c1) * min(1.0, (quality - q1) / (q2 - q1))
        return None

    def quality_at(self, share: float) -> float:
        """The quality at a share of strong calls."""
        i = max(1, bisect_left(self.points, (share, -math.inf)))
        (c1, q1), (c2, q2) = self.points[i - 1], self.points[min(i, len(self.points) - 1)]
        return q2 if c2 == c1 else q1 + (q2 - q1) * (share - c1) / (c2 - c1)


def oracle(cheap: Sequence[float], strong: Sequence[float]) -> Curve:
    """The best that any router could do: it knows what each model would have answered."""
    return Curve.of([s - c for c, s in zip(cheap, strong, strict=True)], cheap, strong)
