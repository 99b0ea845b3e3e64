"""What somebody has decided about the checks of a flow: which to be silent about, and which points hold for certain.

# outlay.toml
[check]
silence = ["dearest-model", "judge-family:panel"]     # a warning or a point by its id, or in one place
holds = ["trace-and-alerts"]                          # points that cannot be known from here, and hold
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from outlay.advice.checklist import POINTS
from outlay.advice.rulebook import RULES
from outlay.errors import ConfigError

FILE = "outlay.toml"
_EXAMPLES = {"silence": '["dearest-model"]', "holds": '["trace-and-alerts"]'}


@dataclass(frozen=True, slots=True)
class Settings:
    """Raises ConfigError for an id that there is not."""

    silence: frozenset[str] = frozenset()
    holds: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        points = [point.id for point in POINTS]
        _check("silence", self.silence, [rule.id for rule in RULES] + points)
        _check("holds", self.holds, points)

    def also(self, silence: Iterable[str], holds: Iterable[str]) -> Settings:
        return Settings(self.silence | set(silence), self.holds | set(holds))


def _check(what: str, given: Iterable[str], known: list[str]) -> None:
    for one in sorted(given):
        name = one.partition(":")[0]
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            raise ConfigError(
                f"{what}: there is no {name!r}", hint=f"use {close[0]}" if close else f"one of {', '.join(known)}"
            )


def read_settings(folder: Path | None = None) -> Settings:
    """The section `check` of `outlay.toml` in a folder (the current one). Raises ConfigError that names the file."""
    path = (folder or Path.cwd()) / FILE
    if not path.is_file():
        return Settings()
    try:
        section: Any = tomllib.loads(path.read_text(encoding="utf-8")).get("check", {})
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: `check` is a table", hint="write [check]")
    found: dict[str, frozenset[str]] = {}
    for key, value in cast("dict[str, Any]", section).items():
        if key not in _EXAMPLES:
            raise ConfigError(f"{path}: check.{key} is unknown", hint=f"one of {', '.join(_EXAMPLES)}")
        ids: list[Any] = cast("list[Any]", value) if isinstance(value, list) else [None]
        if not all(isinstance(one, str) for one in ids):
            raise ConfigError(f"{path}: check.{key} is a list of ids", hint=f"write {key} = {_EXAMPLES[key]}")
        found[key] = frozenset(ids)
    try:
        return Settings(**found)
    except ConfigError as error:
        error.message = f"{path}: check.{error.message}"
        raise
