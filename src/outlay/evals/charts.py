"""The charts of a memo as inline SVG: two bars a panel, readable on light and on dark ground."""

from __future__ import annotations

from collections.abc import Callable
from html import escape

from outlay.analysis.text import one_line
from outlay.evals.comparison import Comparison
from outlay.evals.wording import dollars, percent, seconds

_WIDTH, _PANEL, _LABEL, _ROW = 720, 92, 150, 26
_COLOURS = ("#4a90d9", "#d98c4a")


def charts(found: Comparison) -> str:
    """Success with its interval, dollars and seconds a case with P50 and P95, A over B."""
    a, b = found.a, found.b
    sides = (a, b)
    panels: list[str] = []
    if a.share is not None and b.share is not None:
        bars = [(side.share.value, side.share.low, side.share.high) for side in sides if side.share is not None]
        panels.append(_panel("success, with its 95 % interval", bars, 1.0, percent, (a.name, b.name)))
    costs = [_spread(side.dollars_a_case, side.dollars(50), side.dollars(95)) for side in sides]
    if None not in costs:
        known = [cost for cost in costs if cost is not None]
        panels.append(_panel("dollars a case: mean, line from P50 to P95", known, None, dollars, (a.name, b.name)))
    times = [_spread(side.seconds_a_case, side.seconds(50), side.seconds(95)) for side in sides]
    known = [time for time in times if time is not None]
    panels.append(_panel("seconds a case: mean, line from P50 to P95", known, None, seconds, (a.name, b.name)))
    body = "\n".join(
        f'<g transform="translate(0 {number * _PANEL})">{panel}</g>' for number, panel in enumerate(panels)
    )
    height = len(panels) * _PANEL
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="#808080">\n'
        f"<title>{_text(f'{a.name} and {b.name}')}</title>\n{body}\n</svg>"
    )


def _spread(mean: float | None, half: float | None, most: float | None) -> tuple[float, float, float] | None:
    return None if mean is None or half is None or most is None else (mean, half, most)


def _panel(
    title: str,
    bars: list[tuple[float, float, float]],
    most: float | None,
    show: Callable[[float], str],
    names: tuple[str, str],
) -> str:
    room = _WIDTH - _LABEL - 110
    scale = room / (most or max((max(bar) for bar in bars), default=0.0) or 1.0)
    parts = [f'<text x="0" y="16" font-weight="600">{_text(title)}</text>']
    for row, (name, (value, low, high), colour) in enumerate(zip(names, bars, _COLOURS, strict=True)):
        y = 26 + row * _ROW
        middle = y + 9
        parts += [
            f'<text x="0" y="{y + 14}">{_text(one_line(name, 20))}</text>',
            f'<rect x="{_LABEL}" y="{y}" width="{max(value * scale, 1):.1f}" height="18" fill="{colour}"/>',
            f'<line x1="{_LABEL + low * scale:.1f}" x2="{_LABEL + high * scale:.1f}" y1="{middle}" y2="{middle}" '
            'stroke="#d9534a" stroke-width="2"/>',
            f'<text x="{_LABEL + max(value, high) * scale + 8:.1f}" y="{y + 14}">{_text(show(value))}</text>',
        ]
    return "".join(parts)


def _text(text: str) -> str:
    return escape(one_line(text, 80)).replace("[", "&#91;")  # in Markdown it would begin a link
