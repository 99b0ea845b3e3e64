"""The output is code that runs, and does what it must."""

from __future__ import annotations

import math
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

from outlay.checkers.checker import Checker, code_of, named, shown, too_long
from outlay.checkers.process import Finished, run
from outlay.errors import ConfigError

_LAUNCHER = Path(__file__).with_name("confined.py")
_MOST_SHOWN = 4
#: What can be compared of what a program prints: `process` keeps the end of it. In characters.
_LONGEST_PRINT = 8_000


def runs(
    *, prints: str | None = None, asserts: str | None = None, timeout: float = 10.0, memory: int = 512 * 2**20
) -> Checker:
    """Passes Python code that runs to its end without an error.

    With `prints` it must print this text (white space around it does not count), with `asserts` that code must run
    after it, seeing its names: `assert add(2, 2) == 4`. The code is that of the output's code fences, or all of it.

    This RUNS what a model wrote: in a process and a scratch folder of its own, with no keys and no shell, at most
    `timeout` seconds and `memory` bytes, files of 64 MiB, and without a network where the system lets an ordinary user
    leave it (Linux); elsewhere sockets are refused, which only honest code respects. It can read what you can read, and
    what it starts in a session of its own outlives it. Where that matters, run all of it in a container.
    """
    if not 0 < timeout < math.inf or memory < 2**26:
        raise ConfigError(f"runs(timeout={timeout!r}, memory={memory!r}): seconds above 0, and at least 64 MiB")
    if prints is not None and len(prints) > _LONGEST_PRINT:
        raise ConfigError(f"runs(prints=…): at most {_LONGEST_PRINT:,} characters can be compared")
    if asserts is not None:
        try:
            compile(asserts, "asserts", "exec")
        except (SyntaxError, ValueError) as error:
            raise ConfigError(f"runs(asserts=…) is no Python: {error}") from error

    def check(output: Any) -> str | None:
        code = code_of(output)
        if (problem := too_long(code)) is not None:
            return problem
        token = secrets.token_hex(16)
        with tempfile.TemporaryDirectory(prefix="outlay-", ignore_cleanup_errors=True) as scratch:
            folder = Path(scratch)
            (folder / "solution.py").write_text(code, encoding="utf-8", errors="replace")
            (folder / "asserts.py").write_text(asserts or "", encoding="utf-8", errors="replace")
            tail = ["" if asserts is None else "asserts.py", token]
            command = [sys.executable, "-I", "-W", "ignore", str(_LAUNCHER), "solution.py"]
            done = run([*command, str(math.ceil(timeout)), str(memory), *tail], folder=folder, timeout=timeout)
        return _problem(done, token, timeout, prints)

    return named("runs", check, blocking=True)


def _problem(done: Finished, token: str, timeout: float, prints: str | None) -> str | None:
    if done.code is None or -done.code == 24:  # SIGXCPU
        return f"the code did not finish in {timeout:g} s: look for an endless loop or something that waits"
    printed, found, _ = done.output.rpartition(f"\n{token}")
    if done.code != 0:
        lines = [line for line in done.output.strip().splitlines() if line.strip()]
        said = [shown(line, 160) for line in lines[-_MOST_SHOWN:]]
        return "\n".join(["the code fails:", *(said or [f"it ends with the exit code {done.code}"])])
    if not found:
        return "the code ended the process before all of it had run; do not call exit()"
    if prints is not None and printed.strip() != prints.strip():
        return f"it prints {shown(printed.strip())!r}, expected {shown(prints.strip())!r}"
    return None
