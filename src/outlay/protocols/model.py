"""Model: one attempt at one provider. Retries, budgets and events are the runtime's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from outlay.protocols.prices import PriceBook
from outlay.protocols.transport import Transport
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse, Prelude
from outlay.values.settings import ModelSettings


class Model(Protocol):
    """A model that agents can name.

    `id` is what users write and bills show (`anthropic:claude-haiku-4-5`); `name` the provider's own name for it;
    `provider` the key that limits and breakers count under; `dialect` the encoding its messages are cached under.
    """

    @property
    def id(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def provider(self) -> str: ...
    @property
    def dialect(self) -> str: ...

    def check(self, prelude: Prelude, settings: ModelSettings, max_output_tokens: int) -> None:
        """Raises ConfigError for what this model cannot do; called before anything is spent."""
        ...

    def price(self, book: PriceBook) -> Price | None:
        """This model's list price, None if unknown."""
        ...

    def bound(self, request: ModelRequest) -> int:
        """An upper bound of the input tokens, of every bucket together."""
        ...

    async def count(self, request: ModelRequest, transport: Transport) -> int | None:
        """The exact input tokens where the provider counts them for free, else None."""
        ...

    async def send(
        self, request: ModelRequest, transport: Transport, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        """One attempt. With `on_text` the answer is streamed and each piece of text handed over as it comes.

        A refusal or a truncated answer is a response with that stop. Raises ModelError.
        """
        ...
