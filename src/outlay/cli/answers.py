"""The output file of a map: one line a finished row, appended as it finishes, so that a kill loses none."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

from outlay.cli.problems import Problem

_START = b'{"id":'


@dataclass(slots=True)
class Finished:
    """The rows that a file holds already."""

    keys: set[str] = field(default_factory=set[str])
    degraded: int = 0
    failed: int = 0


class AnswerFile:
    """Opens (or makes) the file, repairs a torn last line, and appends lines.

    Raises Problem where the file is something else, cannot be written, or another map writes to it.
    """

    def __init__(self, path: Path, input: Path) -> None:
        self.path = path
        self.finished = Finished()
        self.repaired = 0
        if input.exists() and path.exists() and os.path.samefile(path, input):
            raise Problem(f"{path} is the input: a map never writes into it", next="name another --output")
        self._made = not path.exists()
        if not path.parent.is_dir():
            raise Problem(f"cannot write {path}: there is no folder {path.parent}", next=f"mkdir -p {path.parent}")
        if path.is_dir():
            raise Problem(f"cannot write {path}: it is a folder", next=f"--output {path / 'answers.jsonl'}")
        try:
            # O_APPEND: every line goes to the end, whoever else holds the file.
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
            self._file = os.open(path, flags, 0o644)
        except OSError as error:
            raise Problem(
                f"cannot write {path}: {(error.strerror or str(error)).lower()}", next="name another --output"
            ) from None
        try:
            self._lock()
            if stat.S_ISREG(os.fstat(self._file).st_mode):
                self._read()
        except BaseException:
            os.close(self._file)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):  # a pipe or /dev/null cannot be synced
            os.fsync(self._file)
        if self._made and not os.fstat(self._file).st_size:
            self.path.unlink(missing_ok=True)  # nothing came of it: leave no trace
        os.close(self._file)

    def write(self, line: Mapping[str, Any]) -> None:
        """Append one line. It is the system's when this returns: a killed process keeps it."""
        text = json.dumps(line, ensure_ascii=False, separators=(", ", ": "))
        # Halves of characters are no UTF-8, but JSON can escape them in the same way as Python.
        data = text.encode("utf-8", "backslashreplace") + b"\n"
        while data:
            try:
                data = data[os.write(self._file, data) :]
            except OSError as error:
                raise Problem(
                    f"cannot write {self.path}: {(error.strerror or str(error)).lower()}",
                    "the rows before are kept; a torn last line is repaired by the next map",
                    next="make room, then run the same command again: it goes on",
                    code=1,
                ) from None

    def _lock(self) -> None:
        try:
            import fcntl
        except ImportError:  # Windows: two maps into one file are not found out
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problem(
                f"another outlay map is writing to {self.path}", next="wait until it ends, or name another --output"
            ) from None
        except OSError:  # a device, or a file system without locks
            return

    def _read(self) -> None:
        with self.path.open("rb") as file:
            for number, data in enumerate(file, 1):
                if not data.endswith(b"\n"):
                    self._repair(data, number)
                elif data.strip():
                    self._note(data, number)

    def _repair(self, data: bytes, number: int) -> None:
        """The last line has no end: the process that wrote it was killed. It is completed or cut off."""
        try:
            self._note(data, number)
        except Problem:
            # Nothing but a piece of a line of ours is ever cut off.
            if not data.startswith(_START[: len(data)]):
                raise
            os.ftruncate(self._file, os.fstat(self._file).st_size - len(data))
            self.repaired = len(data)
        else:
            os.write(self._file, b"\n")

    def _note(self, data: bytes, number: int) -> None:
        try:
            value: Any = json.loads(data)
        except (ValueError, RecursionError):
            value = None
        line = cast(dict[str, Any], value) if isinstance(value, dict) else {}
        if "id" not in line or "stop_reason" not in line:
            raise Problem(
                f"{self.path} line {number} is not an answer of a map",
                "nothing in it was changed, nothing has been run or paid",
                next="name another --output, or mend the line",
            )
        self.finished.keys.add(str(line["id"]))
        self.finished.degraded += bool(line.get("degraded"))
        self.finished.failed += line["stop_reason"] == "error"
