"""The charts of a memo: as SVG for a page, and in characters for Markdown, which hosts strip of pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from outlay.analysis.text import one_line
from outlay.evals.comparison import Comparison
from outlay.evals.wording import dollars, percent, seconds

_WIDTH, _PANEL, _LABEL, _ROW = 720, 92, 150, 26
_COLOURS = ("#4a90d9", "#d98c4a")
#: Characters of the longest bar in text, and what a bar ends with: eighths of a character.
_CHARACTERS, _EIGHTHS = 32, " ▏▎▍▌▋▊▉"
#: Signs that mean something in Markdown are drawn as others.
_HARMLESS = str.maketrans("<>`[]", "‹›'()")


@dataclass(frozen=True, slots=True)
class Panel:
    """One figure of both sides, A over B: its value and the two ends of a line across it. `most` is the end of the
    scale, None for the largest of these.
    """

    title: str
    bars: tuple[tuple[float, float, float], ...]
    most: float | None
    show: Callable[[float], str]

    def length(self, value: float, room: float) -> float:
        """How long a bar is, where the longest has so much room."""
        return room * value / (self.most or max((max(bar) for bar in self.bars), default=0.0) or 1.0)


def panels(found: Comparison) -> list[Panel]:
    """Success with its interval, dollars and seconds a case with P50 and P95, as far as they are known."""
    sides = (found.a, found.b)
    shares = tuple((side.share.value, side.share.low, side.share.high) for side in sides if side.share is not None)
    costs = [_spread(side.dollars_a_case, side.dollars(50), side.dollars(95)) for side in sides]
    times = [_spread(side.seconds_a_case, side.seconds(50), side.seconds(95)) for side in sides]
    all_of_them = (
        Panel("success, with its 95 % interval", shares, 1.0, percent),
        Panel("dollars a case: mean, line from P50 to P95", _known(costs), None, dollars),
        Panel("seconds a case: mean, line from P50 to P95", _known(times), None, seconds),
    )
    return [panel for panel in all_of_them if len(panel.bars) == len(sides)]


def svg(found: Comparison) -> str:
    """For a page: two bars a panel, readable on light and on dark ground."""
    drawn = panels(found)
    body = "\n".join(
        f'<g transform="translate(0 {number * _PANEL})">{_drawn(panel, found)}</g>'
        for number, panel in enumerate(drawn)
    )
    height = len(drawn) * _PANEL
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="13" fill="#808080">\n'
        f"<title>{_text(f'{found.a.name} and {found.b.name}')}</title>\n{body}\n</svg>"
    )


def text(found: Comparison) -> str:
    """The same in characters, for Markdown: a code block, since almost no host shows a picture inside of the text."""
    names = [one_line(side.name, 20).translate(_HARMLESS) for side in (found.a, found.b)]
    width = max(map(len, names))
    lines: list[str] = []
    for panel in panels(found):
        lines += ["", panel.title.replace("line from ", "")]
        for name, (value, low, high) in zip(names, panel.bars, strict=True):
            eighths = round(8 * panel.length(value, _CHARACTERS))
            bar = ("█" * (eighths // 8) + _EIGHTHS[eighths % 8]).strip() or _EIGHTHS[1]
            ends = f"{panel.show(low)} … {panel.show(high)}"
            lines.append(f"{name:<{width}}  {bar:<{_CHARACTERS}}  {panel.show(value)} ({ends})")
    return "\n".join(f"    {line}".rstrip() for line in lines[1:])


def _known(spreads: Sequence[tuple[float, float, float] | None]) -> tuple[tuple[float, float, float], ...]:
    return tuple(spread for spread in spreads if spread is not None)


def _spread(mean: float | None, half: float | None, most: float | None) -> tuple[float, float, float] | None:
    return None if mean is None or half is None or most is None else (mean, half, most)


def _drawn(panel: Panel, found: Comparison) -> str:
    room = _WIDTH - _LABEL - 110
    parts = [f'<text x="0" y="16" font-weight="600">{_text(panel.title)}</text>']
    names = (found.a.name, found.b.name)
    for row, (name, bar, colour) in enumerate(zip(names, panel.bars, _COLOURS, strict=True)):
        value, low, high = (panel.length(one, room) for one in bar)
        y = 26 + row * _ROW
        middle = y + 9
        parts += [
            f'<text x="0" y="{y + 14}">{_text(one_line(name, 20))}</text>',
            f'<rect x="{_LABEL}" y="{y}" width="{max(value, 1):.1f}" height="18" fill="{colour}"/>',
            f'<line x1="{_LABEL + low:.1f}" x2="{_LABEL + high:.1f}" y1="{middle}" y2="{middle}" '
            'stroke="#d9534a" stroke-width="2"/>',
            f'<text x="{_LABEL + max(value, high) + 8:.1f}" y="{y + 14}">{_text(panel.show(bar[0]))}</text>',
        ]
    return "".join(parts)


def _text(text: str) -> str:
    return escape(one_line(text, 80))
