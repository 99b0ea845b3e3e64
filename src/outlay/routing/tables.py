"""Tables in files: rows of CSV, JSONL or parquet as mappings, whatever they mean."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from outlay.errors import ConfigError

_LONGEST_FIELD = 32 * 2**20
_A_LINE = "a line is one JSON object: mend it, or take it out"
Rows: TypeAlias = Iterator[tuple[int, Mapping[str, Any]]]


def read_table(path: Path, columns: Collection[str] | None = None) -> Rows:
    """The rows with their number from 1 (of JSONL the line's). CSV gives text, the others what they hold.

    Of parquet only `columns` are read, which is what may be large there. Raises ConfigError, at the latest at the row
    it is about, for a file that cannot be read or is not what its name says.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ConfigError(f"cannot tell what {path.name} is", hint="give a table that ends in .csv, .jsonl or .parquet")
    try:
        yield from reader(path, columns)
    except OSError as error:
        raise ConfigError(
            f"cannot read {path.name}: {(error.strerror or str(error)).lower()}",
            hint="check the path: it is read from the folder you are in",
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path.name} is not UTF-8 text (byte {error.start:,})", hint="save it as UTF-8") from None


def _csv(path: Path, columns: Collection[str] | None) -> Rows:
    csv.field_size_limit(_LONGEST_FIELD)
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            yield from enumerate(csv.DictReader(file, strict=True), 1)
        except csv.Error as error:
            raise ConfigError(f"{path.name} is not CSV: {error}", hint="write it with a CSV writer") from None


def _jsonl(path: Path, columns: Collection[str] | None) -> Rows:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row: Any = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ConfigError(f"{path.name}, line {number:,} is not JSON: {error}", hint=_A_LINE) from None
            if not isinstance(row, dict):
                raise ConfigError(f"{path.name}, line {number:,} is not a JSON object", hint=_A_LINE)
            yield number, cast("dict[str, Any]", row)


def _parquet(path: Path, columns: Collection[str] | None) -> Rows:
    try:
        from arro3.io import read_parquet
    except ImportError:
        raise ConfigError(
            "reading parquet needs arro3-io, which is not installed",
            hint="pip install 'outlay[parquet]', or give the table as CSV or JSONL",
        ) from None
    content = path.read_bytes()
    if len(content) < 12 or content[:4] != b"PAR1" or content[-4:] != b"PAR1":  # the reader panics on less
        raise ConfigError(f"{path.name} is not parquet")
    number = 0
    try:
        batches: Any = read_parquet(io.BytesIO(content))
        for batch in batches:
            names = [name for name in batch.schema.names if columns is None or name in columns]
            values: list[list[Any]] = [batch.column(name).to_pylist() for name in names]
            for row in zip(*values, strict=True):
                number += 1
                yield number, dict(zip(names, row, strict=True))
    except ConfigError:
        raise
    except Exception as error:  # the reader's own errors are plain exceptions
        raise ConfigError(f"{path.name} is not parquet: {str(error)[:200]}") from None


_READERS: Mapping[str, Callable[[Path, Collection[str] | None], Rows]] = {
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
}
