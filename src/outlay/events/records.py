"""The event records.

Each is one fact, frozen, with the run it belongs to, its place in the run's order (`seq`), the time in seconds
since the epoch, and the path of the node it is about. `TextDelta` and `Retracted` reach listeners only and are
never stored.

msgspec structs and not dataclasses: six of them are made for every call, and their JSON codec is the same
declaration (5 times faster to make, 10 times to encode).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", omit_defaults=True):
    run: str
    seq: int
    time: float
    path: str = ""


class RunStarted(Event, frozen=True, kw_only=True, tag="run_started"):
    """`flow` is the root's name, `input` the digest of the input, `lane` live, offline or batch.

    `limits` are the run's budgets as they were given: one mapping of limit to value each.
    """

    flow: str
    input: str = ""
    lane: str = "live"
    seed: int | None = None
    limits: tuple[dict[str, str], ...] = ()


class RunFinished(Event, frozen=True, kw_only=True, tag="run_finished"):
    """`stop_reason` as in `Result`; `error` is `Type: text`; `seconds` from start to finish."""

    stop_reason: str
    degraded: bool = False
    error: str = ""
    seconds: float = 0.0


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
    """The intent of one attempt at a model. `key` is the effect's identity, `reserved` in US dollars.

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
    agent: str
    tool: str
    key: str
    side_effect: bool = False
    label: str = ""


class ToolFinished(Event, frozen=True, kw_only=True, tag="tool_finished"):
    """`error` is empty on success; `size` is the result's length in characters before any cut."""

    agent: str
    tool: str
    key: str
    seconds: float = 0.0
    error: str = ""
    size: int = 0


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


class Unknown(Event, frozen=True, kw_only=True, tag="unknown"):
    """An event of a newer version, kept as it was read."""

    body: dict[str, Any] = {}
