"""The designs of a frontier as a scatter plot in SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

from outlay.analysis.text import one_line
from outlay.forecast.frontier.choosing import Measured
from outlay.forecast.frontier.search import Frontier
from outlay.forecast.render import dollars
from outlay.values.percent import percent

_WIDTH, _HEIGHT, _LEFT, _TOP, _ROW = 640, 360, 90, 56, 20
#: From here on an axis counts in factors: what is far apart would else be a heap in a corner.
_FACTOR = 5.0


def scatter(found: Frontier) -> str:
    """Dollars to the right, seconds upwards, the better success the fuller the point; what nothing beats is numbered
    as in the table below the plot, the flow as it stands has a ring. Readable on light and on dark ground.
    """
    points = list(found.measured)
    x, y = _axis([one.dollars for one in points]), _axis([one.seconds for one in points])
    least = min(one.success for one in points)
    span = max(one.success for one in points) - least or 1.0
    title = escape(f"{found.flow}: {len(points):,} designs")
    parts = [f"<title>{title}</title>", f'<text x="{_LEFT}" y="28" font-size="15">{title}</text>', *_frame(points)]
    numbers = {one.design.picks: i for i, one in enumerate(found.best, 1)}
    for one in points:
        left, top = _LEFT + x(one.dollars) * _WIDTH, _TOP + (1 - y(one.seconds)) * _HEIGHT
        opacity = 0.25 + 0.75 * (one.success - least) / span
        colour, radius = ("#d9534a", 6) if one.design.picks in numbers else ("#4a90d9", 4)
        says = escape(
            f"{dollars(one.dollars)}, {one.seconds:.1f} s, {percent(one.success, 1)}: {one_line(str(one.design), 300)}"
        )
        parts.append(
            f'<circle cx="{left:.1f}" cy="{top:.1f}" r="{radius}" fill="{colour}" fill-opacity="{opacity:.2f}">'
            f"<title>{says}</title></circle>"
        )
        if one.design.is_base:
            parts.append(f'<circle cx="{left:.1f}" cy="{top:.1f}" r="10" fill="none" stroke="#808080"/>')
        if one.design.picks in numbers:
            parts.append(f'<text x="{left + 9:.1f}" y="{top - 7:.1f}">{numbers[one.design.picks]}</text>')
    rows = [
        f"{i}  {dollars(one.dollars)}   {one.seconds:.1f} s   {percent(one.success, 1)}   "
        f"{one_line(one.design.label, 80)}"
        for i, one in enumerate(found.best, 1)
    ]
    under = _TOP + _HEIGHT + 56
    parts += [f'<text x="{_LEFT}" y="{under + i * _ROW}">{escape(row)}</text>' for i, row in enumerate(rows)]
    height = under + len(rows) * _ROW + 10
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_LEFT + _WIDTH + 40} {height}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#808080">\n' + "\n".join(parts) + "\n</svg>\n"
    )


def _frame(points: Sequence[Measured]) -> list[str]:
    base = _TOP + _HEIGHT
    spent, took = [one.dollars for one in points], [one.seconds for one in points]
    return [
        f'<path d="M{_LEFT} {_TOP}V{base}H{_LEFT + _WIDTH}" fill="none" stroke="#808080"/>',
        f'<text x="{_LEFT}" y="{base + 18}">{escape(dollars(min(spent)))}</text>',
        f'<text x="{_LEFT + _WIDTH}" y="{base + 18}" text-anchor="end">{escape(dollars(max(spent)))} a run</text>',
        f'<text x="{_LEFT - 8}" y="{base}" text-anchor="end">{min(took):,.1f} s</text>',
        f'<text x="{_LEFT - 8}" y="{_TOP + 10}" text-anchor="end">{max(took):,.1f} s</text>',
        f'<text x="{_LEFT - 8}" y="{_TOP + 26}" text-anchor="end">P95</text>',
    ]


def _axis(values: Sequence[float]) -> Axis:
    return Axis(min(values), max(values))


class Axis:
    """From a value to its place between 0 and 1; in factors where the largest is many times the smallest."""

    def __init__(self, least: float, most: float) -> None:
        self._factors = least > 0 and most / least > _FACTOR
        self._least, self._most = self._scaled(least), self._scaled(most)

    def __call__(self, value: float) -> float:
        span = self._most - self._least
        return (self._scaled(value) - self._least) / span if span else 0.5

    def _scaled(self, value: float) -> float:
        return math.log(value) if self._factors else value
