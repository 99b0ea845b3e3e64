"""Place: where a node stands in its run, what it may ask about that, and what it reports of itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from decimal import Decimal
from typing import Any, TypeVar

from outlay.agents.agent import Agent
from outlay.errors import (
    BudgetExceeded,
    ConfigError,
    one_line,
)
from outlay.events.records import (
    Checked,
    Custom,
    Decision,
    EscalationAlert,
    Fact,
    Retracted,
    Skipped,
)
from outlay.policies.ledger import Ask, Hold
from outlay.protocols.context import BudgetView
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.runtime.budgets import Chain, Left, SeenLeft
from outlay.runtime.call import call_key
from outlay.runtime.conversations import ROOT
from outlay.runtime.identity import Scope, current_scope, digest, item
from outlay.runtime.instead import cost_instead
from outlay.runtime.journaled import drawn
from outlay.runtime.keeping import shape_behind, so_far
from outlay.runtime.preflight import check_model
from outlay.runtime.result import SkippedPart
from outlay.runtime.state import RunState
from outlay.values.budget import Budget
from outlay.values.content import ToolResult
from outlay.values.kept import Keeping, SoFar
from outlay.values.label import TRUSTED, Label
from outlay.values.price import Price
from outlay.values.request import ModelRequest
from outlay.values.routed import Routed
from outlay.values.transcript import EMPTY, Transcript
from outlay.values.usage import Usage

S = TypeVar("S")
#: The effective deadline of a `with ctx.timeout(…)` block, in loop time.
block_deadline: ContextVar[float | None] = ContextVar("outlay_deadline", default=None)
#: How many nodes stand above the running one where depth is limited: another node's context, kept in a closure, is no
#: way around it.
level_above: ContextVar[int] = ContextVar("outlay_level", default=0)
#: What a final step may read and write where it does not say: the finishing reserve is sized by it.
_FINISH_INPUT_TOKENS = 8_000


class Place:
    """The part of a RunContext that causes nothing: position, limits, conversation, facts."""

    __slots__ = (
        "_began",
        "_chain",
        "_conversations",
        "_counts",
        "_deadline",
        "_final",
        "_finish",
        "_idempotency_key",
        "_if_stopped",
        "_inherited",
        "_keys",
        "_kin",
        "_lent",
        "_level",
        "_place",
        "_purpose",
        "_run",
        "_running",
        "_shaped",
        "_spare",
        "_tool_results",
        "_transcript",
        "_visit",
        "finished",
        "input",
        "label",
        "node",
        "origin",
        "parent",
        "path",
        "routed",
        "source",
        "versions",
    )

    def __init__(self, state: RunState, node: Node[Any, Any], path: str, input: Any, parent: Place | None) -> None:
        self._run = state
        self.node = node
        self.path = path
        self.input = input
        self.parent = parent
        self.source = "" if parent is None else parent.source
        self.finished: list[tuple[str, Any]] = []
        self._counts: dict[str, int] = {}
        self._conversations: dict[Node[Any, Any], Transcript] = {}
        #: What tools gave, below this node and in what finished before it; the first `_inherited` were there before.
        self._tool_results: Sequence[ToolResult] = () if parent is None else parent._tool_results
        self._inherited = len(self._tool_results)
        #: What the node's conversation was when it came to its first turn.
        self._began: Transcript | None = None
        self._idempotency_key = ""
        self._if_stopped: Callable[[], Any] | None = None
        self._running = 0
        #: Who counts the children running at once, if not this one: a tool's context counts them with its agent's.
        self._kin: Place | None = None
        self._lent: tuple[Any, ...] = ()
        self._finish: Hold | None = None
        #: The path of the final step of a pattern that this node is, or is part of; empty where it is none.
        self._final: str = "" if parent is None else parent._final
        #: The scope that this node began in, and how often it had run there; what its children's keys hang on.
        self._visit: tuple[Scope, int] | None = None
        self._keys: Scope | None = None
        #: This node, or one above it, can be skipped: nobody is asked for money for it.
        self._spare: bool = node.optional or (parent is not None and parent._spare)
        self._level: int = 0 if parent is None else parent._family._level + 1
        #: What the calls below this node are for, where a pattern said so.
        self._purpose: str = "" if parent is None else parent._purpose
        self.versions: dict[str, str] = {} if parent is None else parent.versions
        if parent is None:
            self._place = path
            self._chain: Chain = state.budgets.root
            self._deadline: float | None = None
            self._shaped = False
            self.origin: Any = input
            self.routed: Routed | None = None
            self.label: Label = TRUSTED
            self._transcript = EMPTY
        else:
            self._place = parent._place
            self._chain = parent._chain
            self._deadline = parent._deadline
            self._shaped = parent._shaped
            self.origin = parent.input
            self.routed = parent.routed
            self.label = parent.label
            self._transcript = EMPTY

    @property
    def _family(self) -> Place:
        return self if self._kin is None else self._kin  # no link to itself: contexts die without the collector

    # ── where am I ────────────────────────────────────────────────────────────────────────────────────────

    @property
    def run_id(self) -> str:
        return self._run.id

    @property
    def deps(self) -> Any:
        return self._run.deps

    @property
    def route(self) -> Routed:
        if self.routed is None:
            raise ConfigError(f"{self.path}: ctx.route has a value below a Router only")
        return self.routed

    @property
    def last_finished(self) -> str:
        return self.finished[-1][0] if self.finished else ""

    @property
    def tool_results(self) -> tuple[ToolResult, ...]:
        return tuple(self._tool_results)

    @property
    def lent_tools(self) -> tuple[Any, ...]:
        return self._lent

    @property
    def idempotency_key(self) -> str:
        return self._idempotency_key

    @property
    def deadline(self) -> float | None:
        """In loop time: the earlier of this node's and the enclosing timeout block's."""
        block = block_deadline.get()
        if block is None or self._deadline is None:
            return self._deadline if block is None else block
        return min(block, self._deadline)

    @property
    def left(self) -> Left:
        """What is left at this moment."""
        return Left(self._chain, self.deadline, self._run.loop.time)

    @property
    def budget(self) -> BudgetView:
        """What is left, as the flow sees it: a replay sees what the first run saw, or it could take another way."""
        return self.left if self._run.recorder.store is None else SeenLeft(self.left, self.drawn)

    @property
    def transcript(self) -> Transcript:
        if self._transcript is not EMPTY:
            return self._transcript
        state = self._run
        if not self._remembers:
            return EMPTY
        if state.conversations is None:
            return state.history
        self.label = self.label.join(state.conversations.label(self._memory))
        return state.conversations.before(self._memory)

    @property
    def _remembers(self) -> bool:
        return self.node is self._run.root or getattr(self.node, "history", False)

    @property
    def _memory(self) -> str:
        """Whose conversation of the session this node goes on with."""
        return ROOT if self.node is self._run.root else self._place

    def _remember(self) -> None:
        """The node came to its output: its turn is in the conversation."""
        conversations = self._run.conversations
        if conversations is not None and self._began is not None and self._remembers:
            conversations.add(self._memory, self._began, self._transcript)

    def transcript_of(self, child: Node[Any, Any]) -> Transcript | None:
        return self._conversations.get(child)

    # ── limits ────────────────────────────────────────────────────────────────────────────────────────────

    def add_root_budgets(self, shared_deadline: float | None, active: float = 0.0) -> None:
        """The run's own time limits, and the root node's budgets. Runs of a map share one deadline, in loop time.
        `active` seconds of the run's own were used by earlier legs; a run that is over has all the time there is."""
        self._deadline = None if self._run.recorder.sealed else shared_deadline
        for account in self._run.budgets.root:
            if account.budget.seconds is not None and shared_deadline is None:
                self.add_deadline(account.budget.seconds - active)
        if self.node.budget is not None:
            self.add_budgets(self.node)
        self._shaped = any(_limits_shape(budget) for budget in self.shape_budgets())

    def add_deadline(self, seconds: float) -> None:
        if self._run.recorder.sealed:  # nothing happens any more that could be late
            return
        deadline = self._run.loop.time() + seconds
        self._deadline = deadline if self._deadline is None else min(deadline, self._deadline)

    def add_budgets(self, node: Node[Any, Any]) -> None:
        self._chain = (*self._chain, *self._run.budgets.of(node))
        for budget in node.budgets:
            if budget.seconds is not None:
                self.add_deadline(budget.seconds)
            self._shaped = self._shaped or _limits_shape(budget)

    def limit_shape(self, child: Place) -> None:
        """Depth and fan-out, refused before the child exists. One loop, no await: atomic across the tree."""
        if not self._shaped:
            return
        child._level = max(self._level, level_above.get()) + 1
        ancestor: Place | None = self._family
        running = self._family._running
        while ancestor is not None:
            above = child._level - ancestor._level
            for budget in ancestor.shape_budgets():
                if budget.depth is not None and above > budget.depth:
                    raise self._run.stopped(_shape_error("depth", budget, above, ancestor, child))
                if budget.fan_out is not None and running >= budget.fan_out:
                    raise self._run.stopped(_shape_error("fan_out", budget, running + 1, ancestor, child))
            ancestor = None if ancestor.parent is None else ancestor.parent._family

    def shape_budgets(self) -> Sequence[Budget]:
        """The budgets held by this node; the run's own stand at the root."""
        if self.parent is None:
            return (*(account.budget for account in self._run.budgets.root), *self.node.budgets)
        return self.node.budgets

    # ── identity ──────────────────────────────────────────────────────────────────────────────────────────

    def _identity(self, what: bytes, place: str = "") -> str:
        scope, place = current_scope.get(), place or self._place
        assert scope is not None, "an effect outside its run"
        return call_key(place, scope.id, what, scope.occurrence((place, what)))

    def keeping(self, what: Node[Any, Any] | Callable[..., Any]) -> Keeping:
        scopes = (account.budget.scope for account in self._chain if account.budget.scope is not None)
        return Keeping(shape_behind(what), tuple(sorted(scopes)), self._run.fresh)

    def so_far(self) -> SoFar:
        return so_far(self._run.recorder.events, self.path, self._run.stops)

    def drawn(self, what: str, draw: Callable[[], Any]) -> Any:
        if self._run.recorder.store is None:
            return draw()
        return drawn(self._run, self._identity(digest(b"drawn", what.encode())), self.path, what, draw)

    def model(self, agent: str, choice: str | Model, offline: Any = None, *, spare: bool = False) -> Model:
        return self._run.directory.model(agent, choice, offline, spare=spare, met=self._check_model)

    def _check_model(self, model: Model) -> None:
        """An agent that could not be known before the run meets its model. What is over is only told again."""
        if isinstance(self.node, Agent) and not self._run.recorder.sealed:
            check_model(self.node, model)

    def price(self, model: Model) -> Price | None:
        return self._run.directory.price(model)

    def learned(self, what: str, make: Callable[[], S]) -> S:
        found = self._run.learned.get(what)
        if found is None:
            found = self._run.learned[what] = make()
        return found

    def instead(self, model: Model, request: ModelRequest, usage: Usage, *, ahead: bool = False) -> Decimal | None:
        return cost_instead(self._run, model, request, usage, ahead=ahead)

    def _repeat(self, path: str) -> str:
        n = self._counts.get(path, 0) + 1
        self._counts[path] = n
        return path if n == 1 else f"{path}#{n}"

    # ── facts ─────────────────────────────────────────────────────────────────────────────────────────────

    def emit(self, name: str, **data: Any) -> None:
        self._run.recorder.emit(Custom, self.path, name=name, data=data)

    def report(self, **facts: Any) -> None:
        self._run.recorder.emit(Fact, self.path, data=facts)

    def decide(self, about: str, **data: Any) -> None:
        self._run.recorder.emit(Decision, self.path, about=about, data=data)
        if about == "cascade":
            self._escalated(data)

    def _escalated(self, data: dict[str, Any]) -> None:
        """Tell of a cascade that sends too much to its top, or is not helped there, while that can still be mended."""
        run = self._run
        found = None if run.recorder.sealed else run.escalating.see(run.turns, self.path, data)
        if found is not None:
            facts = {"turns": found.turns, "share": round(found.share, 4), "limit": found.limit}
            run.recorder.emit(EscalationAlert, found.place, failed=found.failed, **facts)
            event = run.recorder.events[-1]
            if run.warn is not None and isinstance(event, EscalationAlert):
                run.warn(event)

    def checked(self, checks: Sequence[str], problem: str = "") -> None:
        self._run.recorder.emit(Checked, self.path, agent=self.node.name, checks=tuple(checks), problem=problem)

    def retract(self, reason: str) -> None:
        if self._run.recorder.streaming:
            self._run.recorder.emit(Retracted, self.path, reason=reason)

    def skip(self, name: str, reason: str, error: BaseException | None = None) -> None:
        self._note_skip(f"{self.path}/{item(name)}", reason, error)

    def _skipped(self, child: Place, reason: str, error: BaseException | None) -> None:
        self._note_skip(child.path, reason, error)

    def _note_skip(self, path: str, reason: str, error: BaseException | None) -> None:
        self._run.skipped.append(SkippedPart(path, reason, error))
        self._run.recorder.emit(Skipped, path, reason=reason, error="" if error is None else one_line(error))

    def keep(self, transcript: Transcript, tool_results: Sequence[ToolResult] = ()) -> None:
        if self._began is None:
            self._began = self.transcript
        self._transcript = transcript
        self._tool_results, self._inherited = tool_results, 0
        if self.parent is not None:
            self.parent._conversations[self.node] = transcript
        if self._remembers:
            self._run.transcript = transcript

    def if_stopped(self, answer: Callable[[], Any]) -> None:
        self._if_stopped = answer

    def reserve_finish(self, node: Node[Any, Any]) -> None:
        """Agents declare what they may cost; any other final step costs nothing by itself."""
        choices = getattr(node, "models", ())
        if not choices or not self._chain:
            return
        model = self.model(node.name, choices[0], getattr(node, "offline", None))
        cap: int = getattr(node, "max_output_tokens", 0)
        input_tokens: int = getattr(node, "max_input_tokens", None) or _FINISH_INPUT_TOKENS
        ask = Ask(self._run.directory.price(model), input_tokens, cap)
        self._finish = self._run.budgets.set_aside(self._chain, ask)
        self.decide("finishing_reserve", agent=node.name, reserved=str(self._finish.usd))


def visit(place: str) -> tuple[Scope, int]:
    scope = current_scope.get()
    assert scope is not None, "a node outside its run"
    return scope, scope.occurrence(b"visit " + place.encode(errors="surrogatepass"))


def _limits_shape(budget: Budget) -> bool:
    return budget.depth is not None or budget.fan_out is not None


def _shape_error(resource: str, budget: Budget, needed: int, holder: Place, child: Place) -> BudgetExceeded:
    limit: int = getattr(budget, resource)
    what = (
        f"{child.path} would be {needed} nodes below {holder.path}"
        if resource == "depth"
        else f"{child.path} would be child number {needed} running at once"
    )
    return BudgetExceeded(
        f"{what}; the budget allows {resource}={limit}",
        resource=resource,
        scope=holder.node.name,
        limit=limit,
        spent=needed - 1,
        needed=needed,
        path=child.path,
        hint=f"raise {resource}= of the budget, or flatten the flow",
        on_exhausted=budget.on_exhausted,
    )
