"""Keys of `models=` that replace nothing: with a slip in an agent's name, the real model would be asked, and paid."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast
from weakref import WeakKeyDictionary

from outlay.agents.agent import Agent
from outlay.errors import ConfigError
from outlay.models.scripted import ScriptedModel
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.runtime.directory import Directory, Replacements
from outlay.runtime.hidden import may_run_others
from outlay.runtime.walking import walk

#: Replaces what no other key does.
_REST = "*"
#: How alike two names are at least, of 1, where one may be the other mistyped.
_ALIKE = 0.75
#: So many names are told.
_MOST = 12

_names: WeakKeyDictionary[Node[Any, Any], frozenset[str]] = WeakKeyDictionary()


def check_replacements(root: Node[Any, Any], directory: Directory) -> None:
    """`check_keys` of the `models=` of a run of this flow, and of its watchdog."""
    given = directory.replacements
    if given is None or isinstance(given, str):
        return
    if any(key != _REST and key not in _named(root) for key in given):
        check_keys((root,), given, directory.asked())


def check_keys(roots: Sequence[Node[Any, Any]], given: Replacements, also: Collection[str] = ()) -> None:
    """Raises ConfigError for a key that names no agent of these flows, no model of theirs and nothing in `also`, where
    something is left that it may have been meant for: an agent of nearly that name, or one that keeps a real model.

    A key that is merely left over is no error: one mapping often serves several flows. Nor is it one in a flow that
    may run agents which nobody knows before.
    """
    if given is None or isinstance(given, str):
        return
    for key in cast("Mapping[object, Any]", given):
        if not isinstance(key, str):
            name = key.name if isinstance(key, Node) else "reply"
            raise ConfigError(
                f"models= replaces by name, and has the key {reprlib.repr(cast('object', key))}",
                hint=f"write models={{{name!r}: …}}",
            )
    unknown = [key for key in given if key != _REST and key not in also and not any(key in _named(r) for r in roots)]
    if not unknown or any(may_run_others(root) for root in roots):
        return
    agents = {node.name: node for root in roots for node in walk(root) if isinstance(node, Agent)}
    kept = [name for name in agents if name not in given]
    models = [_id(model) for agent in agents.values() for model in agent.models if _id(model) not in given]
    for key in unknown:
        close = difflib.get_close_matches(key, [*kept, *models], n=1, cutoff=_ALIKE)
        if close or any(_is_real(agents[name], given) for name in kept):
            question = f"did you mean {close[0]!r}? " if close else ""
            there = ", ".join([*agents][:_MOST]) + (", …" if len(agents) > _MOST else "")
            raise ConfigError(
                f"models= replaces {key!r}, and no agent or model of {roots[0].name} is called so",
                hint=f"{question}its agents are {there}",
            )


def serving(root: Node[Any, Any], given: Replacements) -> Replacements:
    """Of a mapping that serves several flows, what this one can use."""
    if given is None or isinstance(given, str) or may_run_others(root):
        return given
    return {key: model for key, model in given.items() if key == _REST or key in _named(root)}


def _named(root: Node[Any, Any]) -> frozenset[str]:
    """Everything in a flow that a key can name: its agents and their models."""
    found = _names.get(root)
    if found is None:
        agents = [node for node in walk(root) if isinstance(node, Agent)]
        models = (model for agent in agents for model in (*agent.models, *agent.fallback))
        found = _names[root] = frozenset((*(agent.name for agent in agents), *map(_id, models)))
    return found


def _is_real(agent: Agent[Any], given: Mapping[str, Any]) -> bool:
    """Does it ask a model of its own that costs money?"""
    return _REST not in given and any(not isinstance(m, ScriptedModel) and _id(m) not in given for m in agent.models)


def _id(model: str | Model) -> str:
    return model if isinstance(model, str) else model.id
