"""What the tests of the command line share: how a program is started, and what it said."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FLOWS = Path(__file__).parent / "flows" / "desk.py"
SOURCE = Path(__file__).resolve().parents[2] / "src"
PROGRAM = [sys.executable, "-m", "outlay.cli"]
UNSET = (
    "ANTHROPIC_API_KEY",
    "OPENAI_API_KEY",
    "ANTHROPIC_BASE_URL",
    "OPENAI_BASE_URL",
    "OUTLAY_STORE",
    "CI",
    "NO_COLOR",
)


@dataclass(frozen=True)
class Said:
    """What a command said, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Said]


def environment(**more: str) -> dict[str, str]:
    """The machine's own, without keys and without our settings."""
    kept = {name: value for name, value in os.environ.items() if name not in UNSET and not name.startswith("OUTLAY")}
    return {**kept, "PYTHONPATH": str(SOURCE), **more}


def write_rows(path: Path, number: int) -> Path:
    path.write_text("".join(json.dumps({"id": f"r{i}", "text": f"row {i}"}) + "\n" for i in range(1, number + 1)))
    return path


def lines_of(path: Path) -> list[Any]:
    """The lines of an output file; each must be whole."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
