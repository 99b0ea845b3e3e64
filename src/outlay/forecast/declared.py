"""Assumptions as a file declares them, in TOML:

subtasks = 4                          # of a supervisor's plan; items, batch_seconds likewise
[everyone]
failure = 0.01
[agents.reply]                        # or "reply@openai:gpt-5.4-mini", or a pattern's name
output_tokens = { median = 120, spread = 0.4 }
right = { sound = 0.97, flawed = 0.2, detection = 0.9, correlation = 0.3, retries = 1 }
[routes.triage]                       # how often each label comes up
billing = 0.4
technical = 0.6
[confusion.triage]                    # where each is sent, and how often who gets it there is right about it
sent.billing = { billing = 0.9, technical = 0.1 }
sent.technical = { technical = 1.0 }
right.billing = { billing = 0.95 }
right.technical = { technical = 0.95, billing = 0.2 }
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, TypeVar, cast

from outlay.errors import ConfigError
from outlay.forecast.assumptions import Assumptions, Confusion
from outlay.forecast.distributions import Distribution, Empirical, Lognormal
from outlay.forecast.expect import Expect
from outlay.forecast.reliability import Step

_DISTRIBUTIONS = ("output_tokens", "seconds", "tool_seconds")
_NUMBERS = ("subtasks", "items")
_TABLES = ("agents", "everyone", "routes", "confusion", "batch_seconds")
Value = TypeVar("Value")


def assumptions_in(text: str, where: str) -> Assumptions:
    """Raises ConfigError that names the file, the table and what is wrong."""
    table = table_of(text, where)
    if unknown := [name for name in table if name not in (*_NUMBERS, *_TABLES)]:
        raise ConfigError(f"{where}: there is no {unknown[0]!r}", hint=f"there are {', '.join((*_NUMBERS, *_TABLES))}")
    for name in _NUMBERS:
        value = table.get(name)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
            raise ConfigError(f"{where}: {name} is a whole number from 1 on, not {value!r}")
    batch = table.get("batch_seconds")
    return Assumptions(
        agents={
            name: expectation(given, f"{where}, agents.{name}")
            for name, given in _table(table, "agents", where).items()
        },
        everyone=expectation(_table(table, "everyone", where), f"{where}, everyone"),
        routes={name: _shares(row, f"{where}, routes.{name}") for name, row in _table(table, "routes", where).items()},
        confusion={
            name: _confusion(given, f"{where}, confusion.{name}")
            for name, given in _table(table, "confusion", where).items()
        },
        subtasks=table.get("subtasks"),
        items=table.get("items"),
        batch_seconds=None if batch is None else _made(lambda: _distribution(batch), f"{where}, batch_seconds"),
    )


def table_of(text: str, where: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"cannot read {where}: {error}", hint="it is a TOML file") from None


def expectation(given: Any, where: str) -> Expect:
    """One agent's table: the fields of `Expect`. Raises ConfigError."""
    table = _mapping(given, where)
    known = [field.name for field in fields(Expect)]
    if unknown := [name for name in table if name not in known]:
        raise ConfigError(f"{where}: there is no {unknown[0]!r}", hint=f"there are {', '.join(known)}")
    return _made(lambda: Expect(**{name: _field(name, value) for name, value in table.items()}), where)


def _field(name: str, value: Any) -> Any:
    if name in _DISTRIBUTIONS:
        return _distribution(value)
    if name == "right" and isinstance(value, dict):
        return Step(**_only(cast("dict[str, Any]", value), [field.name for field in fields(Step)], ["sound"]))
    return _number(value)


def _distribution(value: Any) -> Distribution | float:
    """A number, `{ median, spread }` (lognormal) or `{ values }` (as likely each)."""
    if not isinstance(value, dict):
        return _number(value)
    table = cast("dict[str, Any]", value)
    if "values" in table:
        values = table["values"]
        if not isinstance(values, list):
            raise ValueError("values is a list of numbers")
        return Empirical(tuple(map(_number, cast("list[Any]", values))))
    return Lognormal(**_only(table, ["median", "spread"], ["median", "spread"]))


def _only(value: Mapping[str, Any], known: Sequence[str], needed: Sequence[str]) -> dict[str, Any]:
    if strange := [name for name in value if name not in known]:
        raise ValueError(f"there is no {strange[0]!r}; there are {', '.join(known)}")
    if lacking := [name for name in needed if name not in value]:
        raise ValueError(f"{lacking[0]} is missing")
    return {name: int(number) if (number := _number(one)).is_integer() else number for name, one in value.items()}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is not a number")
    return float(value)


def _confusion(given: Any, where: str) -> Confusion:
    table = _mapping(given, where)
    sent, right = (
        {label: _shares(row, f"{where}.{part}.{label}") for label, row in _table(table, part, where).items()}
        for part in ("sent", "right")
    )
    return _made(lambda: Confusion(sent, right), where)


def _shares(given: Any, where: str) -> dict[str, float]:
    return _made(lambda: {label: _number(share) for label, share in _mapping(given, where).items()}, where)


def _made(make: Callable[[], Value], where: str) -> Value:
    try:
        return make()
    except ValueError as error:
        raise ConfigError(
            f"{where}: {error}",
            hint="such a file has lines like [agents.reply] output_tokens = { median = 120, spread = 0.4 }; "
            "docs/guide/forecast.md shows all of it",
        ) from None


def _table(table: Mapping[str, Any], name: str, where: str) -> dict[str, Any]:
    return _mapping(table.get(name, {}), f"{where}, {name}")


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where} is a table, not {value!r}", hint=f"write [{where.rpartition(', ')[2]}]")
    return cast("dict[str, Any]", value)


__all__ = ["assumptions_in", "expectation", "table_of"]
