"""A run that is in the store: its past, and the setting it was run in, or is to be run in now."""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import click

from outlay.cli.addresses import flow_at
from outlay.cli.inputs import InputType
from outlay.cli.options import existing_store
from outlay.cli.problems import Problem
from outlay.cli.setting import Setting, prepare
from outlay.cli.stored import find, reading
from outlay.cli.words import short
from outlay.events.records import RunResumed, RunStarted
from outlay.protocols.store import Store
from outlay.runtime.recall import Past, recall


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line says of how to go on; None where it says nothing, and the store knows."""

    flow: str | None
    budget: Decimal | None
    models: str | None
    deps: str | None
    store: str | None


@dataclass(frozen=True, slots=True)
class Known:
    past: Past
    #: The last event that began a stretch of work on it.
    last: RunStarted | RunResumed
    setting: Setting

    @property
    def id(self) -> str:
        return self.past.started.run

    def input(self) -> Any:
        """The input that the run was begun with. Raises Problem where it is gone or no longer fits."""
        type = InputType(self.setting.root)
        if self.past.input is None:
            raise Problem(f"the input of run {self.id} is no longer in the store", next="start it anew with outlay run")
        value = json.loads(self.past.input)
        if type.takes_text:
            return value
        try:
            return type.convert(value)
        except ValueError as error:
            raise Problem(f"the input of run {self.id} no longer fits the flow: {error}") from None


def known_run(run: str, asked: Asked, command: str) -> Known:
    """The run whose id begins with `run`. Its flow is shown before it is imported. Raises Problem; `command` is what
    its hint tells to type with a FLOW."""
    path = existing_store(asked.store)

    async def read(opened: Store) -> Past:
        past = await recall(opened, await find(opened, run))
        assert past is not None, "it was found"
        return past

    past = reading(asked.store, read)
    legs = [past.started, *(event for event in past.events if isinstance(event, RunResumed))]
    id, last, flow, deps = short(past.started.run), legs[-1], asked.flow, asked.deps
    if flow is None:
        flow, before = flow_at(next((leg.source for leg in reversed(legs) if leg.source), ""), id)
        deps = before if deps is None else deps
        click.echo(f"run {id} · {flow}{f' --deps {deps}' if deps else ''}", err=True)
    models = asked.models or ("offline" if last.lane == "offline" else "live")
    try:
        setting = prepare(flow, models, path, asked.budget, deps)
    except Problem as problem:
        hints = (*problem.next, f"outlay {command} {id} FLOW")
        raise Problem(problem.message, *problem.facts, next=hints, code=problem.code) from problem
    return Known(past, last, setting)
