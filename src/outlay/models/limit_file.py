"""Limits and time-outs from `outlay.toml`, beside the prices.

[limits."anthropic:claude-haiku-4-5"]     # or [limits.anthropic]: for each of its models
requests_per_minute = 50
tokens_per_minute = 30000                 # input tokens
concurrency = 8                           # calls at once

[timeouts]                                # in seconds
connect = 10
first_byte = 120                          # of a streamed answer
silence = 120                             # between two pieces of a body
total = 600
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from outlay.errors import ConfigError
from outlay.policies.lane import LaneLimits
from outlay.protocols.transport import Timeouts


def find_limits(folder: Path | None = None) -> Mapping[str, LaneLimits]:
    """The `limits` of `outlay.toml` in `folder` (the current one), by model or provider.

    Raises ConfigError that names the file and the key.
    """
    path = _file(folder)
    found = _section(path, "limits")
    limits: dict[str, LaneLimits] = {}
    for name, entry in found.items():
        if not isinstance(entry, dict):
            raise _wrong(path, f"limits.{name!r}", "is a table", "requests_per_minute = 50")
        limits[name] = LaneLimits(**_numbers(path, f"limits.{name!r}", cast("dict[str, Any]", entry), LaneLimits))
    return limits


def find_timeouts(folder: Path | None = None) -> Timeouts:
    """The `timeouts` of `outlay.toml`, else the defaults. Raises ConfigError like `find_limits`."""
    path = _file(folder)
    return Timeouts(**_numbers(path, "timeouts", _section(path, "timeouts"), Timeouts))


def _file(folder: Path | None) -> Path:
    return (folder or Path.cwd()) / "outlay.toml"


def _section(path: Path, name: str) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        section: Any = tomllib.loads(path.read_text(encoding="utf-8")).get(name, {})
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    if not isinstance(section, dict):
        raise _wrong(path, name, "is a table", f"[{name}]")
    return cast("dict[str, Any]", section)


def _numbers(path: Path, name: str, entry: Mapping[str, Any], kind: type[Any]) -> dict[str, Any]:
    known = [field.name for field in fields(kind)]
    for key, value in entry.items():
        if key not in known:
            raise _wrong(path, f"{name}, {key}", "is unknown", f"one of {', '.join(known)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise _wrong(path, f"{name}, {key}", f"is a number above 0, not {value!r}", f"{key} = 60")
    return dict(entry)


def _wrong(path: Path, what: str, problem: str, right: str) -> ConfigError:
    return ConfigError(f"{path}: {what} {problem}", hint=f"write {right}")
