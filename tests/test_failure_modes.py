"""docs/failure-modes.md names tests that exist, and says of every known failure what is done about it."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/failure-modes.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("| ")]
ROWS = [cells for cells in ROWS if cells[0] != "failure"]


def test_every_test_that_the_page_names_exists():
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)
    assert len(named) >= 30
    gone = [f"{file}::{name}" for file, name in named if f"def {name}(" not in (ROOT / file).read_text()]
    assert gone == []


def test_every_row_shows_a_test_or_says_that_it_is_not_covered():
    assert [
        cells[0] for cells in ROWS if not (len(cells) == 4 and ("`tests/" in cells[3] or "not covered" in cells[2]))
    ] == []


def test_no_known_failure_is_left_out():
    """MAST's fourteen by number, and those of the literature by name."""
    first = " ".join(cells[0].lower() for cells in ROWS)
    numbers = re.findall(r"\b([123]\.\d)\b", first)
    assert numbers == ["1.1", "1.2", "1.3", "1.4", "1.5", "2.1", "2.2", "2.3", "2.4", "2.5", "2.6", "3.1", "3.2", "3.3"]
    for mode in (
        *("coordination tax", "token explosion", "latency cascade", "reliability paradox", "role confusion"),
        *("black box", "injection across boundaries", "error compounding", "cascading failure"),
        *("non-deterministic merge", "cost blast radius"),
    ):
        assert mode in first
