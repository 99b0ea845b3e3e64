"""Examples of a task: what went in as text, and what should come out."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, cast

from outlay.errors import ConfigError
from outlay.routing.tables import read_table

#: What an answer may be made of: a student repeats what it has seen, and seen often.
Scalar: TypeAlias = str | bool | int | float | None
_INPUTS = ("text", "input", "query", "message")
_OUTPUTS = ("output", "label", "category", "intent")


@dataclass(frozen=True, slots=True)
class Example:
    """`output` by field; an answer that is no object has the one field `""`. `digest` is that of the fixed part of the
    prompt that the answer was given to, empty where it is not known."""

    text: str
    output: Mapping[str, Scalar]
    digest: str = ""

    @property
    def mark(self) -> str:
        """The same for a text however it is spaced and capitalised."""
        plain = " ".join(unicodedata.normalize("NFKC", self.text).casefold().split())
        return hashlib.blake2b(plain.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def output_of(answer: Any) -> dict[str, Scalar] | None:
    """An answer (a value of JSON) by field; None for one with anything nested in it."""
    if isinstance(answer, Mapping):
        fields = {str(name): value for name, value in cast("Mapping[Any, Any]", answer).items()}
        if set(fields) == {"value"}:  # how a value that is no object is wrapped for a provider
            fields = {"": fields["value"]}
    else:
        fields = {"": answer}
    return fields if all(isinstance(value, Scalar | None) for value in fields.values()) else None


def read_examples(path: Path) -> list[Example]:
    """The rows of a CSV, JSONL or parquet table, with a column for the input (`text`, `input`, `query` or `message`)
    and one for the output (`output`, `label`, `category` or `intent`); an output that is a JSON object has fields.

    Raises ConfigError for a table that cannot be read, lacks a column, or has an output with something nested in it.
    """
    found: list[Example] = []
    for number, row in read_table(path, (*_INPUTS, *_OUTPUTS)):
        text = next((row[name] for name in _INPUTS if row.get(name) not in (None, "")), None)
        said = next((row[name] for name in _OUTPUTS if row.get(name) not in (None, "")), None)
        if text is None or said is None:
            missing = _INPUTS if text is None else _OUTPUTS
            raise ConfigError(
                f"{path.name}, row {number:,}: no {', '.join(missing[:-1])} or {missing[-1]}",
                hint="every row needs a text and an output",
            )
        output = output_of(_json(said))
        if output is None:
            raise ConfigError(f"{path.name}, row {number:,}: the output has something nested in it")
        found.append(Example(str(text), output))
    if not found:
        raise ConfigError(f"{path.name} has no rows")
    return found


def _json(said: Any) -> Any:
    if isinstance(said, str) and said.lstrip()[:1] == "{":
        try:
            return json.loads(said)
        except (ValueError, RecursionError):
            pass
    return said


@dataclass(frozen=True, slots=True)
class Settled:
    """Examples with each text once. `repeated` rows said the same again; of `contradicted` texts the commonest answer
    was kept, the first among equals."""

    examples: Sequence[Example]
    repeated: int
    contradicted: int


def settle(examples: Sequence[Example]) -> Settled:
    """Each text once, so that none stands on both sides of a split."""
    by_mark: dict[str, list[Example]] = {}
    for example in examples:
        by_mark.setdefault(example.mark, []).append(example)
    kept: list[Example] = []
    contradicted = 0
    for same in by_mark.values():
        votes = Counter(tuple(sorted(example.output.items())) for example in same)
        contradicted += len(votes) > 1
        winner = votes.most_common(1)[0][0]
        kept.append(next(example for example in same if tuple(sorted(example.output.items())) == winner))
    return Settled(kept, len(examples) - len(kept), contradicted)
