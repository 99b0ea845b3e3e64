"""Tables of recorded outcomes: which model answered which question, how well, and at what cost."""

from __future__ import annotations

import hashlib
import math
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from outlay.errors import ConfigError
from outlay.routing.tables import read_table

_NEEDED = ("query", "model", "correct")
_COLUMNS = (*_NEEDED, "query_id", "response", "cost")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One model's answer to one question: `correct` from 0 to 1, its text (empty where it was not kept), its cost in
    the table's own unit, None if unknown."""

    correct: float
    response: str = ""
    cost: float | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question and what each model made of it. What else a table says of it (data set, category) is not kept: a
    router must not learn from what no question in use will come with."""

    id: str
    query: str
    outcomes: Mapping[str, Outcome]

    @property
    def mark(self) -> str:
        """A hash of the question, the same however it is spaced and capitalised: what a router has seen of it."""
        plain = " ".join(unicodedata.normalize("NFKC", self.query).casefold().split())
        return hashlib.blake2b(plain.encode(errors="surrogatepass"), digest_size=8).hexdigest()


def read_outcomes(path: Path) -> list[Question]:
    """The questions of a CSV, JSONL or parquet table, one row for each model's answer.

    Columns: `query, model, correct`, and where there are `query_id`, `response`, `cost`. Raises ConfigError for a table
    that cannot be read, lacks a column, or answers a question twice by one model.
    """
    return _questions(read_table(path, _COLUMNS), path.name)


def both(questions: Sequence[Question], cheap: str, strong: str) -> list[Question]:
    """The questions that both models answered. Raises ConfigError for a model that answered none."""
    if cheap == strong:
        raise ConfigError(f"the cheap and the strong model are both {cheap!r}")
    models = sorted({model for question in questions for model in question.outcomes})
    for model in (cheap, strong):
        if model not in models:
            shown = ", ".join(models[:12]) or "none"
            raise ConfigError(f"no row is of the model {model!r}", hint=f"the table has {shown}")
    found = [q for q in questions if cheap in q.outcomes and strong in q.outcomes]
    if not found:
        raise ConfigError(f"no question was answered by both {cheap} and {strong}")
    return found


def _questions(rows: Iterable[tuple[int, Mapping[str, Any]]], table: str) -> list[Question]:
    queries: dict[str, str] = {}
    answers: dict[str, dict[str, Outcome]] = {}
    for number, row in rows:
        if missing := [name for name in _NEEDED if row.get(name) is None or row.get(name) == ""]:
            raise ConfigError(
                f"{table}, row {number:,}: no {' and no '.join(missing)}",
                hint=f"every row needs {', '.join(_NEEDED)}",
            )
        query, model = str(row["query"]), str(row["model"])
        id = str(row.get("query_id") or query)
        if queries.setdefault(id, query) != query:
            raise ConfigError(f"{table}, row {number:,}: {id[:80]!r} is two different questions")
        outcomes = answers.setdefault(id, {})
        if model in outcomes:
            raise ConfigError(
                f"{table}, row {number:,}: {model} answers {id[:80]!r} a second time",
                hint="keep one row for each question and model",
            )
        correct = _number(row["correct"])
        if correct is None or not 0 <= correct <= 1:
            raise ConfigError(f"{table}, row {number:,}: correct is {row['correct']!r}, not between 0 and 1")
        outcomes[model] = Outcome(correct, str(row.get("response") or ""), _number(row.get("cost")))
    if not queries:
        raise ConfigError(f"{table} has no rows")
    return [Question(id, query, answers[id]) for id, query in queries.items()]


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return {"true": 1.0, "false": 0.0}.get(str(value).strip().lower())
    return number if math.isfinite(number) else None
