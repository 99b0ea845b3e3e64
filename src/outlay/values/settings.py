"""Sampling settings of a model call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Thinking = Literal["off", "adaptive"]


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """What to ask of the model beside the prompt; None leaves the provider's default.

    `thinking` is `"off"`, `"adaptive"` or a budget in tokens (part of the output cap). `tool_choice` is `"auto"`,
    `"required"`, `"none"` or a tool's name. `extra` goes into the request body as it is. A setting that the model
    lacks is a ConfigError before anything is spent, never dropped.
    """

    temperature: float | None = None
    top_p: float | None = None
    effort: Effort | None = None
    thinking: Thinking | int | None = None
    stop: str | Sequence[str] = ()
    seed: int | None = None
    tool_choice: str | None = None
    extra: Mapping[str, Any] | None = None
    #: These settings as bytes, for the identity of a call; worked out once.
    key: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "stop", (self.stop,) if isinstance(self.stop, str) else tuple(self.stop))
        object.__setattr__(self, "key", repr(self).encode(errors="surrogatepass"))

    def given(self) -> dict[str, Any]:
        """The settings that were set, by name."""
        return {f.name: value for f in fields(self) if f.init and (value := getattr(self, f.name)) not in (None, ())}
