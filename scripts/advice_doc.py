"""Writes docs/advice.md from the tables behind `outlay check` and `outlay advise`: `python scripts/advice_doc.py`, or
`make docs`. tests/advice/test_advice_page.py fails where the page is stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from outlay.advice import POINTS, RULES
from outlay.advice.tables.fine_tune import SIGNALS
from outlay.advice.tables.green_light import CRITERIA, ENOUGH
from outlay.advice.tables.relation import CASES, FACETS, INVERSIONS, RELATIONS, TOGETHER
from outlay.advice.tables.shared_state import LADDER, NEEDS
from outlay.advice.tables.single_agent import NOT_THE_AGENT, REMEDIES, SYMPTOMS
from outlay.advice.tables.which_pattern import TRAITS
from outlay.advice.tables.workload import SHAPES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "advice.md"

INTRODUCTION = """\
# Advice

<!-- Written by scripts/advice_doc.py from the tables in src/outlay/advice: change those, then `make docs`. -->

What `outlay advise` goes by, and what `outlay check` looks for. These are rules, not measurements: each says why, and
what would change it. Where a figure decides, `outlay compare` has it for your own cases."""

SINGLE = """\
## Is the single agent failing, and at what?

One agent is where it begins, and mostly where it ends. It is measured first; where it fails, what it fails at says what
to add, and only one of four answers is more agents."""

LIGHT = f"""\
## Are several agents justified?

`--parallelisable`, `--independent`, `--specialised`, `--boundary none|soft|hard`, `--separate-ownership`. {ENOUGH} of
the first four, or one of the last two alone."""

RELATION = f"""\
## Sub-agents or peers?

For each of these: is the second agent its own (`--own-ownership yes`, …)? One that sets apart by itself is enough;
{" and ".join(TOGETHER)} only together, since each alone is a matter of deployment. Then the inversion test
(`--inversion`): let the called agent call the caller. What nobody knows counts as no, and as one-way."""

PATTERN = """\
## Which pattern?

`--trait`, by the question that is answered with yes; several patterns nest, the simpler one first. Costs and endings
stand in [patterns.md](patterns.md)."""

STATE = """\
## The smallest shared state that works

`--shares` what has to be shared: the first line that covers all of it. Each costs more to understand than the one
above."""

KNOBS = """\
## The shape of the work, and its knobs

`--workload`. Begin with the first knob."""

TUNE = f"""\
## A model of one's own

`--tune-examples yes`, … All {len(SIGNALS)}, for certain, or not at all. `outlay distill` measures four of them."""

WARNINGS = """\
## What `outlay check` warns of

`--silence ID` or `--silence ID:NODE`, or `[check]` in `outlay.toml`."""

CHECKLIST = """\
## Ten points before production

The end of `outlay check`: each holds, does not, or is not known from the flow and its stored runs. `--holds ID` vouches
for one that is not known."""


def page() -> str:
    parts = [
        INTRODUCTION,
        SINGLE,
        _table(
            ["it fails at", "how that shows", "the smallest thing that helps", "the line", "unless"],
            [[f"**{one.at}**", one.shows, one.remedy, _code(one.line), one.unless] for one in REMEDIES],
        ),
        "Read off stored runs and comparisons: "
        + "; ".join(f"`{kind}` is {at}" for kind, at in SYMPTOMS.items())
        + ". No failure of the agent, and not mended by more of them: "
        + "; ".join(f"`{kind}`: {what}" for kind, what in NOT_THE_AGENT.items())
        + ".",
        LIGHT,
        _table(
            ["criterion", "question", "what it buys", "alone enough"],
            [[f"**{one.id}**", one.asks, one.buys, "yes" if one.alone else "no"] for one in CRITERIA],
        ),
        RELATION,
        _table(
            ["facet", "question", "why it matters", "sets apart by itself"],
            [[f"**{one.id}**", one.asks, one.apart, "yes" if one.parts else "no"] for one in FACETS],
        ),
        _table(
            ["turned round", "what it means", "of a kind", "set apart"],
            [[f"**{one.id}**", one.means, one.together, one.apart] for one in INVERSIONS],
        ),
        _table(
            ["relation", "what it is", "in code"], [[f"**{one.id}**", one.is_, _code(one.line)] for one in RELATIONS]
        ),
        "Six typical cases:",
        _table(
            ["case", "its own", "turned round", "so"],
            [[one.what, ", ".join(one.own) or "nothing", one.inversion, f"**{one.relation}**"] for one in CASES],
        ),
        PATTERN,
        _table(
            ["trait", "question", "pattern", "not where"],
            [[f"**{one.id}**", one.asks, f"`{one.pattern}`", one.profile.worst_when] for one in TRAITS],
        ),
        STATE,
        _table(["need", "question"], [[f"**{one.id}**", one.asks] for one in NEEDS]),
        _table(
            ["what", "covers", "in code"],
            [
                [one.what, ", ".join(need.id for need in NEEDS if need.id in one.covers) or "nothing", _code(one.line)]
                for one in LADDER
            ],
        ),
        KNOBS,
        _table(
            ["shape", "known by", "knobs", "unless"],
            [
                [f"**{one.id}**", one.known_by, "; ".join(f"`{k.knob}` {k.does}" for k in one.knobs), one.unless]
                for one in SHAPES
            ],
        ),
        TUNE,
        _table(["signal", "question", "where not"], [[f"**{one.id}**", one.asks, one.first] for one in SIGNALS]),
        WARNINGS,
        _table(
            ["id", "looks for", "costs", "why"],
            [[f"`{one.id}`", one.looks_for, ", ".join(one.concerns), one.why] for one in RULES],
        ),
        CHECKLIST,
        _table(["id", "question"], [[f"`{one.id}`", one.asks] for one in POINTS]),
    ]
    return "\n\n".join(parts) + "\n"


def _code(line: str) -> str:
    return f"`{line}`"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
