"""Names to things: which model an agent uses in this run, what it costs, and over which transport it is reached."""

from __future__ import annotations

import asyncio
import reprlib
from collections.abc import AsyncGenerator, Callable, Mapping
from functools import cache
from typing import Any, Literal
from weakref import WeakKeyDictionary

from outlay.errors import ConfigError
from outlay.models.naming import resolve
from outlay.models.prices import InTier
from outlay.models.scripted import Offline, ScriptedModel
from outlay.models.transport import HttpTransport
from outlay.protocols.model import Model
from outlay.protocols.prices import PriceBook
from outlay.protocols.transport import Transport
from outlay.values.price import Price

Replacements = Mapping[str, "Model | str"] | Literal["offline", "live"] | None


class Directory:
    """The models and prices of a run, or of the many runs of a map."""

    __slots__ = ("_prices", "_resolved", "book", "replacements", "used_offline")

    def __init__(self, replacements: Replacements, book: PriceBook) -> None:
        named = replacements is None or replacements in ("offline", "live")
        if not (named or isinstance(replacements, Mapping)):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"models={reprlib.repr(replacements)} is not understood",
                hint='give "offline", "live", or a mapping of agent name, model or "*" to a model',
            )
        self.replacements = replacements
        self.book = book
        self.used_offline = False
        #: With the choice and the stand-in beside the model, so that their ids stay theirs.
        self._resolved: dict[tuple[str, str | int, int, bool], tuple[Model, Any, Any]] = {}
        self._prices: dict[int, tuple[Model, Price | None]] = {}

    def model(
        self,
        agent: str,
        choice: str | Model,
        offline: Any = None,
        *,
        spare: bool = False,
        met: Callable[[Model], None] | None = None,
    ) -> Model:
        """The model of an agent in this run; of its `fallback=`, where it is a `spare`. `met` is called with one that
        nobody has asked for yet, and may refuse it.

        Raises ConfigError for one that is unknown or has no stand-in.
        """
        key = (agent, choice if isinstance(choice, str) else id(choice), id(offline), spare)
        found = self._resolved.get(key)
        if found is None:
            model = self._find(agent, choice, offline, spare)
            if met is not None:
                met(model)
            found = self._resolved[key] = (model, choice, offline)
        return found[0]

    def asked(self) -> set[str]:
        """The agents whose models were looked for so far, and those models, as `models=` can name them."""
        models = (choice if isinstance(choice, str) else choice.id for _, choice, _ in self._resolved.values())
        return {*(agent for agent, *_ in self._resolved), *models}

    def _find(self, agent: str, choice: str | Model, offline: Any, spare: bool) -> Model:
        replacements = self.replacements
        if not isinstance(choice, str):
            _check_model(agent, choice)
        if replacements == "offline":
            return self._stand_in(agent, choice, offline)
        if isinstance(replacements, Mapping):
            name = choice if isinstance(choice, str) else choice.id
            # what replaces an agent's model does not replace the spare one, unless nothing else is said
            for asked in (name, agent, "*") if spare else (agent, name, "*"):
                if asked in replacements:
                    choice = replacements[asked]
                    if not isinstance(choice, str):
                        _check_model(agent, choice)
                    break
        if choice == "offline":
            return self._stand_in(agent, choice, offline)
        return resolve(choice) if isinstance(choice, str) else choice

    def _stand_in(self, agent: str, choice: str | Model, offline: Any) -> Model:
        if isinstance(choice, ScriptedModel):
            return choice  # it is offline by nature
        if offline is None:
            raise ConfigError(
                f"agent {agent!r} has no offline stand-in",
                hint=f"give Agent({agent!r}, …, offline=lambda request: …), or run with models='live'",
            )
        if isinstance(offline, str):
            raise ConfigError(
                f"agent {agent!r}: offline={reprlib.repr(offline)} is a text, not a function",
                hint=f"write offline=lambda request: {reprlib.repr(offline)}",
            )
        self.used_offline = True
        return Offline(offline, resolve(choice) if isinstance(choice, str) else choice)

    def price(self, model: Model) -> Price | None:
        """A model's list price, None if unknown."""
        found = self._prices.get(id(model))
        if found is None:
            found = self._prices[id(model)] = (model, model.price(self.book))
        return found[1]

    def price_at(self, model: Model, tier: str) -> Price | None:
        """The price under a provider's condition (batch, priority, …), None where that is not known."""
        return model.price(InTier(self.book, tier))


def _check_model(agent: str, given: Any) -> None:
    """Raises ConfigError for what is no model: a function, most likely, that was meant to stand in for one."""
    if hasattr(given, "check") and not isinstance(given, type):  # a protocol's `isinstance` takes long
        return
    hint = 'give a model, or its name such as "anthropic:claude-haiku-4-5"'
    if isinstance(given, type):
        hint = f"it is a class: write {given.__name__}(…)"
    elif callable(given):
        hint = "wrap it: ScriptedModel(function), of outlay.testing"
    raise ConfigError(f"agent {agent!r}: {reprlib.repr(given)} is no model", hint=hint)


@cache
def default_prices() -> PriceBook:
    """The list prices that everybody shares, with what `outlay.toml` overrides."""
    from outlay.models.price_file import default_book

    return default_book()


_transports: WeakKeyDictionary[asyncio.AbstractEventLoop, tuple[Transport, Any]] = WeakKeyDictionary()


async def transport() -> Transport:
    """The loop's transport: connections are kept from run to run and closed when the loop ends."""
    loop = asyncio.get_running_loop()
    found = _transports.get(loop)
    if found is None:
        http = HttpTransport()
        keeper = _until_the_loop_ends(http)
        await anext(keeper)
        found = _transports[loop] = (http, keeper)
    return found[0]


def reach_through(transport: Transport) -> None:
    """Let the runs on this loop reach their providers through `transport`: on virtual time there are no sockets."""
    _transports[asyncio.get_running_loop()] = (transport, None)


async def _until_the_loop_ends(http: HttpTransport) -> AsyncGenerator[None]:
    """`asyncio.run` closes a loop's async generators before the loop: the one hook it has for clean-up."""
    try:
        yield
    finally:
        await http.close()
