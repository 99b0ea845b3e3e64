"""Data sets: the cases that flows are measured on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outlay.errors import ConfigError
from outlay.routing.tables import read_table

_INPUTS = ("input", "text")


@dataclass(frozen=True, slots=True)
class Case:
    """One input and what is expected of its output: a value, a pattern, a schema, whatever the checker goes by; None
    where it goes by nothing but the output."""

    id: str
    input: Any
    expected: Any = None

    @property
    def mark(self) -> str:
        """A digest of id and input: it changes where a run for the one would not do for the other."""
        written = json.dumps([self.id, self.input], sort_keys=True, default=str)
        return hashlib.blake2b(written.encode(errors="surrogatepass"), digest_size=8).hexdigest()


@dataclass(frozen=True, slots=True)
class Dataset:
    """Cases in their order, as a tuple. Raises ConfigError where there are none, or two have one id."""

    cases: Sequence[Case]
    name: str = "cases"

    def __post_init__(self) -> None:
        object.__setattr__(self, "cases", tuple(self.cases))
        if not self.cases:
            raise ConfigError(f"{self.name} has no cases", hint="give a row for each case: id, input, expected")
        seen: dict[str, int] = {}
        for number, case in enumerate(self.cases, 1):
            if (first := seen.setdefault(case.id, number)) != number:
                raise ConfigError(
                    f"{self.name}: cases {first:,} and {number:,} have the same id {case.id[:80]!r}",
                    hint="a case is known by its id: give each its own",
                )

    def __len__(self) -> int:
        return len(self.cases)

    def __iter__(self) -> Iterator[Case]:
        return iter(self.cases)

    @staticmethod
    def read(path: str | Path) -> Dataset:
        """The cases of a JSONL, CSV or parquet file: the columns `id`, `input` (or `text`) and `expected`.

        Without a column `id` the row's number is its id; without `expected` nothing is expected. Raises ConfigError for
        a file that cannot be read, has no rows or no inputs, and for ids that are missing in some rows or there twice.
        """
        file = Path(path)
        rows = read_table(file, ("id", *_INPUTS, "expected"))
        return Dataset(tuple(_cases(rows, file.name)), file.name)


def _cases(rows: Iterable[tuple[int, Mapping[str, Any]]], name: str) -> Iterator[Case]:
    file_is_csv = name.lower().endswith(".csv")
    column = ""
    numbered: bool | None = None
    for number, row in rows:
        where = f"{name}, row {number:,}"
        # What csv puts for cells too many, and for cells too few; elsewhere None is a value.
        if None in row or (file_is_csv and None in row.values()):
            raise ConfigError(f"{where} has not as many cells as the header", hint="quote cells that hold a comma")
        if numbered is None:
            column = next((one for one in _INPUTS if one in row), "")
            numbered = "id" not in row
            if not column:
                shown = ", ".join(list(row)[:12]) or "none"
                raise ConfigError(f"{name} has no column 'input' (it has: {shown})", hint="name the column `input`")
        given = row.get(column)
        if given is None or (isinstance(given, str) and not given.strip()):
            raise ConfigError(f"{where} has no {column}", hint="every case needs an input")
        yield Case(str(number) if numbered else _id(row.get("id"), where), given, row.get("expected"))


def _id(given: Any, where: str) -> str:
    if given is None or isinstance(given, bool) or not isinstance(given, str | int | float) or given == "":
        raise ConfigError(f"{where} has no id that is text or a number", hint="give every case an id, or none of them")
    return str(given)
