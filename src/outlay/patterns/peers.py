"""Who may hand off to whom: a mesh's graph, as it was written, and as nodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from outlay.agents.function import FunctionNode, as_node
from outlay.errors import ConfigError
from outlay.protocols.node import Node

Peers = dict[Node[Any, Any], tuple[Node[Any, Any], ...]]


def peers_of(agents: Any) -> Peers:
    """Each sender with its peers. A member is a node, a function, or in place of a peer the name of one.

    Raises ConfigError for one that hands off to nobody, to itself, or to somebody who is not there.
    """
    if not isinstance(agents, Mapping) or not agents:
        raise ConfigError(
            f"Mesh: agents= maps each agent to its peers, not {agents!r}", hint="Mesh({a: [b, c], b: [a]}, start=a, …)"
        )
    nodes: dict[int, Node[Any, Any]] = {}  # a function that stands in several places is one node

    def node_of(thing: Any) -> Node[Any, Any]:
        return nodes.setdefault(id(thing), as_node(thing))

    written = [(node_of(sender), _listed(peers)) for sender, peers in cast("Mapping[Any, Any]", agents).items()]
    for _, peers in written:
        for peer in peers:
            if not isinstance(peer, str):
                node_of(peer)
    members = tuple(nodes.values())
    _distinct_names(members)
    return {sender: _checked(sender, peers, members) for sender, peers in written}


def member_of(thing: Any, members: Sequence[Node[Any, Any]]) -> Node[Any, Any]:
    """The member that is meant by a node, a function or a name. Raises ConfigError where there is none."""
    for member in members:
        if member is thing or member.name == thing or (isinstance(member, FunctionNode) and member.function is thing):
            return cast("Node[Any, Any]", member)
    name = thing if isinstance(thing, str) else getattr(thing, "name", None) or getattr(thing, "__name__", repr(thing))
    raise ConfigError(
        f"Mesh: {name!r} is no member",
        hint=f"the members are {', '.join(member.name for member in members)}; add it to agents=",
    )


def _listed(peers: Any) -> tuple[Any, ...]:
    return tuple(cast("Sequence[Any]", peers)) if isinstance(peers, list | tuple) else (peers,)


def _checked(sender: Node[Any, Any], peers: Sequence[Any], members: Sequence[Node[Any, Any]]) -> tuple[Any, ...]:
    found = tuple({id(node): node for node in (member_of(peer, members) for peer in peers)}.values())
    if not found:
        raise ConfigError(
            f"Mesh: {sender.name} hands off to nobody",
            hint=f"give it peers, or leave it out as a key: whoever is only a peer of others answers: {sender.name}",
        )
    if sender in found:
        raise ConfigError(f"Mesh: {sender.name} hands off to itself", hint="name other members as its peers")
    return found


def _distinct_names(members: Sequence[Node[Any, Any]]) -> None:
    names = [member.name for member in members]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(
                f"Mesh: two members are named {name!r}, and handoffs go by name", hint="rename one: a.replace(name='…')"
            )
