"""What `Stored` nodes and tools with `cache_results` ask of a run: who pays, what has changed, what has happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from hashlib import blake2b
from typing import Any, cast

from outlay.agents.agent import Agent
from outlay.errors import Stopped
from outlay.events.records import Asked, CallFailed, CallFinished, Event, Skipped, ToolStarted
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk
from outlay.runtime.shape import code_of, shape_of
from outlay.values.kept import SoFar


def shape_behind(what: Node[Any, Any] | Callable[..., Any]) -> str:
    """The digest of a flow with the ids of its models, or of a function's code and name."""
    if isinstance(what, Node):
        node = cast("Node[Any, Any]", what)
        models = [_id(model) for part in walk(node) if isinstance(part, Agent) for model in part.models]
        said = " ".join((shape_of(node), *models)).encode(errors="surrogatepass")
    else:
        name = f"{getattr(what, '__module__', '')}.{getattr(what, '__qualname__', type(what).__qualname__)}"
        said = name.encode(errors="surrogatepass") + b"\0" + code_of(what)
    return blake2b(said, digest_size=16).hexdigest()


def so_far(events: Iterable[Event], path: str, stops: Iterable[Stopped]) -> SoFar:
    """A fold over what happened at `path` and below it."""
    cost: Decimal | None = Decimal(0)
    unfit = next((f"it was stopped: {stop.message}" for stop in stops if _below(stop.path, path)), "")
    for event in events:
        if not _below(event.path, path):
            continue
        if isinstance(event, CallFinished):
            cost = None if cost is None or event.cost is None else cost + event.cost
        elif isinstance(event, CallFailed) and event.maybe_billed:
            cost = None
        elif isinstance(event, ToolStarted) and event.side_effect:
            unfit = unfit or f"the tool {event.tool} has side effects"
        elif isinstance(event, Asked):
            unfit = unfit or "somebody was asked"
        elif isinstance(event, Skipped):
            unfit = unfit or "a part was skipped"
    return SoFar(cost, unfit)


def _below(path: str, above: str) -> bool:
    return path == above or path.startswith(above + "/")


def _id(model: Any) -> str:
    return model if isinstance(model, str) else str(model.id)
