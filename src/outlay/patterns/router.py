"""Router: look first, then send the input to the one who is good at it."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType, NoneType, UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, Unpack, cast, get_args, get_origin

from outlay.agents.agent import Agent
from outlay.agents.function import FunctionNode, as_node
from outlay.errors import ConfigError, Stopped, one_line
from outlay.patterns.pattern import NOT_A_FAILURE, Common, Pattern
from outlay.patterns.profile import Consequence, Profile
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out
from outlay.values.hints import hints_of
from outlay.values.routed import Routed

B = TypeVar("B")


@dataclass(frozen=True, eq=False)
class Router(Pattern[In, Out]):
    """A classifier gives a label, maybe with a confidence; the route of that label gets the original input.

    To `default` go: a confidence below `threshold`, a label that is unknown or in `escalate`, a classifier that
    failed, and (under `on_error="default"`) a route that failed. `ctx.route` says which and why. A classifier
    that gives no confidence has no threshold.

    Raises ConfigError where the classifier's closed set of labels holds one that leads nowhere.
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="none: the classifier, then one route",
        cost="two calls: a small one, and one that is as small as the input allows",
        best_when="inputs differ in kind or difficulty, and a cheap look tells them apart",
        worst_when="labels overlap: a wrong route costs more than the look saves",
        ends="with the route's answer",
        failed_member=Consequence("goes on", "`default` takes the input; raised if `on_error` says so"),
        at_budget=Consequence("no output", "the route's best answer if it has one"),
        at_deadline=Consequence("no output", "as at the budget"),
    )

    classifier: Node[Any, Any]
    routes: Mapping[str, Node[In, Out]]
    default: Node[In, Out]
    threshold: float = field(default=0.7)
    escalate: Sequence[str] = field(default=())
    on_error: Literal["default", "raise"] = field(default="default")

    # The generated signature would refuse plain functions; `Any` here, nodes above.
    if typing.TYPE_CHECKING:

        def __init__(
            self: Router[Any, B],
            classifier: Any,
            routes: Mapping[Any, Node[Any, B] | Callable[..., Any]],
            default: Node[Any, B] | Callable[..., Any],
            threshold: float = 0.7,
            escalate: Sequence[str] = (),
            on_error: Literal["default", "raise"] = "default",
            **common: Unpack[Common],
        ) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "classifier", as_node(self.classifier))
        if not isinstance(self.routes, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"Router: routes= maps labels to nodes, not {self.routes!r}")
        routes = {as_label(label): as_node(node) for label, node in self.routes.items()}
        object.__setattr__(self, "routes", MappingProxyType(routes))
        object.__setattr__(self, "default", as_node(self.default))
        escalate = (self.escalate,) if isinstance(self.escalate, str | Enum) else tuple(self.escalate)
        escalate = tuple(as_label(label) for label in escalate)
        object.__setattr__(self, "escalate", escalate)
        if not isinstance(self.threshold, int | float) or not 0 <= self.threshold <= 1:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"Router: threshold must be between 0 and 1, not {self.threshold!r}")
        if self.on_error not in ("default", "raise"):
            raise ConfigError(f"Router: on_error is 'default' or 'raise', not {self.on_error!r}")
        lost = sorted(closed_labels(self.classifier) - self.routes.keys() - set(escalate))
        if lost:
            raise ConfigError(
                f"Router: {self.classifier.name} can answer {', '.join(map(repr, lost))}, which has no route",
                hint="add it to routes= or to escalate=",
            )

    @property
    def input_type(self) -> Any:
        return self.classifier.input_type

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        distinct = {id(node): node for node in (self.classifier, *self.routes.values(), self.default)}
        return tuple(distinct.values())

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        routed, node = await self._choose(ctx, input)
        ctx.report(label=routed.label, confidence=routed.confidence, route=node.name, reason=routed.reason)
        try:
            return await ctx.child(node, input, route=routed)
        except Stopped as stop:
            raise stop.with_best(stop.best, ctx.path) from None  # the route's best answer is the router's
        except NOT_A_FAILURE:
            raise
        except Exception as error:
            if self.on_error == "raise" or node is self.default:
                raise
            ctx.skip(node.name, "the route failed", error)
            failed = Routed(routed.label, routed.confidence, one_line(error))
            ctx.report(route=self.default.name, reason=failed.reason)
            return await ctx.child(self.default, input, route=failed)

    async def _choose(self, ctx: RunContext[Any], input: In) -> tuple[Routed, Node[In, Out]]:
        try:
            verdict = await ctx.child(self.classifier, input)
        except NOT_A_FAILURE:
            raise
        except Exception as error:
            if self.on_error == "raise":
                raise
            ctx.skip(self.classifier.name, "the classifier failed", error)
            return Routed("", None, one_line(error)), self.default
        routed, known = decide(verdict, self.routes.keys(), self.escalate, self.threshold)
        return routed, self.routes[routed.label] if known else self.default


def decide(verdict: Any, routes: Collection[str], escalate: Sequence[str], threshold: float) -> tuple[Routed, bool]:
    """What a classifier's answer means, and whether its route is to be taken (else the default)."""
    label, confidence = _read(verdict)
    if label in escalate:
        return Routed(label, confidence, f"{label} is escalated"), False
    if label not in routes:
        return Routed(label, confidence, f"no route for {label[:80]!r}"), False
    if confidence is not None and not confidence >= threshold:
        return Routed(label, confidence, f"confidence {_below(confidence, threshold)}"), False
    sure = "" if confidence is None else f", confidence {confidence:.2f}"
    return Routed(label, confidence, f"{label}{sure}"), True


def _below(confidence: float, threshold: float) -> str:
    """`0.50 is below 0.70`, with as many digits as it takes not to read as equal."""
    for digits in range(2, 17):
        low, high = f"{confidence:.{digits}f}", f"{threshold:.{digits}f}"
        if low != high:
            return f"{low} is below {high}"
    return f"{confidence!r} is below {threshold!r}"


def _read(verdict: Any) -> tuple[str, float | None]:
    if isinstance(verdict, Mapping):
        label: Any = verdict.get("label")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        confidence: Any = verdict.get("confidence")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    else:
        label = getattr(verdict, "label", verdict)
        confidence = getattr(verdict, "confidence", None)
    try:
        confidence = None if confidence is None else float(confidence)  # pyright: ignore[reportUnknownArgumentType]
    except (TypeError, ValueError):
        confidence = math.nan  # said, but not a number: below every threshold
    return as_label(label), confidence


def as_label(given: Any) -> str:
    """What a classifier says or a route is listed under, as text."""
    return str(given.value if isinstance(given, Enum) else given)


def closed_labels(classifier: Node[Any, Any]) -> set[str]:
    """The labels a classifier can give, where its output type says so; empty where it is open."""
    if isinstance(classifier, Agent):
        kind: Any = cast(Any, classifier.output_type)
    elif isinstance(classifier, FunctionNode):
        kind = hints_of(cast(Any, classifier.function)).get("return")
    else:
        return set()
    found = _closed(kind)
    if found is None and isinstance(kind, type):
        found = _closed(hints_of(cast(Any, kind)).get("label"))
    return found or set()


def _closed(kind: Any) -> set[str] | None:
    """The values of a Literal, an Enum or a union of them; None for anything open."""
    origin, inside = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _closed(inside[0])
    if origin is Literal:
        return {as_label(value) for value in inside}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {as_label(member) for member in kind}
    if origin in (Union, UnionType):
        parts = [_closed(part) for part in inside if part is not NoneType]  # None is no label: it goes to the default
        return None if None in parts else set[str]().union(*filter(None, parts))
    return None
