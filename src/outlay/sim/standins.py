"""One model of a flow with the offline stand-ins of all agents that call it: each is answered by its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from outlay.agents.agent import Agent
from outlay.protocols.model import Model
from outlay.protocols.prices import PriceBook
from outlay.protocols.transport import Transport
from outlay.runtime.directory import Directory, default_prices
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse, Prelude
from outlay.values.settings import ModelSettings


def stand_ins(agents: Iterable[Agent[Any]]) -> dict[str, StandIns]:
    """By the name of each model that these agents may call, spare ones, cheaper ones and tiers included.

    Raises ConfigError for an agent without a stand-in.
    """
    directory = Directory("offline", default_prices())
    found: dict[str, dict[str, Model]] = {}
    for agent in agents:
        for choice in (*agent.models, *agent.fallback):
            name = choice if isinstance(choice, str) else choice.id
            model = directory.model(agent.name, choice, agent.offline)
            found.setdefault(name, {}).setdefault(agent.name, model)
    return {name: StandIns(models) for name, models in found.items()}


class StandIns:
    """`models` by agent, all of one id and price; who is none of these agents is answered by the first one's."""

    def __init__(self, models: Mapping[str, Model]) -> None:
        self._models = models
        self._first = next(iter(models.values()))

    def __repr__(self) -> str:
        return f"StandIns({self.id!r})"

    def _of(self, request: ModelRequest) -> Model:
        return self._models.get(request.agent, self._first)

    @property
    def id(self) -> str:
        return self._first.id

    @property
    def name(self) -> str:
        return self._first.name

    @property
    def provider(self) -> str:
        return self.id.partition(":")[0]  # not `offline`, which would make all of them one that is down

    @property
    def dialect(self) -> str:
        return self._first.dialect

    def check(self, prelude: Prelude, settings: ModelSettings, max_output_tokens: int) -> None:
        for model in self._models.values():
            model.check(prelude, settings, max_output_tokens)

    def price(self, book: PriceBook) -> Price | None:
        return self._first.price(book)

    def bound(self, request: ModelRequest) -> int:
        return self._of(request).bound(request)

    async def count(self, request: ModelRequest, transport: Transport) -> int | None:
        return await self._of(request).count(request, transport)

    async def send(
        self, request: ModelRequest, transport: Transport, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        return await self._of(request).send(request, transport, on_text)
