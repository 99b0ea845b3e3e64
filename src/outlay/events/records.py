"""The event records.

Each is one fact, frozen, with the run it belongs to, its place in the run's order (`seq`), the time in seconds
since the epoch, and the path of the node it is about. `TextDelta` and `Retracted` reach listeners only and are
never stored.

msgspec structs and not dataclasses: six of them are made for every call, and their JSON codec is the same
declaration (5 times faster to make, 10 times to encode).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, TypeAlias

import msgspec

#: The purpose of a call that a stored answer answered: it costs nothing.
CACHED = "cached"
#: The purpose of a call that writes a summary of a conversation, and what decisions about that are about.
COMPACTION = "compaction"


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    run: str
    seq: int
    time: float
    path: str = ""


class RunStarted(Event, frozen=True, kw_only=True, tag="run_started"):
    """`flow` is the root's name, `input` the digest of the input, `lane` live, offline or batch.

    `limits` are the run's budgets as they were given: one mapping of limit to value each. `shape` is the digest of
    the flow's parts: another one says that the code has changed. `owner` is the process that runs it, `source` the
    flow's address as it was typed (`outlay resume` imports it). A fork names
    the run it branched off (`parent`) and the path from which on it does not share its records (`at`); `changed` is
    the digest of the input that the node there gets instead of its own. `session` is the conversation it is a turn
    of, and `conversation` the newest page of each of its parts as they were when the run began, by place. `watchdog`
    are the settings of the run's watchdog, empty where it had none.
    """

    flow: str
    input: str = ""
    lane: str = "live"
    seed: int | None = None
    limits: tuple[dict[str, str], ...] = ()
    shape: str = ""
    owner: str = ""
    source: str = ""
    parent: str = ""
    at: str = ""
    changed: str = ""
    session: str = ""
    conversation: dict[str, str] = {}
    watchdog: dict[str, Any] = {}


class RunResumed(Event, frozen=True, kw_only=True, tag="run_resumed"):
    """A run goes on. Its place in the run's order is the fencing token: an owner that was thought dead and wakes up
    writes its next event to this place, and is refused."""

    lane: str = "live"
    limits: tuple[dict[str, str], ...] = ()
    shape: str = ""
    owner: str = ""
    source: str = ""
    watchdog: dict[str, Any] = {}


class RunFinished(Event, frozen=True, kw_only=True, tag="run_finished"):
    """`stop_reason` as in `Result`; `error` is `Type: text`; `seconds` from start to finish.

    `cause` is the key of the failed effect that ended the run: when it goes on, that one is tried again. `output` is
    the digest of the output's JSON. `conversation` are the newest pages of its session's conversation with the turn
    that this run was, empty where it was none.
    """

    stop_reason: str
    degraded: bool = False
    error: str = ""
    seconds: float = 0.0
    cause: str = ""
    output: str = ""
    conversation: dict[str, str] = {}


class ContentsPruned(Event, frozen=True, kw_only=True, tag="contents_pruned"):
    """Retention took the contents of a run that is over, or will in a moment: its events still tell the bill, but it
    can no longer go on. `ended` is when the run came to its end, in seconds since the epoch."""

    ended: float = 0.0


class NodeStarted(Event, frozen=True, kw_only=True, tag="node_started"):
    """`type` is agent, function, or the pattern's class name."""

    name: str
    type: str


class NodeFinished(Event, frozen=True, kw_only=True, tag="node_finished"):
    """`outcome` is completed, failed, stopped, cancelled or skipped."""

    name: str
    outcome: str
    seconds: float
    error: str = ""


class CallStarted(Event, frozen=True, kw_only=True, tag="call_started"):
    """The intent of one attempt at a model. `key` is the effect's identity, `reserved` in US dollars, `lane` batch for
    one that goes into a batch.

    `head` is the transcript's head before the call and `prelude` the digest of instructions, tools and output
    schema: with the stored messages they are the full input.
    """

    agent: str
    model: str
    attempt: int
    key: str
    purpose: str = "work"
    reserved: Decimal | None = None
    input_bound: int = 0
    max_output_tokens: int = 0
    head: str = ""
    prelude: str = ""
    label: str = ""
    lane: str = ""


class CallFinished(Event, frozen=True, kw_only=True, tag="call_finished"):
    """One attempt that the model answered. Token buckets are None where the provider did not report usage.

    `cost` in US dollars, None if unknown. `returned` is the model version that answered, `head` the transcript's
    head after the answer, `first_token` and `seconds` are counted from sending.
    """

    agent: str
    model: str
    attempt: int
    key: str
    purpose: str = "work"
    returned: str = ""
    input_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    output_tokens: int | None = None
    cost: Decimal | None = None
    seconds: float = 0.0
    first_token: float | None = None
    stop: str = ""
    tools: tuple[str, ...] = ()
    thinking: str = ""
    request_id: str = ""
    head: str = ""
    raw_usage: dict[str, Any] | None = None
    #: The provider's own word for `stop`.
    raw_stop: str = ""
    #: The digest of the whole message, where the canonical bytes behind `head` leave something out.
    message: str = ""
    #: The part of `cache_write_tokens` that was written for an hour.
    cache_write_1h_tokens: int = 0
    #: Why a stored answer that is no longer fresh stands in for one; empty where none does.
    stale: str = ""
    #: What the same tokens would have cost more without a prompt cache, in US dollars; negative where it cost more
    #: than it saved. None where nothing was cached or the price is unknown.
    saved: Decimal | None = None
    #: `batch` for an answer out of a batch, and what it would have cost more at once, in US dollars: None if unknown.
    lane: str = ""
    lane_saved: Decimal | None = None

    @property
    def known_tokens(self) -> int:
        """All tokens, read and written, as far as the provider reported them."""
        return self.known_input_tokens + (self.output_tokens or 0)

    @property
    def known_input_tokens(self) -> int:
        """All that was read, from a cache or not, as far as the provider reported it."""
        return (self.input_tokens or 0) + (self.cache_read_tokens or 0) + (self.cache_write_tokens or 0)


class CallFailed(Event, frozen=True, kw_only=True, tag="call_failed"):
    """One attempt without an answer. `maybe_billed`: it reached the provider and may be on its invoice.

    `in_doubt` is what stays held for it, None where nothing is held or the price is unknown.
    """

    agent: str
    model: str
    attempt: int
    key: str
    error: str
    purpose: str = "work"
    message: str = ""
    status: int | None = None
    seconds: float = 0.0
    maybe_billed: bool = False
    in_doubt: Decimal | None = None
    request_id: str = ""


class ToolStarted(Event, frozen=True, kw_only=True, tag="tool_started"):
    """The intent of one tool call, or of another effect by its name. `arguments` is the digest of their JSON."""

    agent: str
    tool: str
    key: str
    side_effect: bool = False
    label: str = ""


class ToolFinished(Event, frozen=True, kw_only=True, tag="tool_finished"):
    """`error` is empty on success; `size` is the result's length in characters before any cut.

    `value` is the digest of the stored result, empty where it has no JSON and can never be given again. `label` is
    that of what the tool came across, where it came across anything.
    """

    agent: str
    tool: str
    key: str
    seconds: float = 0.0
    error: str = ""
    size: int = 0
    value: str = ""
    label: dict[str, Any] | None = None


class SharedDone(Event, frozen=True, kw_only=True, tag="shared_done"):
    """Something that agents share was read or written: `what` (such as `state.set`), of which `name`.

    `value` is the digest of the answer's JSON. There is no intent before it: a write that a crash cut off from its
    record is done again under its key, and then found done.
    """

    key: str
    what: str
    name: str = ""
    value: str = ""


class EffectFailed(Event, frozen=True, kw_only=True, tag="effect_failed"):
    """An effect's last word was an error, and the flow was told: a replay tells it the same.

    `error` is the exception's class, `home` the module it is from, `args` what it was made of, as far as that is
    plain; `facts` are an Outlay error's own.
    """

    key: str
    error: str
    home: str = ""
    args: tuple[Any, ...] = ()
    facts: dict[str, Any] = {}


class EffectCancelled(Event, frozen=True, kw_only=True, tag="effect_cancelled"):
    """Whoever waited for the effect was cancelled by the flow itself: a lost race, a time-out, a sibling's failure."""

    key: str


class Drawn(Event, frozen=True, kw_only=True, tag="drawn"):
    """A value that differs from moment to moment: the time, what is left of a budget, what the runtime decided from
    it. `value` is JSON."""

    key: str
    what: str
    value: Any = None


class Elapsed(Event, frozen=True, kw_only=True, tag="elapsed"):
    """A sleep or a time-out of the flow came to its end."""

    key: str
    what: str


class Asked(Event, frozen=True, kw_only=True, tag="asked"):
    """A question to somebody outside the run. `id` is its name in the inbox, `about` ask, approval, in_doubt, budget
    or watchdog (the last two are no effects, and have no key)."""

    key: str
    id: str
    about: str
    question: str
    options: tuple[str, ...] = ()


class Answered(Event, frozen=True, kw_only=True, tag="answered"):
    """Who decided, what, and why. `denied`: it was refused; `result` is what an effect in doubt had given."""

    key: str
    id: str
    answer: str
    by: str = ""
    reason: str = ""
    denied: bool = False
    result: str | None = None


class Checked(Event, frozen=True, kw_only=True, tag="checked"):
    """An output met its checkers; `problem` says what was wrong, empty when all passed."""

    agent: str
    checks: tuple[str, ...] = ()
    problem: str = ""


class Decision(Event, frozen=True, kw_only=True, tag="decision"):
    """What the runtime decided at the moment (clip, wait, skip, cheaper model), with what it decided from."""

    about: str
    data: dict[str, Any] = {}


class BudgetAlert(Event, frozen=True, kw_only=True, tag="budget_alert"):
    """A budget crossed 50, 80 or 95 per cent. `spent` and `limit` in the resource's unit."""

    scope: str
    resource: str
    percent: int
    spent: Decimal
    limit: Decimal


class CacheAlert(Event, frozen=True, kw_only=True, tag="cache_alert"):
    """A prompt cache does not do what was expected of it: nothing was read over a run that should have hit, or an
    agent's prompt changes where it should stay the same. `text` says which, for people."""

    agent: str
    model: str
    text: str
    expected: int = 0


class WatchdogAlert(Event, frozen=True, kw_only=True, tag="watchdog_alert"):
    """A rule of the watchdog was met for the `level`th time; `path` is where. `action` is what it did: warn, pause or
    stop. `about` tells the subjects of one rule apart, `text` is for people, `opinion` what the model said that was
    asked about it, where one was."""

    rule: str
    action: str
    text: str
    about: str = ""
    level: int = 1
    opinion: str = ""


class EscalationAlert(Event, frozen=True, kw_only=True, tag="escalation_alert"):
    """The cascade at `path` sent a larger `share` of its `turns` to its top tier than `limit`, over the runs of one
    process that share a map; `failed`: of its `turns` at the top tier, that share was not settled there either."""

    turns: int
    share: float
    limit: float
    failed: bool = False


class BatchEnded(Event, frozen=True, kw_only=True, tag="batch_ended"):
    """What became of a batch of model calls, many runs' among them: one of these runs records it.

    `batch` is the provider's id. Each of its `requests` was answered, failed by itself, expired, was cancelled, or is
    missing from the results; `duplicate` ids came twice, `unknown` ones were never sent, and `unreadable` lines are no
    JSON. `listed` names the first of what went wrong; `seconds` since it was closed.
    """

    batch: str
    provider: str
    requests: int
    answered: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0
    missing: int = 0
    duplicate: int = 0
    unknown: int = 0
    unreadable: int = 0
    listed: tuple[str, ...] = ()
    seconds: float = 0.0


class CircuitChanged(Event, frozen=True, kw_only=True, tag="circuit_changed"):
    """A circuit breaker opened or closed. `target` is the model, `state` open or closed, `reason` the last failure."""

    target: str
    state: str
    reason: str = ""


class Overrun(Event, frozen=True, kw_only=True, tag="overrun"):
    """A call cost more than its reservation: the provider did not honour its cap, or a bound is wrong."""

    model: str
    reserved: Decimal
    cost: Decimal


class Skipped(Event, frozen=True, kw_only=True, tag="skipped"):
    """A part that the result does without, and why. `error` is `Type: text` where it failed."""

    reason: str
    error: str = ""


class Fact(Event, frozen=True, kw_only=True, tag="fact"):
    """What a pattern reports of itself: votes, rounds, the route taken."""

    data: dict[str, Any] = {}


class Custom(Event, frozen=True, kw_only=True, tag="custom"):
    """What user code emits."""

    name: str
    data: dict[str, Any] = {}


class TextDelta(Event, frozen=True, kw_only=True, tag="text_delta"):
    """A piece of an agent's answer while it is being written."""

    text: str


class Retracted(Event, frozen=True, kw_only=True, tag="retracted"):
    """Earlier deltas of this path no longer count: the attempt failed or its output was refused."""

    reason: str


#: What is told while a run goes on.
AlertEvent: TypeAlias = BudgetAlert | CacheAlert | CircuitChanged | EscalationAlert | WatchdogAlert


class Unknown(Event, frozen=True, kw_only=True, tag="unknown"):
    """An event of a newer version, kept as it was read."""

    body: dict[str, Any] = {}
