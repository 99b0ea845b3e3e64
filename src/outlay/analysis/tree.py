"""The trace as a tree of text: nodes by path, model calls and tools as leaves, failures and skips in plain sight."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from outlay.analysis.batches import problem_of
from outlay.analysis.billlines import ZERO
from outlay.analysis.summary import summary
from outlay.analysis.text import one_line
from outlay.analysis.trace import CallRow, TraceFold
from outlay.events import (
    BatchEnded,
    CacheAlert,
    CallFailed,
    CallFinished,
    CallStarted,
    Decision,
    EscalationAlert,
    Event,
    NodeFinished,
    NodeStarted,
    RunFinished,
    RunStarted,
    Skipped,
    ToolFinished,
    ToolStarted,
    WatchdogAlert,
)
from outlay.events.records import COMPACTION
from outlay.values.percent import percent

#: Of what models and tools wrote, at most this many characters are shown.
WIDTH = 80
_SIGNS = {"completed": "✓", "failed": "✗", "error": "✗", "stopped": "■", "cancelled": "■", "skipped": "–", "": "…"}


@dataclass(slots=True)
class _Leaf:
    text: str
    #: The last line worth keeping when there are too many: it failed, or never ended.
    bad: bool = False


@dataclass(slots=True)
class _Node:
    name: str
    type: str = ""
    outcome: str = ""
    seconds: float | None = None
    problem: str = ""
    cost: Decimal = ZERO
    unknown: bool = False
    calls: int = 0
    below: list[_Node | _Leaf] = field(default_factory=list["_Node | _Leaf"])

    @property
    def bad(self) -> bool:
        return self.outcome not in ("completed", "") or any(part.bad for part in self.below)


class TreeFold:
    """The tree of one run or of several, one event at a time. `most` is how many parts of a node are shown:
    beyond it the ones that went well are only counted.
    """

    def __init__(self, *, most: int = 40) -> None:
        self._most = most
        self._roots: dict[str, _Node] = {}
        self._nodes: dict[tuple[str, str], _Node] = {}
        self._open: dict[tuple[str, ...], _Leaf] = {}
        self._trace = TraceFold()

    def add(self, event: Event) -> None:
        self._trace.add(event)
        if isinstance(event, CallStarted):
            held = "" if event.reserved is None else f" · ${event.reserved:,.4f} held"
            self._begin(event, event.key, str(event.attempt), f"… call {_model(event.model)} · no answer seen{held}")
        elif isinstance(event, CallFinished):
            self._spend(event, event.cost)
            self._finish(event, event.key, str(event.attempt), _Leaf(_answered(event)))
        elif isinstance(event, CallFailed):
            self._spend(event, ZERO)
            self._finish(event, event.key, str(event.attempt), _Leaf(_refused(event), bad=True))
        elif isinstance(event, ToolStarted | ToolFinished) and _has_place(event):
            self._tool(event)
        elif isinstance(event, ToolStarted):
            self._begin(event, event.key, "tool", f"… tool {one_line(event.tool, WIDTH)} · no result seen")
        elif isinstance(event, ToolFinished):
            sign = "✗" if event.error else "✓"
            error = [one_line(event.error, WIDTH)] if event.error else []
            words = [f"{sign} tool {one_line(event.tool, WIDTH)}", _seconds(event.seconds), *error]
            self._finish(event, event.key, "tool", _Leaf(" · ".join(words), bad=bool(event.error)))
        elif isinstance(event, NodeStarted):
            node = self._node(event.run, event.path)
            node.name, node.type = event.name, event.type
        elif isinstance(event, NodeFinished):
            node = self._node(event.run, event.path)
            node.outcome, node.seconds = event.outcome, event.seconds
            node.problem = node.problem or event.error
        elif isinstance(event, Skipped):
            node = self._node(event.run, event.path)
            node.outcome = node.outcome or "skipped"
            node.problem = f"skipped: {event.reason}" + (f" · {event.error}" if event.error else "")
        elif isinstance(event, CacheAlert):
            self._node(event.run, event.path).below.append(_Leaf(f"! cache: {one_line(event.text, 200)}", bad=True))
        elif isinstance(event, EscalationAlert):
            what = "at the top tier were not settled" if event.failed else "came to the top tier"
            words = f"{percent(event.share)} of {event.turns:,} turns of {event.path} {what}"
            self._root(event.run).below.append(_Leaf(f"! cascade: {words}", bad=True))
        elif isinstance(event, WatchdogAlert):
            did = f"{event.action}: {one_line(event.text, 160)}"
            words = f"{did} · {one_line(event.opinion, WIDTH)}" if event.opinion else did
            self._root(event.run).below.append(_Leaf(f"! watchdog: {words}", bad=True))
        elif isinstance(event, BatchEnded):
            if problem := problem_of(event):
                listed = [one_line(text, 160) for text in event.listed]
                self._node(event.run, event.path).below += [_Leaf(f"! {text}", bad=True) for text in (problem, *listed)]
        elif isinstance(event, Decision) and event.about == "lane":
            after = one_line(str(event.data.get("after", "")), 160)
            self._node(event.run, event.path).below.append(_Leaf(f"! asked at once, not by batch: {after}"))
        elif isinstance(event, Decision) and event.about == "tiers_left_out":
            tiers = ", ".join(f"tier {int(tier)}" for tier in event.data.get("tiers", ()))
            words = f"! cascade: {tiers} left out, as more would be spent than saved"
            self._node(event.run, event.path).below.append(_Leaf(words))
        elif isinstance(event, Decision) and event.about == "prefix_changed":
            change = one_line(str(event.data.get("change", "")), 160)
            self._node(event.run, event.path).below.append(_Leaf(f"! cache: {change}", bad=True))
        elif isinstance(event, Decision) and event.about in ("stored_answer", "stored_result"):
            self._node(event.run, event.path).below.append(_given_again(event.data))
        elif isinstance(event, Decision) and event.about == COMPACTION:
            self._node(event.run, event.path).below.append(_compacted(event.data))
        elif isinstance(event, RunStarted):
            self._root(event.run).type = event.flow
        elif isinstance(event, RunFinished):
            root = self._root(event.run)
            root.outcome, root.seconds, root.problem = event.stop_reason, event.seconds, event.error

    def render(self) -> str:
        """Plain text without control characters; what people, models and tools wrote is stripped and cut."""
        blocks = ["\n".join(self._lines(root, "", "")) for root in self._roots.values()]
        blocks.append("\n".join(summary(self._trace.rows())))
        return "\n\n".join(blocks)

    def _root(self, run: str) -> _Node:
        root = self._roots.get(run)
        if root is None:
            root = self._roots[run] = _Node(f"run {run}")
        return root

    def _node(self, run: str, path: str) -> _Node:
        """The node at `path`; those around it are made where no event told of them yet."""
        if not path:
            return self._root(run)
        node = self._nodes.get((run, path))
        if node is None:
            above, _, name = path.rpartition("/")
            node = self._nodes[run, path] = _Node(name)
            self._node(run, above).below.append(node)
        return node

    def _tool(self, event: ToolStarted | ToolFinished) -> None:
        """A tool with a path of its own stands as a node: what it runs is below it."""
        node = self._node(event.run, event.path)
        node.type = node.type or "tool"
        if isinstance(event, ToolFinished):
            node.outcome, node.seconds = "failed" if event.error else "completed", event.seconds
            node.problem = node.problem or event.error

    def _begin(self, event: Event, key: str, what: str, text: str) -> None:
        leaf = self._open[event.run, event.path, key, what] = _Leaf(text, bad=True)
        self._node(event.run, event.path).below.append(leaf)

    def _finish(self, event: Event, key: str, what: str, ended: _Leaf) -> None:
        leaf = self._open.pop((event.run, event.path, key, what), None)
        if leaf is None:
            self._node(event.run, event.path).below.append(ended)
        else:
            leaf.text, leaf.bad = ended.text, ended.bad

    def _spend(self, event: Event, cost: Decimal | None) -> None:
        """Count an attempt in its node and in all around it."""
        path = event.path
        while True:
            node = self._node(event.run, path)
            node.calls += 1
            node.unknown = node.unknown or cost is None
            node.cost += cost or ZERO
            if not path:
                return
            path = path.rpartition("/")[0]

    def _lines(self, node: _Node, first: str, rest: str) -> list[str]:
        lines = [first + _title(node)]
        shown = node.below
        hidden = 0
        if len(shown) > self._most:
            shown = [part for i, part in enumerate(shown) if i < self._most or part.bad][: 2 * self._most]
            hidden = len(node.below) - len(shown)
        for i, part in enumerate(shown):
            last = i == len(shown) - 1 and not hidden
            branch, stem = ("└─ ", "   ") if last else ("├─ ", "│  ")
            if isinstance(part, _Leaf):
                lines.append(rest + branch + part.text)
            else:
                lines += self._lines(part, rest + branch, rest + stem)
        if hidden:
            lines.append(f"{rest}└─ … {hidden:,} more")
        return lines


def tree(events: Iterable[Event], *, most: int = 40) -> str:
    """The tree of these events and a summary below it (see `TreeFold`)."""
    fold = TreeFold(most=most)
    for event in events:
        fold.add(event)
    return fold.render()


def _has_place(event: ToolStarted | ToolFinished) -> bool:
    """Does the event's path end in the tool, and not in the agent that called it?"""
    return event.path.rpartition("/")[2].partition("#")[0] == event.tool


def _title(node: _Node) -> str:
    words = [f"{_SIGNS.get(node.outcome, '■')} {one_line(node.name, WIDTH)}"]
    # A node of its type's name would only stutter.
    if node.type and node.type != node.name:
        words.append(one_line(node.type, WIDTH))
    if node.outcome not in ("completed", "skipped"):
        words.append(one_line(node.outcome.replace("_", " "), WIDTH) or "not finished")
    if node.seconds is not None:
        words.append(_seconds(node.seconds))
    if node.calls:
        words.append(_cost(node.cost, unknown=node.unknown))
    if node.problem:
        words.append(one_line(node.problem, WIDTH))
    return " · ".join(words)


def _answered(event: CallFinished) -> str:
    into = _together((event.input_tokens, event.cache_read_tokens, event.cache_write_tokens))
    out = _together((event.output_tokens,))
    words = [
        f"✓ call {_model(event.model)}",
        _seconds(event.seconds),
        "cost unknown" if event.output_tokens is None else _cost(event.cost or ZERO, unknown=event.cost is None),
        f"{into} → {out} tokens",
    ]
    if event.lane:
        words.append("by batch")
    if event.cache_read_tokens:
        words.append(f"{event.cache_read_tokens:,} read from cache")
    if event.tools:
        words.append("calls " + one_line(", ".join(event.tools), WIDTH))
    if event.attempt > 1:
        words.append(f"attempt {event.attempt}")
    return " · ".join(words)


def _refused(event: CallFailed) -> str:
    error = f"{event.error}: {event.message}" if event.message else event.error
    words = [f"✗ call {_model(event.model)}", _seconds(event.seconds), one_line(error, WIDTH)]
    if event.in_doubt is not None:
        words.append(f"in doubt ${event.in_doubt:,.4f}")
    elif event.maybe_billed:
        words.append("in doubt, unpriced")
    return " · ".join(words)


def _given_again(data: Mapping[str, Any]) -> _Leaf:
    """`= stored answer of clerk · similarity 0.931 · saved $0.0020`, `= stored result of search · saved 1.20 s`"""
    tool, saved, seconds = data.get("tool"), data.get("saved"), data.get("seconds")
    words = [f"= stored {'answer' if tool is None else 'result'} of {one_line(str(tool or data.get('agent')), WIDTH)}"]
    if isinstance(near := data.get("similarity"), float):
        words.append(f"similarity {near:.3f}")
    if isinstance(saved, str):
        words.append(f"saved ${Decimal(saved):,.4f}")
    if isinstance(seconds, int | float):
        words.append(f"saved {_seconds(seconds)}" if tool is not None else f"took {_seconds(seconds)}")
    return _Leaf(" · ".join(words))


def _compacted(data: Mapping[str, Any]) -> _Leaf:
    """`✓ compaction: clear · 11,444 → 5,505 tokens · 8 more requests are expected`, or why not."""
    why = one_line(str(data.get("why", "")), 160)
    if data.get("outcome") != "done":
        return _Leaf(f"! compaction {one_line(str(data.get('outcome', '')), 40)}: {why}", bad=True)
    sizes = (data.get("tokens_before"), data.get("tokens_after"))
    tokens = [f"{size:,}" if isinstance(size, int) else "?" for size in sizes]
    return _Leaf(f"✓ compaction: {one_line(str(data.get('way', '')), 40)} · {' → '.join(tokens)} tokens · {why}")


def _model(model: str) -> str:
    return one_line(model.partition(":")[2] or model, WIDTH)


def _together(parts: Sequence[int | None]) -> str:
    known = [part for part in parts if part is not None]
    return f"{sum(known):,}" if len(known) == len(parts) else "?"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds >= 0.1 or not seconds else f"{seconds * 1_000:.1f} ms"


def _cost(cost: Decimal, *, unknown: bool) -> str:
    if unknown:
        return f"≥ ${cost:,.4f}" if cost else "unpriced"
    return f"${cost:,.4f}" if cost >= Decimal("0.01") or not cost else f"${cost:,.6f}"


__all__ = ["CallRow", "TreeFold", "tree"]
