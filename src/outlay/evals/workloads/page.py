"""A report as one HTML file: no script, nothing from elsewhere, light and dark. Names are other people's words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from html import escape

from outlay.analysis.text import one_line
from outlay.evals.wording import dollars, percent, seconds
from outlay.evals.workloads import words
from outlay.evals.workloads.reading import Report
from outlay.evals.workloads.workload import Window, Workload
from outlay.values.counted import counted

_STYLE = """
:root{color-scheme:light dark;--ink:#1f2328;--soft:#59636e;--line:#d1d9e0;--ground:#fff;--bar:#0072b2;--old:#b8c2cc;
--alert:#b34700;--tint:#fff4e8}
@media(prefers-color-scheme:dark){:root{--ink:#e6edf3;--soft:#9aa4af;--line:#3d444d;--ground:#12161c;--bar:#56b4e9;
--old:#4a5563;--alert:#ffb077;--tint:#2b2017}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);max-width:64rem;margin:2.5rem auto;
padding:0 1.25rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2.25rem 0 .4rem;overflow-wrap:anywhere}
p{margin:.25rem 0}.soft{color:var(--soft)}
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;margin:.9rem 0}
th,td{text-align:right;padding:.35rem 0 .35rem 1rem;border-bottom:1px solid var(--line);white-space:nowrap}
th{font-weight:600;color:var(--soft)}th:first-child,td:first-child{text-align:left;padding-left:0;white-space:normal;
min-width:8rem;overflow-wrap:anywhere}
.turn{color:var(--soft);font-size:.85rem;display:block}
.alerts{list-style:none;padding:.7rem 1rem;margin:1.2rem 0;background:var(--tint);border-left:3px solid var(--alert)}
.alerts b{color:var(--alert)}
figure{margin:.6rem 0 0}figcaption{color:var(--soft);font-size:.85rem}
svg{width:100%;height:7rem;display:block;margin-top:.3rem}
.now{fill:var(--bar)}.was{fill:var(--old)}.axis{stroke:var(--line)}
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_WIDTH, _HEIGHT = 720, 100


def as_html(report: Report) -> str:
    title = f"Outlay report, {report.period.length}"
    body = "\n".join(_body(report))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n<title>{_text(title)}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


def _body(report: Report) -> Iterator[str]:
    shown = [one for one in report.workloads if one.now.tasks]
    yield f"<h1>What {report.period.length} cost</h1>"
    yield f'<p class="soft">{_text(str(report.period))}</p>'
    yield f"<p>{_text(words.headline(report))}</p>"
    if found := report.alerts:
        items = "".join(f"<li><b>{_text(one.workload)}</b> {_text(one.text, 300)}</li>" for one in found)
        yield f'<ul class="alerts" aria-label="alerts">{items}</ul>'
    elif shown:
        yield '<p class="soft">✓ no alerts</p>'
    if not shown:
        yield "<p>No task began in this period.</p>"
        return
    header = ("workload", "tasks", "P50 of a task", "P95 of a task", "total", "success", "tokens a success")
    head = "".join(f'<th scope="col">{_text(cell)}</th>' for cell in header)
    rows = "".join(_row(one) for one in shown)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    yield f'<div class="wide" tabindex="0" role="region" aria-label="workloads">{table}</div>'
    for one in shown:
        yield from _section(report, one)
    gone = [one.key.name for one in report.workloads if not one.now.tasks]
    if gone:
        said = f"only in the {report.period.before.length} before: {', '.join(gone)}"
        yield f'<p class="soft">{_text(said, 400)}</p>'


def _row(one: Workload) -> str:
    now, before = one.now, one.before
    cells = [
        (one_line(one.key.name, 80), ""),
        (f"{now.tasks:,}", words.change(now.tasks, before.tasks)),
        (words.cost(now, now.p50), words.change(now.p50, before.p50)),
        (words.cost(now, now.p95), words.change(now.p95, before.p95)),
        (words.total(now), words.change(now.spent, before.spent)),
        (words.success(now), words.success_change(one)),
        (words.tokens(now), words.change(now.tokens_per_success, before.tokens_per_success)),
    ]
    turns = [f'<span class="turn">{_text(turn)}</span>' if turn else "" for _, turn in cells]
    return f"<tr>{''.join(f'<td>{_text(said)}{turn}</td>' for (said, _), turn in zip(cells, turns, strict=True))}</tr>"


def _section(report: Report, one: Workload) -> Iterator[str]:
    yield f"<h2>{_text(one.key.name)}</h2>"
    facts = [*_facts(one.now), *words.notes(one)]
    if facts:
        yield f'<p class="soft">{_text(" · ".join(facts), 400)}</p>'
    if sum(amount > 0 for amount in one.now.course) > 1:
        yield _chart(report, one)


def _facts(now: Window) -> Iterator[str]:
    half, most = now.seconds(50), now.seconds(95)
    if half is not None:
        yield f"P50 {seconds(half)}" + ("" if most is None else f", P95 {seconds(most)}")
    yield counted(now.calls, "model call")
    if found := now.success:
        yield f"success {percent(found.low)} to {percent(found.high)} (95 % interval)"


def _chart(report: Report, one: Workload) -> str:
    """Dollars in each part of the period, over those of the period before."""
    now = one.now.course
    before: Sequence[Decimal] = one.before.course or [Decimal(0)] * len(now)
    most = max(*now, *before)
    step = _WIDTH / len(now)
    bars: list[str] = []
    for i, (amount, was) in enumerate(zip(now, before, strict=True)):
        for value, kind, x, width in ((was, "was", 0.12, 0.76), (amount, "now", 0.24, 0.52)):
            height = float(value / most) * _HEIGHT
            if height:
                place = f'x="{(i + x) * step:.1f}" y="{_HEIGHT - height:.1f}" width="{width * step:.1f}"'
                bars.append(f'<rect class="{kind}" {place} height="{height:.1f}"/>')
    period = report.period
    legend = f"dollars {period.part}, at most {dollars(most)}; wide and pale: the {period.before.length} before"
    return (
        f"<figure><figcaption>{_text(legend, 200)}</figcaption>"
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 1}" preserveAspectRatio="none" aria-hidden="true">{"".join(bars)}'
        f'<line class="axis" x1="0" x2="{_WIDTH}" y1="{_HEIGHT}.5" y2="{_HEIGHT}.5"/></svg></figure>'
    )


def _text(text: str, width: int = 120) -> str:
    return escape(one_line(text, width))
