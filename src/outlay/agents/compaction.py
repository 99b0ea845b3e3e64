"""Compaction: how an agent's conversation is kept short, as its user says it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from outlay.agents.checkpoint import extract
from outlay.agents.survivors import DEFAULT, Survivor, survivors_of
from outlay.errors import ConfigError
from outlay.protocols.model import Model


@dataclass(frozen=True, eq=False)
class Compaction:
    """`Agent(compaction=Compaction())`: shorten a long conversation where that is cheaper than to read it again.

    Two ways, and the one that saves more is taken when it pays (policies/compaction.py has the formula): `clear` takes
    the contents of tool results that were read already and keeps the calls with their arguments; `summarise` puts a
    checkpoint in the place of everything before the last `keep_turns` turns. The task stays word for word.

    A checkpoint is written by the agent's own model, which reads most of it from the prompt cache, or by `model`; the
    call stands on the bill with the purpose `compaction`. It is asked to be no longer than `max_summary_tokens`, and
    must hold the `must_survive` fields: names of `open_tasks`, `paths`, `errors`, `decisions` and `calls`, or a
    `Survivor`. One that lost a field or is longer than what it replaces is refused: the conversation stays as it was,
    and a decision in the events says so.

    `expected_turns` is how many model calls such a conversation takes; without it as many are expected to come as there
    were. `window` is the model's context window in tokens, where it is not known: before it is full, the conversation
    is shortened at any price. Without a price that is the only reason. `keep_tools` are tools whose results stay.
    `native=True` lets the provider clear results where it offers that (Anthropic's context editing, a beta) and none of
    them is a failure; the budget then reserves for the whole conversation, which is still sent.
    `offline` writes the summary under `models="offline"`.
    """

    clear: bool = True
    summarise: bool = True
    model: str | Model | None = field(default=None, kw_only=True)
    must_survive: Sequence[str | Survivor] = field(default=DEFAULT, kw_only=True)
    keep_turns: int = field(default=3, kw_only=True)
    keep_tools: Sequence[str] = field(default=(), kw_only=True)
    max_summary_tokens: int = field(default=1024, kw_only=True)
    expected_turns: int | None = field(default=None, kw_only=True)
    window: int | None = field(default=None, kw_only=True)
    native: bool = field(default=False, kw_only=True)
    offline: Any = field(default=extract, kw_only=True, repr=False)

    def __post_init__(self) -> None:
        if not (self.clear or self.summarise):
            raise ConfigError(
                "Compaction(clear=False, summarise=False) would do nothing", hint="leave out compaction= of the agent"
            )
        for name, value in (
            ("keep_turns", self.keep_turns),
            ("max_summary_tokens", self.max_summary_tokens),
            ("expected_turns", self.expected_turns),
            ("window", self.window),
        ):
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigError(f"Compaction: {name} must be at least 1, not {value!r}")
        for name in ("must_survive", "keep_tools"):
            given: Any = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str | Survivor) else tuple(given))
        if self.native and (self.keep_tools or not self.clear):
            what = "keep_tools" if self.keep_tools else "clear=False"
            raise ConfigError(
                f"Compaction: native=True and {what} exclude each other", hint="leave native out: it is done here then"
            )
        self.survivors  # noqa: B018

    @cached_property
    def survivors(self) -> tuple[Survivor, ...]:
        """The must-survive fields. Raises ConfigError for one that is not known."""
        return survivors_of(self.must_survive)


def checked(agent: str, compaction: object) -> None:
    """Raises ConfigError for anything else than a Compaction."""
    if not isinstance(compaction, Compaction):
        raise ConfigError(
            f"agent {agent!r}: compaction={compaction!r} is no Compaction", hint="write compaction=Compaction()"
        )
