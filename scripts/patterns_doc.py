"""Writes docs/patterns.md from the profiles of the pattern classes: `python scripts/patterns_doc.py`, or `make docs`.

tests/patterns/test_pattern_profiles.py compares the profiles with what happens, and fails where the page is stale.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from outlay.patterns.profile import Consequence, Profile

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "patterns.md"

INTRODUCTION = """\
# Patterns compared

<!-- Written by scripts/patterns_doc.py from the patterns' own profiles: change those, then `make docs`. -->

One agent is the yardstick: a pattern is worth its calls where one agent with the same tools and budget does worse.
Patterns nest: a member may be a pattern itself, costs multiply along the tree and wall time adds up along its
longest chain. Each name leads to a program of under 60 lines that runs offline, by itself
(`python examples/patterns/vote.py`) or with `outlay run`."""

ENDINGS = """\
## When something goes wrong

Whatever happens, the bill is whole, finished parts are in `Result.partial`, what is missing is in `Result.skipped`, and
`stop_reason` says why. **error**: no output, `Result.error` is the member's. **no output**: the stop is the reason.
**best so far**: what was there is the output. **answer**: a last step, for which a call and its money are set aside
from the start, makes an answer of what was there. **goes on**: the others' answer, `degraded`.

A member's own turn limit is a failure of the member; a budget or deadline of a pattern binds all below it."""

#: By pattern, the example that shows it.
EXAMPLES = {
    "Pipeline": "document_build",
    "FanOut": "code_review",
    "Router": "router",
    "Supervisor": "research_crew",
    "Refine": "writer_critic",
    "Cascade": "cascade",
    "Debate": "debate",
    "Vote": "vote",
    "RoundRobin": "ideation",
    "Mesh": "support_desk",
    "Blackboard": "blackboard",
    "Gate": "fact_check",
    "Detached": "detached",
}


def page(profiles: dict[str, Profile]) -> str:
    """The page for these patterns, by name, in their order."""
    names = {name: f"[`{name}`](../examples/patterns/{EXAMPLES[name]}.py)" for name in profiles}
    compared = [[names[name], p.parallelism, p.cost, p.best_when, p.worst_when, p.ends] for name, p in profiles.items()]
    endings = [
        [names[name], *map(_said, (p.failed_member, p.at_budget, p.at_deadline))] for name, p in profiles.items()
    ]
    return (
        "\n\n".join(
            [
                INTRODUCTION,
                _table(["pattern", "parallelism", "cost", "best when", "worst when", "how it ends"], compared),
                ENDINGS,
                _table(["pattern", "on a failed member", "at the budget", "at the deadline"], endings),
            ]
        )
        + "\n"
    )


def profiles() -> dict[str, Profile]:
    """Those of all patterns that Outlay has, in the order of the list of examples."""
    import outlay.patterns as rooms

    return {name: getattr(rooms, name).profile for name in EXAMPLES}


def _said(consequence: Consequence) -> str:
    return f"**{consequence.kind}**: {consequence.words}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(profiles()), encoding="utf-8")
