"""The output is code that passes your tests."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from outlay.checkers.checker import Checker, code_of, named, shown, too_long
from outlay.checkers.extras import needs
from outlay.checkers.process import Finished, run
from outlay.errors import ConfigError

_MOST_SHOWN = 8
_PASSED = re.compile(r"^=* ?\d+ passed\b", re.MULTILINE)
_NO_TESTS = 5


def tests(  # the name is the contract's; it is no test itself
    what: str | Path | Sequence[str],
    *,
    file: str = "solution.py",  # noqa: PT028
    timeout: float = 60.0,  # noqa: PT028
) -> Checker:
    """Passes code with which your tests pass.

    `what` is a folder of pytest tests that import the code from `file`, or a command as a list (its first word a
    program on the PATH). For each output a scratch folder gets a copy of the tests and the code (that of the
    output's code fences, or all of it), and goes when they end. `timeout` in seconds.

    This RUNS what a model wrote. It gets no keys from the environment, no shell and no more than its time, and
    nothing else keeps it from your files and your network: where that matters, run all of it in a container.
    """
    if Path(file).name != file or file.startswith("."):
        raise ConfigError(f"tests(file={file!r}): a plain file name, like 'solution.py'")
    folder = Path(what) if isinstance(what, (str, Path)) else None
    if folder is not None:
        needs("pytest", "tests")
        if not folder.is_dir():
            raise ConfigError(f"tests({str(what)!r}): there is no such folder", hint="a command is written as a list")
        folder = folder.resolve()
        command = [sys.executable, "-m", "pytest", "-q", "--tb=short", "-p", "no:cacheprovider"]
    else:
        command = [str(word) for word in what] if not isinstance(what, (str, Path)) else []
        if not command or shutil.which(command[0]) is None:
            raise ConfigError(f"tests({command!r}): there is no such program")

    def check(output: Any) -> str | None:
        code = code_of(output)
        if (problem := too_long(code)) is not None:
            return problem
        with tempfile.TemporaryDirectory(prefix="outlay-", ignore_cleanup_errors=True) as scratch:
            if folder is not None:
                skip = shutil.ignore_patterns("__pycache__", ".git", ".venv", "*.pyc")
                shutil.copytree(folder, scratch, dirs_exist_ok=True, ignore=skip)
            (Path(scratch) / file).write_text(code, encoding="utf-8", errors="replace")
            arguments = [] if folder is None else ["--rootdir", scratch]
            done = run([*command, *arguments], folder=Path(scratch), timeout=timeout)
        return _verdict(done, timeout, by_pytest=folder is not None)

    return named("tests", check, blocking=True)


def _verdict(done: Finished, timeout: float, *, by_pytest: bool) -> str | None:
    if done.code is None:
        return f"the tests did not finish in {timeout:g} s: look for an endless loop or something that waits"
    if by_pytest and done.code == _NO_TESTS:
        raise ConfigError("tests: pytest found no tests", hint="name the files test_*.py")
    if done.code == 0 and (not by_pytest or _PASSED.search(done.output)):
        return None
    if done.code == 0:
        return "the code ended the process before the tests were through; do not call exit()"
    lines = [line for line in done.output.splitlines() if line.startswith(("E ", "FAILED", "ERROR"))]
    if not by_pytest or not lines:
        lines = done.output.strip().splitlines()[-_MOST_SHOWN:]
    return "\n".join(["the tests fail:", *(shown(line, 160) for line in lines[:_MOST_SHOWN])])
