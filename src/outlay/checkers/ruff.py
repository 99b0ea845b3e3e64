"""The output is Python that ruff has nothing to say against."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from outlay.checkers.checker import Checker, code_of, named, too_long
from outlay.checkers.extras import needs
from outlay.checkers.process import run
from outlay.errors import ConfigError

_MOST_SHOWN = 5


def ruff(select: str | Sequence[str] = ("E9", "F"), *, timeout: float = 30.0) -> Checker:
    """Passes Python code without findings of the rules in `select`: by default what cannot run or is plainly wrong.

    The code is that of the output's code fences, or the whole output. It is read and never run, on its own: no
    project's settings count, and neither do its `noqa` comments. Needs the extra `checkers`; `timeout` in seconds.
    """
    needs("ruff", "ruff")
    rules = select if isinstance(select, str) else ",".join(select)
    if not rules:
        raise ConfigError("ruff(select=…) selects no rule", hint="write ruff(select=['E', 'F'])")
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", "--ignore-noqa", "--quiet"]
    command += ["--output-format=concise", f"--select={rules}", "--stdin-filename=output.py", "-"]

    def check(output: Any) -> str | None:
        code = code_of(output)
        if (problem := too_long(code)) is not None:
            return problem
        with tempfile.TemporaryDirectory(prefix="outlay-", ignore_cleanup_errors=True) as folder:
            done = run(command, folder=Path(folder), timeout=timeout, input=code)
        if done.code == 0:
            return None
        if done.code is None:
            return f"ruff did not finish in {timeout:g} s; make the code shorter"
        if done.code != 1:  # 2 is a wrong call, not wrong code
            raise ConfigError(f"ruff failed: {done.output.strip()[-500:]}", hint="check select=")
        findings = [line for line in done.output.splitlines() if line.startswith("output.py:")]
        more = [f"and {len(findings) - _MOST_SHOWN} more"] if len(findings) > _MOST_SHOWN else []
        return "\n".join([*findings[:_MOST_SHOWN], *more])

    return named("ruff", check, blocking=True)
