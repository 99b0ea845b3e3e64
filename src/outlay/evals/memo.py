"""The memo of a comparison: one page, in Markdown or in HTML, from the same blocks.

Names of flows, data sets and checkers are other people's words, and so are texts of errors: all are escaped.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from outlay.analysis.text import markdown, plain
from outlay.evals import charts
from outlay.evals.cautions import cautions
from outlay.evals.comparison import Comparison
from outlay.evals.handled import PAGE, handled
from outlay.evals.tables import failures, figures
from outlay.evals.verdict import flips, verdict_on
from outlay.values.counted import counted
from outlay.values.money import show_limit

#: Nothing is loaded and nothing runs, whatever the words of others come to.
_HEAD = (
    """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">\n"""
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
)
_STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:15px/1.45 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.15rem .6rem .15rem 0;"
    "border-bottom:1px solid #8884;vertical-align:top}h1{font-size:1.4rem}h2{font-size:1.05rem;margin:1.2rem 0 .3rem}"
    "svg{max-width:100%;height:auto}.verdict{font-size:1.05rem}"
)


@dataclass(frozen=True, slots=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True, slots=True)
class Paragraph:
    text: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Points:
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Picture:
    """What we drew, for either kind of page: its words are escaped already."""

    svg: str
    text: str


Block = Heading | Paragraph | Points | Table | Picture


def memo(found: Comparison, *, as_html: bool = False) -> str:
    """The page. A dollar sign, a bracket or a tag in anybody's words stays what it is."""
    blocks = list(_blocks(found))
    if not as_html:
        return "\n\n".join(map(_markdown, blocks)) + "\n"
    title = _escaped(f"{found.a.name} or {found.b.name}?")
    body = "\n".join(map(_html, blocks))
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{_HEAD}\n<title>{title}</title>\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _blocks(found: Comparison) -> Iterator[Block]:
    a, b = found.a, found.b
    yield Heading(f"{a.name} or {b.name}?", 1)
    yield Paragraph(verdict_on(found).text, "verdict")
    if would := flips(found):
        yield Heading("What would flip it")
        yield Points(would)
    yield Heading("Figures")
    yield Table(
        ("", a.name, b.name, "difference (95 % interval)"),
        [(row.what.strip(), row.a, row.b, row.between) for row in figures(found)],
    )
    yield Picture(charts.svg(found), charts.text(found))
    if rows := failures(found):
        yield Heading("Failures by kind")
        yield Table(("", a.name, b.name), [(row.what, row.a, row.b) for row in rows])
    yield Heading("Failure modes handled")
    yield Table(("mode", "seen here"), [(one.mode, one.seen) for one in handled(found)])
    yield Paragraph(f"What is done about each, and the test that shows it: {PAGE} of Outlay.")
    if warnings := cautions(found):
        yield Heading("Read with care")
        yield Points(warnings)
    yield Heading("How it was measured")
    yield Paragraph(method(found))


def method(found: Comparison) -> str:
    setup = found.setup
    limit = "no budget" if setup.limit is None else f"at most {show_limit(setup.limit)} a case for each side"
    judges = [*setup.checkers, *([f"{setup.judge} (a model's opinion)"] if setup.judge else [])]
    return (
        f"{counted(len(found.a.cases), 'case')} of {setup.dataset}, the same for both, {limit}, judged alike by "
        f"{', '.join(judges)}; models: {setup.lane}. "
        "A useful unit is a case that succeeded, and quality is how many did. "
        f"Intervals are paired bootstraps of the cases (95 %, expanded percentiles, seed {setup.seed}), shares have "
        "Wilson's, success is tested by McNemar's exact test."
    )


# ── Markdown ──────────────────────────────────────────────────────────────────────────────────────────────


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {markdown(text)}"
        case Paragraph(text):
            return markdown(text)
        case Points(texts):
            return "\n".join(f"- {markdown(text)}" for text in texts)
        case Table(header, rows):
            lines = [*_cells([header]), ["---"] * len(header), *_cells(rows)]
            return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        case Picture(_, text):
            return text


def _cells(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[markdown(cell) for cell in row] for row in rows]


# ── HTML ──────────────────────────────────────────────────────────────────────────────────────────────────


def _html(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"<h{level}>{_escaped(text)}</h{level}>"
        case Paragraph(text, kind):
            return f"<p{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}>{_escaped(text)}</p>"
        case Points(texts):
            return f"<ul>{''.join(f'<li>{_escaped(text)}</li>' for text in texts)}</ul>"
        case Table(header, rows):
            head = "".join(f"<th>{_escaped(cell)}</th>" for cell in header)
            body = "".join(f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in rows)
            return f"<table><tr>{head}</tr>{body}</table>"
        case Picture(svg):
            return svg


def _escaped(text: str) -> str:
    return html.escape(_line(text))


def _line(text: str) -> str:
    return " ".join(plain(text).split())
