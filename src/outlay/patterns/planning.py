"""A supervisor's planner: what it is shown, what is wrong with its plan, and what it is told for another round."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from outlay.agents.agent import Agent
from outlay.agents.content import as_text
from outlay.protocols.node import Node
from outlay.values.claim import Contradiction
from outlay.values.plan import Plan


def shown_the_workers(planner: Agent[Any], workers: Sequence[Node[Any, Any]], most: int) -> Agent[Any]:
    """The planner with its workers named in its fixed instructions, where they are part of the cached prefix."""
    lines = [f"- {worker.name}: {getattr(worker, 'description', '') or 'no description'}" for worker in workers]
    text = f"Plan with these workers only, at most {most} subtasks:\n" + "\n".join(lines)
    return planner.replace(instructions=[*planner.instruction_parts, text])


def setbacks(failed: Mapping[str, str], contradictions: Sequence[Contradiction], done: Sequence[str]) -> str:
    """What an agent is told before it plans another round. What workers wrote stands in JSON, as data."""
    lines: list[str] = []
    if failed:
        lines.append("Some subtasks failed: " + "; ".join(f"{id}: {reason}" for id, reason in failed.items()) + ".")
    if contradictions:
        lines.append(f"Some results contradict each other: {as_text(list(contradictions))}")
    lines.append(
        f"Done already: {', '.join(done) or 'none'}. Give a new plan for what is still missing or has to be decided, "
        "with new ids; it may depend on the ids that are done if it lists them again, and they are not run again."
    )
    if done:
        lines.append("A plan without subtasks says that what is there has to do.")
    return "\n".join(lines)


def problems_of(plan: Plan, workers: Collection[str], max_subtasks: int, *, may_be_empty: bool = False) -> list[str]:
    """Why a plan cannot be run; empty if it can."""
    found: list[str] = []
    if not plan.subtasks and not may_be_empty:
        found.append("it has no subtasks")
    if len(plan.subtasks) > max_subtasks:
        found.append(f"it has {len(plan.subtasks)} subtasks, at most {max_subtasks} are allowed")
    ids = [subtask.id for subtask in plan.subtasks]
    found += [f"the id {id!r} is used twice" for id in sorted({id for id in ids if ids.count(id) > 1})]
    for subtask in plan.subtasks:
        if subtask.worker not in workers:
            found.append(f"{subtask.id} names an unknown worker {subtask.worker!r}")
        found += [f"{subtask.id} depends on {d!r}, which is not there" for d in subtask.depends_on if d not in ids]
    cycle = _cycle(plan)
    if cycle:
        found.append(f"a cycle: {' → '.join(cycle)}")
    return found


def _cycle(plan: Plan) -> list[str]:
    """One cycle of dependencies, first id repeated at the end; empty if there is none."""
    needs = {subtask.id: subtask.depends_on for subtask in plan.subtasks}
    done: set[str] = set()
    for start in needs:
        trail: dict[str, None] = {}
        stack: list[tuple[str, bool]] = [(start, False)]
        while stack:
            id, leaving = stack.pop()
            if leaving:
                trail.pop(id, None)
                done.add(id)
            elif id in trail:
                names = list(trail)
                return [*names[names.index(id) :], id]
            elif id not in done and id in needs:
                trail[id] = None
                stack.append((id, True))
                stack.extend((needed, False) for needed in needs[id])
    return []
