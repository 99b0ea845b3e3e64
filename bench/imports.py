"""What it takes to begin: imports and the help page, each in fresh processes."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence

from bench.contest import Figure

_MOST_IMPORT = 0.35
_MOST_HELP = 0.2
_OUTLAY = "import outlay"
_NAMES = "from outlay import *"
_HELP = "import sys; sys.argv = ['outlay', '--help']; from outlay.cli import main; main()"
_PROGRAMS = {
    _OUTLAY: _OUTLAY,
    _NAMES: _NAMES,
    "outlay --help": _HELP,
    "import aiohttp": "import aiohttp",
    "import anthropic": "import anthropic",
}
#: What neither may load: each costs a tenth of a second or more.
_HEAVY = ("aiohttp", "pydantic", "genai_prices", "rich", "anthropic", "openai", "starlette")


def measure(quick: bool) -> Sequence[Figure]:
    took: dict[str, list[float]] = {name: [] for name in _PROGRAMS}
    for number in range(4 if quick else 12):
        for name, program in _PROGRAMS.items():
            seconds = _cpu_seconds(program)
            if number:  # the first one writes the bytecode
                took[name].append(seconds)
    rival = statistics.median(took["import anthropic"])
    figures: list[Figure] = []
    for name, target in ((_OUTLAY, _MOST_IMPORT), (_NAMES, _MOST_IMPORT), ("outlay --help", _MOST_HELP)):
        median = statistics.median(took[name])
        heavy = _heavy(_PROGRAMS[name]) if name != "outlay --help" else []
        figures.append(
            Figure(
                "imports",
                name,
                median,
                "s CPU",
                "import anthropic",
                rival,
                median / rival,
                target,
                of="value",
                note=f"loads {', '.join(heavy)}" if heavy else "",
            )
        )
    figures.append(Figure("imports", "import aiohttp", statistics.median(took["import aiohttp"]), "s CPU"))
    return figures


def _cpu_seconds(program: str) -> float:
    """User and system time of a process that runs `program`; infinite where it fails."""
    child = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime if child.returncode == 0 else float("inf")


def _heavy(program: str) -> list[str]:
    shown = subprocess.run(
        [sys.executable, "-c", f"{program}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(shown.stdout.split())
    return [name for name in _HEAVY if name in loaded]
