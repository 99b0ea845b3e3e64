"""Branch off a run: go on from a path in it with another input, instruction or model, on what it has paid for."""

from __future__ import annotations

import difflib
import json
from typing import Any, Unpack

from outlay.agents.function import as_node
from outlay.errors import ConfigError
from outlay.protocols.node import Node
from outlay.runtime import preflight
from outlay.runtime.execution import execute
from outlay.runtime.host import Options, as_budgets, hosting
from outlay.runtime.kept import input_json
from outlay.runtime.recall import Past, branch, recall
from outlay.runtime.result import Result

_OWN: Any = object()


async def fork(
    run_id: str, node: Any, *, at: str = "", input: Any = _OWN, fork_id: str | None = None, **options: Unpack[Options]
) -> Result[Any]:
    """Run a flow again on the records of an earlier run, from the path `at` on.

    What happened at `at` and below is done anew, and so is what depends on it; all else is given again for nothing.
    Without `at` only what has changed in the flow runs: this is how a new prompt is tried on yesterday's run.
    `input` is what the node at `at` gets instead of its own input (without `at`, the run). Tools with side effects
    that run again ask for approval. The fork is a run of its own, with an id (`fork_id`), a budget and a bill; the
    other options are those of `run`, and `store` is needed.

    Raises ConfigError for a run or a path that is not there, and what `run` raises.
    """
    root = as_node(node)
    if options.get("store") is None:
        raise ConfigError("fork needs the store that holds the run", hint="fork(run_id, flow, store=…)")
    if fork_id == run_id:
        raise ConfigError(f"fork_id={fork_id!r} is the run itself", hint="leave it out for a new id")
    async with hosting(options) as host:
        assert host.store is not None
        parent = await recall(host.store, run_id)
        if parent is None:
            raise ConfigError(f"there is no run {run_id!r} in the store", hint="`outlay runs` lists them")
        root_path = parent.started.path
        whole = not at or at == root_path
        _check_path(parent, at)
        changed = None if whole or input is _OWN else input_json(input)
        value = input if whole and input is not _OWN else _own_input(parent, root)
        limits = as_budgets(options.get("budget"))
        preflight.check(root, host.directory, limits, host.store, by_batch=host.by_batch)
        return await execute(
            host,
            root,
            value,
            limits,
            run_id=fork_id,
            history=options.get("history"),
            branch=branch(parent, at, changed),
        )


def _own_input(parent: Past, root: Node[Any, Any]) -> Any:
    """What the run was begun with, as the type that its root says it takes."""
    stored, kind = parent.input, root.input_type
    if stored is None:
        raise ConfigError(
            f"the input of run {parent.started.run} is no longer in the store", hint="give it: fork(…, input=…)"
        )
    if kind is None or kind is str:
        return json.loads(stored)
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        return TypeAdapter[Any](kind).validate_json(stored)
    except PydanticUserError:  # no schema says what it is: JSON goes in as it is
        return json.loads(stored)
    except ValueError as error:
        raise ConfigError(
            f"the input of run {parent.started.run} no longer fits the flow: {error}", hint="give it: fork(…, input=…)"
        ) from error


def _check_path(parent: Past, at: str) -> None:
    known = sorted({event.path for event in parent.events})
    if not at or at in known or any(record.is_below(at) for record in parent.memory.records.values()):
        return
    near = difflib.get_close_matches(at, known, 1) or known[:1]
    raise ConfigError(
        f"run {parent.started.run} has no path {at!r}", hint=f"did you mean {near[0]}? `outlay trace` shows all paths"
    )
