"""Other programs on a stranger's text: no shell, no secrets, a time-out, and only the end of what they print."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

#: Of what a program prints, the last bytes are kept.
_KEPT = 16_384
_PASSED_ON = ("PATH", "LANG", "LC_ALL", "SYSTEMROOT", "TMPDIR", "VIRTUAL_ENV")


@dataclass(frozen=True, slots=True)
class Finished:
    """How a program ended: `code` is None if it had to be stopped; `output` the end of all it printed."""

    code: int | None
    output: str


def run(command: Sequence[str], *, folder: Path, timeout: float, input: str = "") -> Finished:
    """Run `command` in `folder`, with an environment that holds no keys. All its children end with it."""
    home = {"HOME": str(folder), "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"}
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | home
    given = folder / ".stdin"
    given.write_text(input, encoding="utf-8", errors="replace")
    with given.open("rb") as stdin:
        process = subprocess.Popen(  # noqa: S603 - a list, never a shell; the program is the user's choice
            list(command),
            cwd=folder,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            start_new_session=True,
        )
    tail = bytearray()
    reader = threading.Thread(target=_keep_tail, args=(process, tail), daemon=True)
    reader.start()
    code: int | None
    try:
        code = process.wait(timeout)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        _end(process)
        reader.join(5)
        if process.stdout is not None:
            process.stdout.close()
    return Finished(code, bytes(tail).decode("utf-8", "replace"))


def _keep_tail(process: subprocess.Popen[bytes], tail: bytearray) -> None:
    stdout = process.stdout
    assert stdout is not None
    try:
        while chunk := stdout.read(65_536):
            tail += chunk
            del tail[:-_KEPT]
    except (OSError, ValueError):
        return  # closed under our hands, because the program's children would not end


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the program and whatever it started: they are a session of their own."""
    try:
        if os.name == "posix":
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    except (ProcessLookupError, PermissionError):
        pass  # all gone already
    process.wait()
