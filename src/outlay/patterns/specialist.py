"""Specialist: a member of a blackboard, with what it reads and what it may write."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, cast

from outlay.agents.function import as_node
from outlay.errors import ConfigError, OutputInvalid
from outlay.patterns.entry_types import adapter_of, problems_of
from outlay.protocols.node import Node

#: Entries with the types that a specialist declares for them; None leaves the type to the board.
Declared = Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Specialist:
    """`node` gets a dict of the entries it `reads`, and gives what it writes: a mapping of entry to value (or an object
    with a field for each), of the entry's value itself where it writes one; None is no write. A mapping is always read
    as entries.

    `reads` and `writes` are names, or names with the types that the values must have.
    """

    node: Node[Any, Any]
    reads: Sequence[str] | Mapping[str, Any]
    writes: Sequence[str] | Mapping[str, Any]

    def __post_init__(self) -> None:
        object.__setattr__(self, "node", as_node(self.node))
        for use in ("reads", "writes"):
            object.__setattr__(self, use, _declared(self.node.name, use, getattr(self, use)))

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def declared(self) -> tuple[tuple[str, Any], ...]:
        """Every entry with the type that is declared for it, where one is."""
        both = (cast("Declared", self.reads), cast("Declared", self.writes))
        return tuple((name, kind) for names in both for name, kind in names.items() if kind is not None)


def writes_of(specialist: Specialist, output: Any, types: Mapping[str, Any]) -> dict[str, Any]:
    """What a specialist's output writes, by entry. Raises OutputInvalid for what it may not write, or not like this."""
    may = tuple(specialist.writes)
    found = _read(output, may)
    problems = [f"{name!r} is none of the entries it may write" for name in found if name not in may]
    problems = problems or problems_of(found, types)
    if problems:
        raise OutputInvalid(
            f"{specialist.name} wrote what it may not: {'; '.join(problems)}",
            output=str(output)[:2_000],
            problem="; ".join(problems),
            hint=f"it may write {', '.join(may)}: a mapping of entry to value, each of the entry's type",
        )
    return found


def _read(output: Any, may: tuple[str, ...]) -> dict[str, Any]:
    if output is None:
        return {}
    if isinstance(output, Mapping):
        return {str(name): value for name, value in cast("Mapping[Any, Any]", output).items()}
    if len(may) == 1:
        return {may[0]: output}
    if dataclasses.is_dataclass(output):
        names: Iterable[str] = (field.name for field in dataclasses.fields(output))
    else:
        names = getattr(cast("Any", type(output)), "model_fields", None) or ()
    fields = {name: getattr(output, name) for name in names}
    if not fields:
        raise OutputInvalid(
            f"it writes {', '.join(may)} and gave {type(output).__name__}, which does not say what is what",
            output=str(output)[:2_000],
            problem="not a mapping of entry to value",
            hint="give a mapping of entry to value, or an object with a field for each entry",
        )
    return {name: value for name, value in fields.items() if value is not None}


def _declared(name: str, use: str, given: Any) -> Declared:
    if isinstance(given, Mapping):
        found = dict(cast("Mapping[Any, Any]", given))
    elif isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigError(
            f"Specialist {name}: {use}={given!r} is not a list of entries", hint=f"write {use}=[{given!r}]"
        )
    else:
        found = dict.fromkeys(cast("Iterable[Any]", given))
    if not found:
        what = "reads nothing, and would never fire" if use == "reads" else "writes nothing, and nobody would notice"
        hint = 'reads=["input"]' if use == "reads" else 'writes=["draft"]'
        raise ConfigError(f"Specialist {name} {what}", hint=hint)
    for entry, kind in found.items():
        if not isinstance(entry, str) or not entry:
            raise ConfigError(f"Specialist {name}: {use}= names entries by text, not {entry!r}")
        if kind is not None:
            adapter_of(kind)
    return MappingProxyType(found)
