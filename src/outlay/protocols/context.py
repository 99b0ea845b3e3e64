"""RunContext: the one door to the outside world for agents, patterns and user code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from decimal import Decimal
from typing import Any, Protocol, overload
from typing import TypeVar as PlainTypeVar

from typing_extensions import TypeVar

from outlay.protocols.effects import ToolEffect
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.protocols.race import Race
from outlay.protocols.shared import State
from outlay.values.content import ToolResult
from outlay.values.kept import Keeping, SoFar
from outlay.values.label import Label
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse
from outlay.values.routed import Routed
from outlay.values.transcript import Transcript
from outlay.values.usage import Usage

Deps = TypeVar("Deps", covariant=True, default=Any)
A = PlainTypeVar("A")
B = PlainTypeVar("B")

#: How long a run waits for detached work once the answer is there. In seconds.
GRACE_SECONDS = 2.0


class BudgetView(Protocol):
    """What is left for this node, the tightest of all budgets above it. None means no limit."""

    @property
    def usd_left(self) -> Decimal | None: ...
    @property
    def tokens_left(self) -> int | None: ...
    @property
    def calls_left(self) -> int | None: ...
    @property
    def seconds_left(self) -> float | None: ...
    @property
    def percent_used(self) -> int:
        """The money spent or held of the tightest budget, 0 without one."""
        ...


class RunContext(Protocol[Deps]):
    """What a node, a tool or any other function of yours may ask of the run it is part of.

    Every effect goes through it, so that a run can be billed, limited, resumed and simulated.
    """

    # ── where am I ────────────────────────────────────────────────────────────────────────────────────────
    @property
    def run_id(self) -> str: ...
    @property
    def path(self) -> str:
        """Names joined by `/`, `[key]` for items, `#2` for repeats."""
        ...

    @property
    def node(self) -> Node[Any, Any]: ...
    @property
    def deps(self) -> Deps:
        """What was given as `deps=`; trusted by declaration."""
        ...

    @property
    def input(self) -> Any:
        """This node's input."""
        ...

    @property
    def origin(self) -> Any:
        """The input of the enclosing pattern: what a later stage of a pipeline calls the original question."""
        ...

    @property
    def source(self) -> str:
        """The path of the node that made this node's input; empty where it came from outside."""
        ...

    @property
    def last_finished(self) -> str:
        """The path of the child of this node that finished last."""
        ...

    @property
    def finished(self) -> Sequence[tuple[str, Any]]:
        """Path and output of the children that have finished, in order."""
        ...

    @property
    def route(self) -> Routed:
        """The nearest router's decision. Raises ConfigError outside a router."""
        ...

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        """What this agent's tools have given so far, for checkers such as citations. In any other node: what the tools
        of the agents in it, and in the stages before it, gave."""
        ...

    @property
    def idempotency_key(self) -> str:
        """The identity of the running effect: the same on a retry or a resume, for services that take one."""
        ...

    @property
    def state(self) -> State:
        """What the nodes of this run share; `ctx.state.space("team")` is shared by all runs on the store."""
        ...

    @property
    def budget(self) -> BudgetView: ...
    @property
    def label(self) -> Label:
        """The watermark of this scope: the join of its input and of all that came into it."""
        ...

    # ── effects ───────────────────────────────────────────────────────────────────────────────────────────
    @overload
    async def run(self, node: Node[A, B], input: A, *, key: str | None = None) -> B: ...
    @overload
    async def run(self, node: Callable[..., Awaitable[B]], input: Any, *, key: str | None = None) -> B: ...
    @overload
    async def run(self, node: Callable[..., B], input: Any, *, key: str | None = None) -> B: ...
    async def run(self, node: Any, input: Any, *, key: str | None = None) -> Any:
        """Run a child. `key` names it among its siblings; the same key twice is a ConfigError."""
        ...

    def detach(self, node: Any, input: Any, *, key: str | None = None, grace: float = GRACE_SECONDS) -> None:
        """Run a child beside the flow that nobody waits for: analysis, logging. Returns at once; it starts now.

        It is part of the run: in its budgets and in its bill, within its depth and fan-out. Its output is dropped, its
        failure is a line in `Result.skipped`. When the answer is there it has `grace` seconds more; then it is cut
        off, which `.skipped` says, and a call that was under way is in doubt. So the result is never later than the
        answer plus the grace. Raises ConfigError, and BudgetExceeded where depth or fan-out would be passed.
        """
        ...

    async def gather(self, *awaitables: Awaitable[A]) -> list[A]:
        """All at once, results in order. The first failure stops the others' new calls; paid ones are drained."""
        ...

    def race(self, awaitables: Iterable[Awaitable[A]]) -> AbstractAsyncContextManager[Race[A]]:
        """All at once, read in the order in which they finish:

            async with ctx.race(ctx.run(worker, x, key=str(i)) for i in range(5)) as answers:
                async for answer in answers:
                    if good(answer):
                        break

        A failed branch raises out of the loop; `answers.outcomes()` yields it with its index and goes on. Leaving
        the block stops what has not finished and waits until it is gone: tools and sleeps are cancelled, model
        calls in flight are drained and billed.
        """
        ...

    async def effect(
        self, name: str, function: Callable[..., A | Awaitable[A]], *args: Any, side_effect: bool = False
    ) -> A:
        """Anything else that leaves the process, recorded like a call: `function(*args)`, with the effect's own context
        first where it asks for one."""
        ...

    async def sleep(self, seconds: float) -> None: ...
    def timeout(self, seconds: float) -> AbstractAsyncContextManager[Any]:
        """Bound a block of effects; TimeoutError when time is up, with its calls cancelled down to the socket."""
        ...

    def now(self) -> float:
        """Seconds since the epoch, virtual under virtual time."""
        ...

    def random(self) -> float:
        """A draw in [0, 1) that depends on the run's seed and this place only."""
        ...

    def uuid(self) -> str:
        """An id that depends on the run's seed and this place only."""
        ...

    async def ask(
        self,
        question: str,
        *,
        options: Sequence[str] | None = None,
        default: str | None = None,
        deadline: float | None = None,
    ) -> str:
        """Ask a human: `on_ask` of the run, or whoever decides the item in the inbox of its store; until then the
        branch parks, and the run suspends as `approval` when nothing else is left to do.

        After `deadline` seconds of real time, parked or not, the answer is `default`. Raises TimeoutError where there
        is none, and PermissionError where the question was denied.
        """
        ...

    def emit(self, name: str, **data: Any) -> None:
        """Leave an event of your own."""
        ...

    # ── for nodes that are patterns or agents ─────────────────────────────────────────────────────────────
    async def child(
        self,
        node: Any,
        input: Any,
        *,
        key: str | None = None,
        index: int | None = None,
        route: Routed | None = None,
        origin: Any = ...,
        source: str = "",
        transcript: Transcript | None = None,
        tools: Sequence[Any] = (),
        finishing: bool = False,
        purpose: str = "",
    ) -> Any:
        """`run` with what patterns add: the index shown for an item, the route taken, the original input, the
        conversation an agent goes on with, the Tools lent to it for this conversation (it stays the same agent, with
        its name, path and budget), whether the child may draw on the finishing reserve, and what the calls below it
        are for, on the bill."""
        ...

    @property
    def lent_tools(self) -> tuple[Any, ...]:
        """The Tools that the pattern around this agent gave it beside its own, for this conversation only."""
        ...

    def model(self, agent: str, choice: str | Model, offline: Any = None, *, spare: bool = False) -> Model:
        """The model that an agent's `model=` stands for in this run; `spare`, one of its `fallback=`.

        Raises ConfigError for an unknown one.
        """
        ...

    def price(self, model: Model) -> Price | None:
        """A model's list price in this run, None if unknown."""
        ...

    def learned(self, what: str, make: Callable[[], A]) -> A:
        """What was learned under this name in this run, or in all runs of a map, by whoever did; `make` begins it.
        Nothing of it is recorded: record what is decided by it.
        """
        ...

    def instead(self, model: Model, request: ModelRequest, usage: Usage, *, ahead: bool = False) -> Decimal | None:
        """About what `model` would cost for an answer with `usage`, in US dollars, had it been given every such
        request; without input tokens they are estimated. `ahead`: before the request is made, once for each.
        """
        ...

    async def call_model(
        self,
        model: Model,
        request: ModelRequest,
        *,
        least_output_tokens: int | None = None,
        max_input_tokens: int | None = None,
        fallback: Sequence[Model] = (),
        purpose: str = "",
        hedge: float | None = None,
    ) -> ModelResponse:
        """One logical call on the path of SEMANTICS 3: reserved, retried, settled and recorded.

        The output cap may be clipped to what is left, down to `least_output_tokens` (None: to a quarter, and not
        below this agent's longest answer so far); an input over
        `max_input_tokens` is refused before it is paid for. Where the model fails, each `fallback` is asked in turn, on
        the same path and at its own price. `purpose` is what the bill calls it (`tier:0`), and part of its identity.
        Without an answer after `hedge` seconds it is sent once more, where there is room for both.
        Raises ModelError, Stopped.
        """
        ...

    @property
    def versions(self) -> Mapping[str, str]:
        """Of each model that has answered in this run, by id, the version that did so last."""
        ...

    def drawn(self, what: str, draw: Callable[[], Any]) -> Any:
        """A value of the moment, of JSON kinds: recorded, so that a resumed run gets the same."""
        ...

    async def call_tool(self, effect: ToolEffect) -> Any:
        """Run a tool: timed, serialised where it has side effects, recorded. Raises what the tool raised."""
        ...

    async def check(self, checker: Callable[..., Any], value: Any) -> str | None:
        """What a deterministic checker says of a value: None, or what is wrong."""
        ...

    async def artifact(self, text: str, *, name: str = "", source: str = "") -> str:
        """Keep a text that is too long to pass on, as an artifact of the run; the name it can be read under."""
        ...

    def report(self, **facts: Any) -> None:
        """Facts about this node for `Result.facts` and the trace."""
        ...

    def skip(self, name: str, reason: str, error: BaseException | None = None) -> None:
        """Record that the result does without a child; the run counts as degraded."""
        ...

    def decide(self, about: str, **data: Any) -> None:
        """Record a decision of the moment, with what it was decided from."""
        ...

    def checked(self, checks: Sequence[str], problem: str = "") -> None:
        """Record that an output met its checkers."""
        ...

    def retract(self, reason: str) -> None:
        """Tell listeners that the text streamed so far does not count."""
        ...

    def keeping(self, what: Node[Any, Any] | Callable[..., Any]) -> Keeping:
        """What has to be the same for what a node or a tool gave to be given again."""
        ...

    def so_far(self) -> SoFar:
        """What has happened at this node and below it, and whether its output may be kept."""
        ...

    def keep(self, transcript: Transcript, tool_results: Sequence[ToolResult] = ()) -> None:
        """Remember an agent's conversation so far."""
        ...

    @property
    def transcript(self) -> Transcript:
        """The conversation this agent goes on with; empty for a fresh one."""
        ...

    def transcript_of(self, child: Node[Any, Any]) -> Transcript | None:
        """The last conversation of a child agent of this node."""
        ...

    def if_stopped(self, answer: Callable[[], Any]) -> None:
        """What this node has to show if its time runs out: asked at the deadline, which ends all below at once."""
        ...

    def reserve_finish(self, node: Node[Any, Any]) -> None:
        """Set the worst case of `node`'s one call aside, for a child run with `finishing=True`."""
        ...
