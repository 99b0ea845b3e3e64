"""Rows of a JSONL or CSV file, one at a time: memory does not grow with the file."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, cast

from outlay.analysis.text import one_line
from outlay.cli.inputs import kind_of
from outlay.cli.problems import Problem
from outlay.values.counted import counted

#: A longer line is no row that anybody meant, and must not fill the memory.
LONGEST_LINE = 32 * 2**20
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_JSONL = (".jsonl", ".ndjson")
_COLUMNS = ("input", "text")


@dataclass(frozen=True, slots=True)
class Row:
    """`number` counts rows from 1, `line` is where it stands in the file. `problem` says why it cannot be run."""

    number: int
    line: int
    id: Any = None
    input: Any = None
    problem: str = ""

    @property
    def key(self) -> str:
        """The id as it is compared: 7 and "7" are one row."""
        return str(self.id)


class RowFile:
    """A file of rows. Each iteration reads it anew from the start.

    The input of a row is its column `field`, by default `input` or `text` where the first row has one of them, else
    the whole row. Its id is the column `id` where there is one, else its number. Raises Problem for what is no such
    file at all; a row that is broken comes with its `problem`.
    """

    def __init__(self, path: Path, field: str | None = None) -> None:
        self.path = path
        self._given = field
        #: The columns of a file whose rows are each an input as they stand; empty where one column is, or before it is
        #: read.
        self.whole: Sequence[str] = ()
        self._kind = path.suffix.lower()
        if self._kind not in (*_SEPARATORS, *_JSONL):
            raise Problem(
                f"cannot tell what {path} is: its name ends neither in .jsonl nor in .csv",
                next="one JSON object a line in a .jsonl file, or a .csv file with a header",
            )

    def __iter__(self) -> Iterator[Row]:
        try:
            with self.path.open("rb") as file:
                self._refuse_binary(file)
                yield from self._csv(file) if self._kind in _SEPARATORS else self._jsonl(file)
        except OSError as error:
            if error.filename != str(self.path) and not isinstance(error, IsADirectoryError):
                raise
            raise Problem(f"cannot read {self.path}: {(error.strerror or str(error)).lower()}") from None

    def _refuse_binary(self, file: BinaryIO) -> None:
        start = file.read(4096)
        file.seek(0)
        if start.startswith((b"\xff\xfe", b"\xfe\xff")):
            self._no("it is UTF-16 text", "save it as UTF-8")
        if b"\0" in start or start.startswith((b"PK\x03\x04", b"\x1f\x8b")):
            self._no("it is a binary file", "give JSONL or CSV text; export a spreadsheet as CSV, unpack an archive")

    def _no(self, why: str, next: str) -> NoReturn:
        raise Problem(f"cannot read {self.path}: {why}", "nothing has been run or paid", next=next)

    # ── JSONL ─────────────────────────────────────────────────────────────────────────────────────────────

    def _jsonl(self, file: BinaryIO) -> Iterator[Row]:
        number = 0
        field: str | None = None
        for line, data in enumerate(self._lines(file), 1):
            if not data.strip():
                continue
            number += 1
            value, problem = _parsed(data)
            if problem:
                yield Row(number, line, number, problem=problem)
                continue
            if not isinstance(value, dict):
                yield Row(number, line, number, problem=f"not a JSON object but {kind_of(value)}")
                continue
            record = cast(dict[str, Any], value)
            if field is None:
                field = self._field(list(record))
            yield self._row(number, line, record, field)

    # ── CSV ───────────────────────────────────────────────────────────────────────────────────────────────

    def _csv(self, file: BinaryIO) -> Iterator[Row]:
        csv.field_size_limit(LONGEST_LINE)
        reader = csv.reader(self._texts(file), delimiter=_SEPARATORS[self._kind], strict=True)
        number, start = 0, 1
        header: list[str] | None = None
        field = ""
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                number += 1
                yield Row(number, start, number, problem=f"not CSV ({error})")
                start = reader.line_num + 1
                continue
            line, start = start, reader.line_num + 1
            if not cells:
                continue
            if header is None:
                header = self._header(cells)
                field = self._field(header)
                continue
            number += 1
            if len(cells) != len(header):
                seen = f"{counted(len(cells), 'column')}, the header has {len(header)}"
                yield Row(number, line, number, problem=seen)
                continue
            yield self._row(number, line, dict(zip(header, cells, strict=True)), field)

    def _texts(self, file: BinaryIO) -> Iterator[str]:
        for line, data in enumerate(self._lines(file), 1):
            try:
                yield data.decode()
            except UnicodeDecodeError:
                self._no(f"it is not UTF-8 text (line {line})", "save it as UTF-8")

    def _header(self, cells: list[str]) -> list[str]:
        names = [cell.strip() for cell in cells]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            self._no(f"its header names {', '.join(map(repr, twice))} twice", "rename one column")
        return names

    # ── both ──────────────────────────────────────────────────────────────────────────────────────────────

    def _lines(self, file: BinaryIO) -> Iterator[bytes]:
        line = 0
        while data := file.readline(LONGEST_LINE):
            line += 1
            if len(data) == LONGEST_LINE and not data.endswith(b"\n"):
                self._no(f"line {line} is longer than {LONGEST_LINE // 2**20} MiB", "write one row a line")
            yield data.removeprefix(b"\xef\xbb\xbf") if line == 1 else data

    def _field(self, columns: list[str]) -> str:
        """The column that is the input; empty for the whole row."""
        if self._given is None:
            found = next((name for name in _COLUMNS if name in columns), "")
            self.whole = () if found else columns
            return found
        if self._given not in columns:
            shown = ", ".join(one_line(name, 40) for name in columns[:12])
            raise Problem(
                f"{self.path} has no column {self._given!r}",
                f"its first row has: {shown}",
                "nothing has been run or paid",
                next="--field NAME with one of these, or none for the whole row",
            )
        return self._given

    def _row(self, number: int, line: int, record: dict[str, Any], field: str) -> Row:
        id: Any = record.get("id", number)
        if isinstance(id, bool) or not isinstance(id, str | int | float):
            return Row(number, line, number, problem=f"its id is {kind_of(id)}, not text or a number")
        if id == "":
            return Row(number, line, number, problem="its id is empty")
        if not field:
            return Row(number, line, id, record)
        if field not in record:
            return Row(number, line, id, problem=f"it has no {field!r}")
        value = record[field]
        if value is None or (isinstance(value, str) and not value.strip()):
            return Row(number, line, id, problem=f"its {field!r} is {'null' if value is None else 'empty'}")
        return Row(number, line, id, value)


def _parsed(data: bytes) -> tuple[Any, str]:
    """The JSON value in a line, or what is wrong with the line."""
    try:
        return json.loads(data.decode().rstrip("\r\n"), parse_constant=_no_constant), ""
    except UnicodeDecodeError as error:
        return None, f"not UTF-8 text (byte {error.start + 1:,})"
    except json.JSONDecodeError as error:
        return None, f"not JSON ({_expected(error.msg)} at column {error.colno})"
    except RecursionError:
        return None, "not JSON that can be read (nested too deeply)"
    except ValueError as error:
        return None, f"not JSON ({one_line(str(error), 80)})"


def _expected(message: str) -> str:
    return message.removesuffix(" delimiter").removesuffix(" at").removesuffix(" starting")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON value")
