"""The process that imports one revision's flows: its input is an `Asked` on stdin, its answer a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from outlay.agents.agent import Agent
from outlay.analysis.text import one_line
from outlay.cli.flows import DoesNotImport, NotThere, load_flow
from outlay.cli.inputs import InputType
from outlay.cli.problems import Problem, as_problem
from outlay.cli.reading import Asked, Reading
from outlay.forecast.review.changes import Broken
from outlay.forecast.review.flowcost import FlowCost, flow_cost
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk

#: Of other people's words so much is passed on.
_LINE = 500


def main(arguments: list[str]) -> None:
    """Read what is asked, and write the answer beside its place before it is moved there: whole, or not at all."""
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    os.environ.update(asked.environment)
    os.chdir(asked.folder)
    sys.path[:] = asked.path
    sys.stdout = sys.stderr
    sys.stdin = open(os.devnull)  # noqa: SIM115 - for as long as the process lasts
    answer = msgspec.json.encode(_read(asked))
    place = Path(arguments[0])
    place.with_suffix(".part").write_bytes(answer)
    place.with_suffix(".part").replace(place)
    sys.stderr.flush()
    os._exit(0)  # threads and exit hooks of what was imported have no say


def _read(asked: Asked) -> Reading:
    flows: list[FlowCost] = []
    broken: list[Broken] = []
    absent: list[str] = []
    roots: list[tuple[str, Node[Any, Any]]] = []
    for address in asked.addresses:
        try:
            roots.append((address, load_flow(address)))
        except NotThere:
            absent.append(address)
        except Problem as problem:
            broken.append(_broken(asked, address, problem))
    roots += _roots(asked, broken)
    for address, root in roots:
        if strange := _strangers(asked):
            text = f"it imports {strange[0]} from the working tree, and not from {asked.label}"
            hint = "install the project in editable mode by path, or name the flow as package.module:attribute"
            broken.append(Broken(asked.label, address, text, next=hint))
            continue
        try:
            flows.append(_cost(asked, address, root))
        except Exception as error:  # a prompt of the user's, a schema that cannot be made, a model that is none
            broken.append(_broken(asked, address, as_problem(error)))
    return Reading(flows=tuple(flows), broken=tuple(broken), absent=tuple(absent))


def _cost(asked: Asked, address: str, root: Node[Any, Any]) -> FlowCost:
    takes = InputType(root)
    inputs = [takes.convert(row) for row in asked.rows]
    if asked.input is not None:
        inputs = [takes.read(asked.input, "--input")]
    simulate = asked.simulate if inputs or takes.takes_text else 0
    return flow_cost(root, address, asked.known.assumptions, inputs, simulate=simulate)


def _roots(asked: Asked, broken: list[Broken]) -> Iterator[tuple[str, Node[Any, Any]]]:
    """The nodes of the files that have an agent, and are part of no other of them. Each by its first name."""
    found: dict[int, tuple[str, Node[Any, Any]]] = {}
    for candidate in asked.files:
        try:
            loaded = [(name, _attribute(candidate.file, name)) for name in candidate.names or ("flow",)]
        except DoesNotImport as problem:
            broken.append(_broken(asked, candidate.file, problem))
            continue
        for name, value in loaded:
            if value is not None and any(isinstance(one, Agent) for one in walk(value)):
                found.setdefault(id(value), (f"{candidate.file}:{name}", value))
    inner = {id(one) for _, node in found.values() for one in walk(node) if one is not node}
    yield from (pair for key, pair in found.items() if key not in inner)


def _attribute(file: str, name: str) -> Node[Any, Any] | None:
    """What a file's name stands for; None where it is no node. Raises DoesNotImport."""
    try:
        return load_flow(f"{file}:{name}")
    except DoesNotImport:
        raise
    except Problem:
        return None


def _strangers(asked: Asked) -> list[str]:
    """Modules that came from the working tree: what they say is not what the revision says."""
    if not asked.foreign:
        return []
    ours = Path(__file__).resolve().parent.parent
    found: list[str] = []
    for name, module in [*sys.modules.items()]:
        file = getattr(module, "__file__", None)
        if not isinstance(file, str) or not file.startswith(asked.foreign + os.sep):
            continue
        path = Path(file)
        prefixes = (ours, Path(sys.prefix).resolve(), Path(sys.base_prefix).resolve())
        if "site-packages" not in path.parts and not any(path.is_relative_to(prefix) for prefix in prefixes):
            found.append(name)
    return found


def _broken(asked: Asked, what: str, problem: Problem) -> Broken:
    facts = tuple(one_line(fact, _LINE) for fact in problem.facts)
    return Broken(
        asked.label,
        what,
        one_line(problem.message, _LINE),
        facts,
        one_line(" ".join(problem.next), _LINE),
    )
