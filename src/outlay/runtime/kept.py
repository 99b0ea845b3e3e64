"""A run's input and output as its journal keeps them, and the result of a run that is over."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, cast

from outlay.agents.agent import Agent
from outlay.agents.content import as_text
from outlay.errors import ConfigError, OutlayError
from outlay.events.records import Skipped
from outlay.protocols.node import Node
from outlay.runtime.identity import segment
from outlay.runtime.recall import Past
from outlay.runtime.recorder import Recorder
from outlay.runtime.result import Result, SkippedPart


def input_json(value: Any) -> bytes:
    """What a run's input is known by. Raises ConfigError for one that is used up by being read, or has no JSON."""
    if isinstance(value, Iterator):
        raise ConfigError("an input is recorded, which would use up an iterator", hint="give list(…) of it")
    try:
        text = as_text(value)
    except ValueError as error:
        raise ConfigError(f"the input cannot be recorded: {error}") from error
    return (json.dumps(text) if isinstance(value, str) else text).encode(errors="surrogatepass")


def output_json(value: Any) -> bytes | None:
    """What an output is kept as; None where it has no JSON."""
    try:
        return input_json(value)
    except ConfigError:
        return None


def kept_output(recorder: Recorder, output: Any) -> str:
    """The digest of the stored output; empty where it has no JSON, or nothing is stored."""
    kept = None if recorder.store is None else output_json(output)
    return "" if kept is None else recorder.keep_content(kept)


def as_stored(result: Result[Any], past: Past, root: Node[Any, Any]) -> Result[Any]:
    """The result of a run that is over, from `result`, which its replay came to.

    The output is the one that was stored. A replay that comes to the same gives all that surrounds it; one that leads
    elsewhere does not count: the flow has changed since, or a part had ended in a stop that nothing recorded gives
    again (a budget refused what then never began).
    """
    stored, finished = past.output, past.journal.finished
    if stored is None or finished is None or (result.error is None and output_json(result.output) == stored):
        return result
    try:
        output = _decoded(stored, root, None if result.error is not None else result.output)
    except ValueError:  # the output type has changed too
        return result
    return replace(
        result,
        output=output,
        stop_reason="completed",
        degraded=finished.degraded,
        error=None,
        skipped=tuple(map(_skipped, (event for event in past.events if isinstance(event, Skipped)))),
        finished=((segment(root.name), output),),
    )


def _decoded(stored: bytes, root: Node[Any, Any], like: Any) -> Any:
    """A stored output as the type that the root declares, else as that of what its replay gave where it is one, else as
    plain JSON. Raises ValueError where the root declares another type by now."""
    if isinstance(root, Agent):
        adapter = root.codec.adapter
        return json.loads(stored) if adapter is None else adapter.validate_json(stored)
    from pydantic import PydanticSchemaGenerationError, TypeAdapter, ValidationError

    try:
        return json.loads(stored) if like is None else TypeAdapter(cast("type[Any]", type(like))).validate_json(stored)
    except (PydanticSchemaGenerationError, ValidationError):
        return json.loads(stored)


def _skipped(event: Skipped) -> SkippedPart:
    return SkippedPart(event.path, event.reason, OutlayError(event.error) if event.error else None)
