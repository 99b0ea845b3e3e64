"""The histograms of a forecast as SVG."""

from __future__ import annotations

from collections.abc import Callable
from xml.sax.saxutils import escape

from outlay.forecast.figures import Range
from outlay.forecast.foresight import Forecast
from outlay.forecast.render import dollars

_WIDTH, _HEIGHT, _GAP, _TOP = 360, 140, 40, 56


def histograms(found: Forecast) -> str:
    """Dollars and seconds beside each other, with P5, P50 and P95 marked. Readable on light and on dark ground."""
    panels: list[tuple[str, Range, Callable[[float], str]]] = [("seconds", found.seconds, _seconds)]
    if found.dollars is not None:
        panels.insert(0, ("dollars", found.dollars, dollars))
    width = len(panels) * (_WIDTH + _GAP) + _GAP
    body = [_panel(_GAP + i * (_WIDTH + _GAP), *panel) for i, panel in enumerate(panels)]
    title = escape(f"{found.flow}: {found.runs:,} simulated runs")
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {_HEIGHT + _TOP + 48}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="12" fill="#808080">\n<title>{title}</title>\n'
        f'<text x="{_GAP}" y="24" font-size="15">{title}</text>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _panel(left: int, name: str, found: Range, show: Callable[[float], str]) -> str:
    most = max(found.bins) or 1
    step = _WIDTH / len(found.bins)
    base = _TOP + _HEIGHT
    parts = [f'<text x="{left}" y="{_TOP - 10}">{name}</text>']
    for i, count in enumerate(found.bins):
        height = _HEIGHT * count / most
        parts.append(
            f'<rect x="{left + i * step:.1f}" y="{base - height:.1f}" width="{step - 2:.1f}" height="{height:.1f}" '
            f'fill="#4a90d9"/>'
        )
    span = found.most - found.least or 1.0
    for row, (label, value) in enumerate((("P5", found.p5), ("P50", found.p50), ("P95", found.p95))):
        x = left + min(1.0, (value - found.least) / span) * _WIDTH
        parts.append(f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{base}" stroke="#d9534a"/>')
        parts.append(f'<text x="{left + row * _WIDTH / 3:.1f}" y="{base + 20}">{label} {escape(show(value))}</text>')
    return "\n".join(parts)


def _seconds(value: float) -> str:
    return f"{value:.1f} s"
