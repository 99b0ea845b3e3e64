"""The deterministic checks of the triage flow: each gives None, or says what is wrong so that the agent can
mend it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

from triage_knowledge import Library
from triage_types import Passage

_CITATION: Final = re.compile(r"\[([A-Za-z0-9][A-Za-z0-9_-]*)\]")


def cited(text: str) -> list[str]:
    """Sources cited as [source], each once, in order of appearance."""
    return list(dict.fromkeys(_CITATION.findall(text)))


def citation_fault(text: str, sources: Collection[str]) -> str | None:
    """A reply cites at least one of `sources` and nothing else."""
    found = cited(text)
    if not found:
        return f"no citation; cite what you used as [source], out of: {', '.join(sorted(sources))}"
    if strange := [source for source in found if source not in sources]:
        return f"cites {', '.join(strange)}, which was not found; cite only: {', '.join(sorted(sources))}"
    return None


def passage_fault(passages: Iterable[Passage], library: Library) -> str | None:
    """Every passage stands word for word in the article that it names: nothing was invented on the way."""
    for passage in passages:
        if not library.contains(passage):
            return (
                f"this passage is not in the article {passage.source!r}: {passage.text[:80]!r}; "
                "copy passages exactly from the results of search_docs"
            )
    return None
