"""Every claim cites a source, and every source cited exists."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import Any, Literal, cast, overload

from outlay.checkers.checker import (
    Checker,
    ContextChecker,
    named,
    named_with_context,
    shown,
    text_of,
    too_long,
)
from outlay.errors import ConfigError
from outlay.protocols.context import RunContext
from outlay.values.content import ToolResult

#: `[source-id]`, and `[a, b]` for several. A Markdown link `[text](address)` is no citation.
PATTERN = r"\[([\w.:/#?&=%~+@-]+(?:\s*[,;]\s*[\w.:/#?&=%~+@-]+)*)\](?!\()"
#: Where tools that answer in JSON put the name of a source.
_JSON_ID = re.compile(
    r'"(?:id|source|source_id|doc_id|document_id|url|uri|ref|key)"\s*:\s*(?:"([^"\\]{1,500})"|(\d{1,30}))'
)
_URL = re.compile(r"https?://[^\s\"'<>\])}]{1,2000}")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|cf|al|approx|ca|Dr|Mr|Mrs|Ms|Prof|St|No|Fig|Eq|Sec)\.$")
_MOST_SHOWN = 3

Per = Literal["sentence", "paragraph", "answer"]


@overload
def citations(
    sources: Collection[str],
    *,
    pattern: str = PATTERN,
    per: Per = "sentence",
    cited: Callable[[Any], Iterable[str]] | None = None,
) -> Checker: ...
@overload
def citations(
    sources: None = None,
    *,
    pattern: str = PATTERN,
    per: Per = "sentence",
    cited: Callable[[Any], Iterable[str]] | None = None,
) -> ContextChecker: ...
def citations(
    sources: Collection[str] | None = None,
    *,
    pattern: str = PATTERN,
    per: Per = "sentence",
    cited: Callable[[Any], Iterable[str]] | None = None,
) -> Checker | ContextChecker:
    """Passes an output in which each claim cites at least one source, and only sources that exist.

    `sources` are the ids that exist; without them, those that the agent's tools gave: what `pattern` finds in their
    text, values of JSON keys such as `id`, `source` and `url`, and addresses. Errors of tools give none.
    A claim is a sentence (or `per` a paragraph, or the whole answer); headings, questions and lines that end in a
    colon claim nothing. `pattern` has one group, the id or several with commas. For structured outputs give
    `cited`, a function from a claim to its source ids: a list is then a list of claims.
    """
    try:
        compiled = re.compile(pattern)
        several = re.compile(rf"(?:(?:{pattern})[\s.]*)+")
    except re.error as error:
        raise ConfigError(f"citations(pattern={pattern!r}): {error}") from error
    if compiled.groups != 1:
        raise ConfigError(f"citations(pattern={pattern!r}) must have one group, the source id")
    if isinstance(sources, str):
        raise ConfigError("citations(sources=…) takes a list of ids", hint=f"write citations([{sources!r}])")

    def problem(output: Any, known: frozenset[str]) -> str | None:
        if cited is not None:
            claims = [(text_of(claim), list(cited(claim))) for claim in _items(output)]
        else:
            text = text_of(output)
            if (long := too_long(text)) is not None:
                return long
            claims = [(claim, _ids(compiled, claim)) for claim in _claims(text, per, compiled, several)]
        return _problem(claims, known)

    if sources is not None:
        given = frozenset(sources)

        def check(output: Any) -> str | None:
            return problem(output, given)

        return named("citations", check)

    def check_in_run(ctx: RunContext[Any], output: Any) -> str | None:
        return problem(output, _sources_of(ctx.tool_results, compiled))

    return named_with_context("citations", check_in_run)


def _items(output: Any) -> Iterable[Any]:
    return cast("Iterable[Any]", output) if isinstance(output, (list, tuple)) else [output]


def _problem(claims: list[tuple[str, list[str]]], known: frozenset[str]) -> str | None:
    uncited = [claim for claim, ids in claims if not ids]
    unknown = sorted({id for _, ids in claims for id in ids if id not in known})
    problems: list[str] = []
    if unknown:
        real = f"the sources are {_few(sorted(known))}" if known else "no source was given"
        problems.append(f"no such source: {_few(unknown)}; {real}")
    if uncited:
        problems.append(f"cites no source: {_few(uncited, 60, quote=True)}; add [source-id]")
    return "\n".join(problems) or None


def _few(items: list[str], most: int = 70, *, quote: bool = False) -> str:
    few = [shown(item, most) for item in items[:_MOST_SHOWN]]
    more = f" and {len(items) - _MOST_SHOWN} more" if len(items) > _MOST_SHOWN else ""
    return ", ".join(map(repr, few) if quote else few) + more


def _ids(pattern: re.Pattern[str], text: str) -> list[str]:
    return [id.strip() for found in pattern.findall(text) for id in re.split(r"[,;]", found) if id.strip()]


def _claims(text: str, per: Per, pattern: re.Pattern[str], several: re.Pattern[str]) -> Iterator[str]:
    if per == "answer":
        yield text
        return
    blocks = re.split(r"\n\s*\n", text) if per == "paragraph" else text.splitlines()
    for block in blocks:
        line = block.strip().lstrip("-*•> ").strip()
        if line.startswith("#") or line.endswith(":"):
            continue
        for claim in [line] if per == "paragraph" else _sentences(line, several):
            # What claims has at least one word beside its citations, and does not only ask.
            bare = pattern.sub("", claim).strip()
            if re.search(r"[^\W\d_]{2,}", bare) and not bare.endswith("?"):
                yield claim


def _sentences(line: str, several: re.Pattern[str]) -> Iterator[str]:
    """The sentences of a line; a citation that follows a full stop belongs to the sentence before it."""
    begun: list[str] = []  # the pieces of a sentence whose end has not come
    for piece in _SENTENCE_END.split(line):
        leading = several.match(piece)
        if begun and leading is not None:
            yield " ".join([*begun, leading.group()])
            begun, piece = [], piece[leading.end() :]
        elif begun and not _ABBREVIATION.search(begun[-1][-8:]):
            yield " ".join(begun)
            begun = []
        if piece:
            begun.append(piece)
    if begun:
        yield " ".join(begun)


def _sources_of(results: Iterable[ToolResult], pattern: re.Pattern[str]) -> frozenset[str]:
    found: set[str] = set()
    for result in results:
        if result.is_error:
            continue
        found.update(_ids(pattern, result.content))
        found.update(text or number for text, number in _JSON_ID.findall(result.content))
        found.update(url.rstrip(".,;") for url in _URL.findall(result.content))
    return frozenset(found)
