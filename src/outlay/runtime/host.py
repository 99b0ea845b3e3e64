"""What runs have in common: the models, the prices, the shared budgets, the store, the listeners."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypedDict, cast

from outlay.analysis.escalating import Escalating
from outlay.errors import ConfigError
from outlay.policies.batching import Batching
from outlay.policies.ledger import Account, Ledger
from outlay.policies.watchdog import Watchdog
from outlay.protocols.stages import UNSTAGED, Stages
from outlay.protocols.store import Store
from outlay.runtime import traffic
from outlay.runtime.alerts import OnAlert, check_listeners
from outlay.runtime.answers import AnswerCache
from outlay.runtime.batches import BatchLane
from outlay.runtime.budgets import Chain
from outlay.runtime.directory import Directory, Replacements, default_prices
from outlay.runtime.pending import Pending
from outlay.runtime.recorder import Listener, Recorder
from outlay.runtime.second_opinion import check_opinion
from outlay.runtime.watching import Watcher
from outlay.runtime.windows import Windows
from outlay.stores.opening import connected
from outlay.values.budget import Budget
from outlay.values.transcript import Transcript

Budgets: TypeAlias = Budget | Sequence[Budget] | None
StoreLike: TypeAlias = str | Path | Store | None
OnAsk: TypeAlias = Callable[[Pending], Any]
#: How calls go out: at once, or in the providers' batches, with a Batching to say how those are made.
LaneLike: TypeAlias = Literal["live", "batch"] | Batching


@dataclass(slots=True, eq=False)
class Host:
    """What several runs have in common: models, prices, shared budgets, the store."""

    directory: Directory
    ledger: Ledger
    shared: Chain
    store: Store | None
    on_alert: OnAlert | None
    on_ask: OnAsk | None
    listeners: tuple[Listener, ...]
    deps: Any = None
    #: In loop time: what `seconds` of a budget of many runs leaves to all of them together.
    deadline: float | None = None
    stages: Stages = UNSTAGED
    #: Who writes the events down; a forecast folds them on the fly instead.
    recorder: Callable[..., Recorder] = Recorder
    #: The flow's address, recorded for `outlay resume`.
    source: str = ""
    #: What budgets across runs are counted in, None without a store.
    windows: Windows | None = None
    watcher: Watcher | None = None
    escalating: Escalating = field(default_factory=Escalating)
    learned: dict[str, Any] = field(default_factory=dict[str, Any])
    #: The alerts of time budgets that its runs share.
    told: set[tuple[Account, int]] = field(default_factory=set[tuple[Account, int]])
    #: The batches of its runs. Every host has one: an agent may ask for it, and so may a run that goes on.
    lane: BatchLane | None = None

    @property
    def by_batch(self) -> bool:
        """Do agents that say nothing else go by batch?"""
        return self.lane is not None and self.lane.by_default


class Options(TypedDict, total=False):
    """What every way to run a flow takes besides the flow and its input; see `run`."""

    budget: Budgets
    deps: Any
    store: StoreLike
    models: Replacements
    on_event: Listener | None
    on_alert: OnAlert | None
    on_ask: OnAsk | None
    watchdog: Watchdog | None
    seed: int | None
    history: Transcript | None
    strict: bool
    source: str
    fresh: bool
    lane: LaneLike


class RunOptions(Options, total=False):
    """What `run` takes besides the flow and its input."""

    run_id: str | None
    session: str | None


class hosting:
    """The host that `options` describe. A store that was given by its address is closed at the end.

    A class and not a generator: it stands in the way of every run.
    """

    __slots__ = ("_address", "_fresh", "_host", "_lane", "_own", "_watchdog")

    def __init__(self, options: Options, *listeners: Listener, deadline: float | None = None) -> None:
        directory = Directory(options.get("models"), default_prices())
        store, on_event = options.get("store"), options.get("on_event")
        self._address = store if isinstance(store, str | Path) else None
        if self._address is None and store is not None and not hasattr(store, "append"):
            raise ConfigError(f"not a store: {store!r}", hint="give a path, postgresql://…, or one from open_store")
        for name, listener in (("on_event", on_event), ("on_ask", options.get("on_ask"))):
            if listener is not None and not callable(listener):
                raise ConfigError(f"{name}={listener!r} is no function")
        check_listeners(options.get("on_alert"))
        self._own: Store | None = None
        self._fresh = options.get("fresh", False)
        self._watchdog = options.get("watchdog")
        self._lane = options.get("lane", "live")
        if not (isinstance(self._lane, Batching) or self._lane in ("live", "batch")):
            raise ConfigError(
                f"lane={self._lane!r} is not understood",
                hint="use 'live', 'batch', or a Batching for how batches are made",
            )
        self._host = Host(
            directory,
            Ledger(),
            (),
            None if isinstance(store, str | Path) else store,
            options.get("on_alert"),
            options.get("on_ask"),
            listeners if on_event is None else (*listeners, on_event),
            options.get("deps"),
            deadline,
            source=options.get("source", ""),
        )

    async def __aenter__(self) -> Host:
        if self._address is not None:
            self._own = self._host.store = await connected(self._address)
        host, lane = self._host, self._lane
        host.lane = BatchLane(host.store, None if isinstance(lane, str) else lane, by_default=lane != "live")
        host.stages = traffic.stages(AnswerCache(host.store, fresh=self._fresh), host.lane)
        if host.store is not None:
            host.windows = Windows(host.store)
        if self._watchdog is not None:
            check_opinion(host.directory, self._watchdog.opinion)
            host.watcher = Watcher(self._watchdog, host.store)
        return host

    async def __aexit__(self, *_: object) -> None:
        if self._host.lane is not None:
            await self._host.lane.close()
        if self._host.windows is not None:
            await self._host.windows.close()
        if self._own is not None:
            await self._own.close()


def as_budgets(budget: Budgets) -> tuple[Budget, ...]:
    """What `budget=` was given, as a tuple. Raises ConfigError."""
    if budget is None:
        return ()
    found = cast("tuple[Budget, ...]", tuple(budget) if isinstance(budget, list | tuple) else (budget,))
    for one in found:
        if not isinstance(one, Budget):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(f"budget={one!r} is not a Budget", hint='write budget=Budget(usd="0.50")')
    return found
