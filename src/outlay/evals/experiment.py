"""An experiment: one flow on the cases of a data set, each within the same budget, measured and kept."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

from outlay.agents.agent import Agent
from outlay.agents.function import as_node
from outlay.analysis.journal import Journal
from outlay.errors import BudgetExceeded
from outlay.evals.dataset import Case
from outlay.evals.evaluator import Evaluator, bound, judged
from outlay.evals.judging import Judged, opinion_of
from outlay.evals.measured import Checked, Measured, Opinion
from outlay.protocols.documents import Change
from outlay.protocols.node import Node
from outlay.protocols.store import Store
from outlay.runtime.alerts import OnAlert
from outlay.runtime.directory import Replacements
from outlay.runtime.host import StoreLike
from outlay.runtime.replacements import serving
from outlay.runtime.result import Result
from outlay.runtime.run import run
from outlay.runtime.shape import shape_of
from outlay.values.budget import Budget
from outlay.values.critique import Critique

#: Where what was measured is kept, by run.
COLLECTION = "evals"
#: What the ids of all runs of comparisons begin with.
RUN_PREFIX = "compare-"


@dataclass(frozen=True, eq=False)
class Flow:
    """A flow under its name in the comparison. `convert` makes a case's input fit it; `source` is its address."""

    node: Node[Any, Any]
    name: str
    convert: Callable[[Any], Any] = field(default=lambda value: value)
    source: str = ""

    @staticmethod
    def of(given: FlowLike) -> Flow:
        if isinstance(given, Flow):
            return given
        node = as_node(given)
        return Flow(node, node.name)


FlowLike: TypeAlias = Flow | Node[Any, Any] | Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Terms:
    """What both sides get alike.

    `checkers` are names (`numeric=0.01`), functions or Evaluators; `judge` an agent that gives a Critique. `budget` is
    in US dollars a case, for each side; `value` what a success is worth to you, in US dollars. With a `store` a
    comparison that broke off goes on, and one that is done costs nothing; another `name` measures anew.
    """

    checkers: Sequence[str | Callable[..., Any] | Evaluator] = ()
    judge: Agent[Any] | None = None
    budget: Decimal | str | float | None = None
    value: Decimal | str | float | None = None
    models: Replacements = None
    deps: Any = None
    store: StoreLike = None
    concurrency: int = 4
    seed: int = 0
    name: str = ""
    on_alert: OnAlert | None = None


@dataclass(frozen=True, eq=False)
class Experiment:
    """Measures cases of one flow. `side` tells it from the other one, which may be the same flow."""

    flow: Flow
    terms: Terms
    limit: Decimal | None
    evaluators: Sequence[Evaluator]
    judge: Agent[Critique] | None
    store: Store | None
    side: str
    #: The runs of which what was measured before is taken.
    stored: set[str] = field(default_factory=set[str], init=False)

    async def measure(self, case: Case) -> Measured:
        """Run the case, or go on with it, or take what is kept of it; then judge its output."""
        run_id = self._run_id(case)
        kept = await self._kept(run_id)
        marks = (*(one.mark for one in self.evaluators), *([] if self.judge is None else [shape_of(self.judge)]))
        if kept is not None and (kept.marks == marks or not kept.answered):
            self.stored.add(run_id)
            return kept
        result = await self._run(self.flow.node, self.flow.convert(case.input), run_id, self._limits())
        answered = result.output is not None or (result.stop_reason == "completed" and result.error is None)
        over = result.stop_reason not in ("approval", "cancelled")
        checks: list[Checked] = []
        opinion: Opinion | None = None
        if answered and over:
            checks = [await judged(check, name, result.output) for name, check in bound(self.evaluators, case)]
            if self.judge is not None:
                opinion = await self._opinion(self.judge, case, result.output, run_id)
        found = _measured(case, result, answered, tuple(checks), opinion, marks)
        if self.store is not None and over:
            change = Change(COLLECTION, run_id, msgspec.json.encode(found), None)
            await self.store.commit([change])
        return found

    async def _run(self, node: Node[Any, Any], given: Any, run_id: str, limits: Sequence[Budget]) -> Result[Any]:
        terms = self.terms
        try:
            return await run(
                node,
                given,
                budget=limits,
                deps=terms.deps,
                store=self.store,
                run_id=run_id,  # chance hangs on it, so it is the same from one comparison to the next
                models=serving(node, terms.models),
                on_alert=terms.on_alert,
                source=self.flow.source if node is self.flow.node else "",
            )
        except BudgetExceeded as stop:  # a budget of the flow's own that asked for an exception
            if stop.result is None:
                raise
            return stop.result

    async def _opinion(self, judge: Agent[Critique], case: Case, output: Any, run_id: str) -> Opinion:
        shown = Judged(case.input, case.expected, output)
        mark = _digest(shape_of(judge), repr(output))
        return opinion_of(await self._run(judge, shown, f"{run_id}-judge-{mark}", ()))

    async def _kept(self, run_id: str) -> Measured | None:
        if self.store is None:
            return None
        document = await self.store.read(COLLECTION, run_id)
        try:
            return None if document is None else msgspec.json.decode(document.body, type=Measured)
        except msgspec.DecodeError:  # of another version: it is measured anew, out of the journal
            return None

    def _limits(self) -> Sequence[Budget]:
        return () if self.limit is None else (Budget(usd=self.limit),)

    def _run_id(self, case: Case) -> str:
        """The same for the same flow on the same case under the same terms: that is what makes it go on."""
        terms = self.terms
        models = terms.models
        if models is not None and not isinstance(models, str):
            models = ",".join(f"{name}={m if isinstance(m, str) else m.id}" for name, m in sorted(models.items()))
        whole = (terms.name, self.flow.name, shape_of(self.flow.node), str(self.limit), str(models), str(terms.seed))
        return f"{RUN_PREFIX}{self.side}-{_digest(*whole)}-{case.mark}"


def _measured(
    case: Case,
    result: Result[Any],
    answered: bool,
    checks: tuple[Checked, ...],
    opinion: Opinion | None,
    marks: tuple[str, ...],
) -> Measured:
    bill = result.bill
    return Measured(
        case.id,
        result.run_id,
        result.stop_reason,
        "" if result.error is None else type(result.error).__name__,
        answered,
        result.degraded,
        checks,
        opinion,
        bill.total,
        bill.at_least,
        bill.in_doubt,
        # Not the result's own: of a run that went on after a kill that is the last stretch alone.
        Journal.of(result.events).active,
        bill.calls,
        sum(line.retries for line in bill.lines),
        bill.tokens,
        bill.refused,
        len(result.skipped),
        marks,
    )


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(errors="replace"), digest_size=6).hexdigest()
