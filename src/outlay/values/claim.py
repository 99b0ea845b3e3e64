"""Claims: what an agent says is so, who said it first and what it rests on; and contradictions between workers."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypeVar, cast

A = TypeVar("A")
#: A number as text: a sign, thousands in threes, decimals, an exponent of a size that can be compared.
_NUMBER = re.compile(r"[-+]?(?:\d{1,3}(?:,\d{3})+|\d{1,40})?(?:\.\d{1,40})?(?:e[-+]?\d{1,3})?", re.ASCII)


@dataclass(frozen=True)
class Claim:
    """One thing that is said to be so: the value of a subject, how sure (0 to 1), and the source it rests on."""

    subject: str
    value: str | int | float | bool
    confidence: float | None = None
    source: str = ""
    #: The path of the agent that said it first. Filled in by the runtime: no model can write it, it is in no schema.
    by: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by", "")
        if self.confidence is not None and not 0 <= self.confidence <= 1:
            raise ValueError(f"confidence is from 0 to 1, not {self.confidence}")

    @property
    def about(self) -> str:
        """The subject as it is compared: case, spacing and forms of letters aside."""
        return _plain(self.subject)

    def agrees_with(self, other: Claim) -> bool:
        """Is this the same value? Numbers by size, `1,000` too; text but for case and spacing.

        A subclass may know better: a tolerance, units.
        """
        return comparable(self.value) == comparable(other.value)

    def said_by(self, path: str, source: str = "") -> Claim:
        """This claim as that of the node at `path`; what it rests on where nothing is named yet. For functions: the
        claims of an agent are marked when its answer is read.
        """
        mine = dataclasses.replace(self, source=self.source or source)
        object.__setattr__(mine, "by", path)
        return mine


@dataclass(frozen=True)
class Statement:
    """One side of a contradiction: which worker in which subtask says what, how sure, and by which source."""

    worker: str
    value: str | int | float | bool
    confidence: float | None = None
    source: str = ""
    subtask: str = ""
    by: str = ""


@dataclass(frozen=True)
class Contradiction:
    """Workers that say different things of one subject, and what each of them says."""

    subject: str
    claims: list[Statement]
    #: `comparison`: found by comparing claims, the same each time. `opinion`: somebody says so. In no schema.
    found: Literal["comparison", "opinion"] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "found", "opinion")

    @property
    def about(self) -> str:
        return _plain(self.subject)

    @classmethod
    def compared(cls, subject: str, claims: Iterable[Statement]) -> Contradiction:
        """One that stands in the claims themselves, whoever looks."""
        found = cls(subject, list(claims))
        object.__setattr__(found, "found", "comparison")
        return found


def comparable(value: Any) -> Any:
    """A value as claims compare it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = _plain(str(value)).rstrip(".")
    if text and any(map(str.isdigit, text)) and _NUMBER.fullmatch(text):
        return Decimal(text.replace(",", ""))
    return text


def found_in(value: Any, kind: type[A]) -> Iterator[A]:
    """Every instance of `kind` in a value: in lists, mappings, dataclasses and pydantic models, in their order."""
    stack: list[Any] = [value]
    seen: set[int] = set()
    while stack:
        one = stack.pop()
        if one is None or isinstance(one, str | bytes | int | float) or id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, kind):
            yield one
        else:
            stack.extend(reversed(list(_parts(one))))


def _parts(value: Any) -> Iterable[Any]:
    whole: Any = getattr(value, "whole", value)  # `Results` show a long one by its beginning
    if isinstance(value, Mapping):
        return whole.values()
    if isinstance(value, list | tuple):
        return whole
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return [getattr(value, f.name, None) for f in dataclasses.fields(value)]
    is_model = hasattr(cast("Any", type(value)), "model_fields")
    return cast("Iterable[Any]", vars(value).values()) if is_model else ()


def attribute(output: Any, path: str, given: Iterable[Any]) -> None:
    """Mark the claims in a fresh output with who said them first.

    One that repeats a claim of `given` (same subject and value, and its source or none) stays that one's, with its
    source; any other is that of the agent at `path`.
    """
    fresh = [claim for claim in found_in(output, Claim) if not claim.by]
    if not fresh:
        return
    earlier: dict[str, list[Claim]] = {}
    for known in found_in(list(given), Claim):
        if known.by:
            earlier.setdefault(known.about, []).append(known)
    for claim in fresh:
        first = next((known for known in earlier.get(claim.about, ()) if _repeats(claim, known)), None)
        object.__setattr__(claim, "by", path if first is None else first.by)
        if first is not None:
            object.__setattr__(claim, "source", first.source)


def _repeats(claim: Claim, known: Claim) -> bool:
    return claim.source in ("", known.source) and comparable(claim.value) == comparable(known.value)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
