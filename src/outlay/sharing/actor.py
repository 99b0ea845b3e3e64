"""On whose behalf shared things are read and written: a node of a run, or code outside any run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from outlay.values.label import TRUSTED, Label

A = TypeVar("A")
#: The work of one effect. It gets a name under which a repeat of it (a resumed run) recognises that it was done, or
#: nothing where there can be none, and gives JSON.
Work = Callable[[str], Awaitable[Any]]


class Actor(Protocol):
    @property
    def path(self) -> str: ...
    @property
    def agent(self) -> str: ...
    @property
    def run(self) -> str: ...
    @property
    def keeps(self) -> bool:
        """What is written outlives the actor."""
        ...

    @property
    def label(self) -> Label:
        """What is written carries it."""
        ...

    def met(self, label: Label) -> None:
        """Something with this label was read."""
        ...

    async def effect(self, name: str, arguments: Mapping[str, Any], work: Work) -> Any:
        """Do the work, or give what it gave before. `arguments` are JSON and tell it from others."""
        ...

    async def in_thread(self, function: Callable[[], A]) -> A:
        """Call what blocks (files)."""
        ...


class Outside:
    """Code outside any run: trusted, recorded nowhere."""

    path = agent = run = ""
    keeps = True
    label = TRUSTED

    def met(self, label: Label) -> None: ...

    async def effect(self, name: str, arguments: Mapping[str, Any], work: Work) -> Any:
        return await work("")

    async def in_thread(self, function: Callable[[], A]) -> A:
        return await asyncio.to_thread(function)


OUTSIDE = Outside()
