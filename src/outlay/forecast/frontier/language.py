"""A space as users write it: `models=reply:anthropic:claude-haiku-4-5|openai:gpt-5.4-mini retries=0..2`, or a table in
TOML. The words are in `levers`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from outlay.errors import ConfigError
from outlay.forecast.declared import expectation, table_of
from outlay.forecast.expect import Expect
from outlay.forecast.frontier.designs import Lever, Space
from outlay.forecast.frontier.levers import NAMES, lever
from outlay.protocols.node import Node

_BETWEEN_LEVERS = re.compile(r"[\s,;]+")
#: Kinds whose settings name no node.
_NAMELESS = ("without", "lane")
#: One lever as it was written: kind, node (empty: all that have it), settings.
Written = tuple[str, str, tuple[str, ...]]


def space_of(root: Node[Any, Any], written: Iterable[Written]) -> Space:
    """The space over this flow. What is said twice of one lever (`models=` and `cascade=` of an agent) is one lever.

    Raises ConfigError for a word that is none, and for a space without any choice.
    """
    levers: dict[str, Lever] = {}
    for kind, name, settings in written:
        for found in lever(root, kind, name, settings):
            before = levers.get(found.name)
            known = () if before is None else before.choices
            labels = {choice.label for choice in known}
            more = tuple(choice for choice in found.choices if choice.label not in labels)
            levers[found.name] = Lever(found.name, (*known, *more))
    some = tuple(one for one in levers.values() if len(one.choices) > 1)
    if not some:
        raise ConfigError(
            "the space is empty: every setting is what the flow has already",
            hint="name another model or number, for example retries=0..2",
        )
    return Space(some)


def written(text: str) -> list[Written]:
    """The levers of a text, separated by blanks or commas. Raises ConfigError."""
    return [_one(word) for word in _BETWEEN_LEVERS.split(text.strip()) if word]


def _one(word: str) -> Written:
    kind, equals, rest = word.partition("=")
    if kind not in NAMES or not equals or not rest:
        raise ConfigError(
            f"{word!r} is no lever",
            hint=f"write LEVER=SETTINGS, with one of {', '.join(NAMES)}; for example retries=0..2",
        )
    name = ""
    if kind in ("models", "cascade"):
        name, colon, rest = rest.partition(":")
        if not colon or not rest:
            raise ConfigError(
                f"{word!r} does not say for which agent, or which model",
                hint=f"{kind}=AGENT:PROVIDER:NAME|PROVIDER:NAME",
            )
    elif kind not in _NAMELESS and ":" in rest:
        name, _, rest = rest.partition(":")
    settings = tuple(setting for setting in rest.split("|") if setting)
    if not settings:
        raise ConfigError(f"{word!r} has no setting", hint=f"{kind}={name + ':' if name else ''}A|B")
    return kind, name, settings


def from_toml(text: str, where: str) -> tuple[list[Written], dict[str, Expect]]:
    """Levers and expectations of a TOML file: `[models]` `reply = ["anthropic:…", "openai:…"]`, `[retries]` `reply =
    "0..2"`, `retries = "0..2"` for all, and `[expect."reply@openai:gpt-5.4-mini"]` with fields of `Expect`.

    Raises ConfigError that names the file.
    """
    table = table_of(text, where)
    expected = {
        name: expectation(given, f"{where}, expect.{name}")
        for name, given in _table(table.pop("expect", {}), where).items()
    }
    found: list[Written] = []
    for kind, value in table.items():
        if kind not in NAMES:
            raise ConfigError(f"{where}: there is no lever {kind!r}", hint=f"there are {', '.join(NAMES)}, and expect")
        if isinstance(value, Mapping):
            of = cast("Mapping[str, Any]", value)
            found += [(kind, name, _settings(given)) for name, given in of.items()]
        else:
            found += [(kind, "", _settings(value))]
    return found, expected


def _settings(value: Any) -> tuple[str, ...]:
    if isinstance(value, list | tuple):
        return tuple(str(one) for one in cast("Sequence[Any]", value))
    return tuple(str(value).split("|"))


def _table(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ConfigError(f"{where}: expect is a table", hint='[expect."AGENT@MODEL"]')
    return cast("dict[str, Any]", value)
