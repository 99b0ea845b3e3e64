"""Ten points before production: whether each holds, does not, or cannot be known from here, and what to change."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from outlay.advice.checking import unchecked
from outlay.advice.handoffs import free_texts
from outlay.advice.outages import felled
from outlay.advice.outward import open_effects
from outlay.advice.rules.handoffs import look as misfits
from outlay.advice.rules.loops import limited
from outlay.advice.rules.loops import look as loose_loops
from outlay.advice.survey import Survey, names
from outlay.advice.unseen import unseen
from outlay.agents.agent import Agent
from outlay.evals.verdict import verdict_on
from outlay.patterns.router import Router
from outlay.protocols.node import Node
from outlay.runtime.loops import uncapped_loops

State = Literal["pass", "fail", "not known"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one point, why, and the line to change where it does not hold for certain."""

    state: State
    text: str
    change: str = ""


@dataclass(frozen=True, slots=True)
class Point:
    """One point of the list. `asks` is the question in words, `find` answers it of a flow. `all_of_it`: it holds only
    where everything that the flow runs is known from here.
    """

    id: str
    asks: str
    find: Callable[[Survey], Finding]
    all_of_it: bool = False


@dataclass(frozen=True, slots=True)
class Checked:
    """A point with what was found of it."""

    id: str
    state: State
    text: str
    change: str


def checklist(survey: Survey, vouched: Collection[str] = ()) -> list[Checked]:
    """All ten, in order. Of what cannot be known, that counts which you vouch for, by id."""
    found: list[Checked] = []
    for point in POINTS:
        one = point.find(survey)
        if one.state == "pass" and point.all_of_it and (hidden := unseen(survey)):
            one = _hidden(hidden)
        if one.state == "not known" and point.id in vouched:
            one = Finding("pass", "you say so")
        found.append(Checked(point.id, one.state, one.text, one.change))
    return found


def _hidden(functions: Sequence[Node[Any, Any]]) -> Finding:
    text = f"what {names(functions)} run{'s' if len(functions) == 1 else ''} stands in code, and is not declared"
    return Finding("not known", text, f"{functions[0].name}: @node(children=[…]), with the nodes that it runs")


def _caps(survey: Survey) -> Finding:
    loose = list(loose_loops(survey))
    if loose:
        return Finding("fail", loose[0].what, loose[0].change)
    if any(limited(survey, found.node) for found in uncapped_loops(survey.root)):
        return Finding("pass", "every loop has a cap, or a budget that ends it")
    return Finding("pass", "every loop has a cap")


def _budget(survey: Survey) -> Finding:
    if all(survey.limits(node, ("usd", "tokens", "calls")) for node in (survey.agents or (survey.root,))):
        return Finding("pass", "the flow itself is limited")
    seen = survey.evidence
    line = f'{survey.root.name}: budget=Budget(usd="…"), or --budget at each run'
    if not seen.recent:
        return Finding("not known", "the flow limits nothing itself, and no run of it is stored", line)
    if seen.limited < seen.recent:
        return Finding("fail", f"{_newest(seen.recent - seen.limited, seen.recent)} had no limit", line)
    return Finding("pass", f"{_newest(seen.limited, seen.recent)} had a limit")


def _newest(some: int, recent: int) -> str:
    if recent == 1:
        return "the newest run"
    return f"{'each' if some == recent else f'{some:,}'} of the newest {recent:,} runs"


def _time_outs(survey: Survey) -> Finding:
    endless = [f"{agent.name}.{tool.name}" for agent, tool in survey.tools if tool.timeout is None]
    if endless:
        return Finding("fail", f"{endless[0]} may take for ever", f"{endless[0]}: @tool(timeout=30)")
    if survey.limits(survey.root, ("seconds",)):
        return Finding("pass", "the flow has a deadline; calls and tools have time-outs")
    seen = survey.evidence
    if seen.recent and seen.timed == seen.recent:
        return Finding("pass", f"{_newest(seen.timed, seen.recent)} had a deadline; calls and tools have time-outs")
    text = "calls and tools have time-outs, the flow as a whole has no deadline of its own"
    state: State = "fail" if seen.recent else "not known"
    return Finding(state, text, f"{survey.root.name}: budget=Budget(seconds=60)")


def _fallback(survey: Survey) -> Finding:
    if not survey.agents:
        return Finding("pass", "no model is asked")
    for provider, agents in felled(survey):
        verb = "has" if len(agents) == 1 else "have"
        text = f"a run fails where {provider} is down: {names(agents)} {verb} nobody to go to"
        return Finding("fail", text, f'{agents[0].name}: fallback=["…"] of another provider, or optional=True')
    for provider, agents in felled(survey, functions_fall=True):
        text = f"where {provider} is down, it is for code to say whether the run goes on without {names(agents)}"
        return Finding("not known", text, f'{agents[0].name}: fallback=["…"] of another provider, or optional=True')
    return Finding("pass", "a run survives any one provider's failure")


def _typed(survey: Survey) -> Finding:
    for misfit in misfits(survey):
        return Finding("fail", misfit.what, misfit.change)
    for giver, taker in (pair for node in survey.nodes for pair in free_texts(node)):
        text = f"{giver.name} hands free text to {taker.name}"
        return Finding("fail", text, f"{giver.name}: output_type= a model with the fields that {taker.name} needs")
    open_labels = [
        node.classifier
        for node in survey.nodes
        if isinstance(node, Router) and isinstance(node.classifier, Agent) and node.classifier.output_type is str
    ]
    if open_labels:
        name = open_labels[0].name
        return Finding("fail", f"{name} gives its label as free text", f'{name}: output_type=Literal["…", "…"]')
    return Finding("pass", "no agent reads another one's free text as its task")


def _checkers(survey: Survey) -> Finding:
    loose = unchecked(survey.root)
    if not loose:
        return Finding("pass", "a program looks at every answer that leaves the flow")
    text = f"what {names(loose)} say{'s' if len(loose) == 1 else ''} leaves the flow unchecked"
    return Finding("fail", text, f"{loose[0].name}: verify=[…], of outlay.checkers or your own (output) -> None | str")


def _trace(survey: Survey) -> Finding:
    line = 'run(…, store=…, on_alert=Webhook("https://…")), or OUTLAY_WEBHOOK; outlay trace last shows a run'
    runs = survey.evidence.runs
    if not runs:
        return Finding("not known", "no run of it is stored", line)
    traced = f"{runs:,} runs can be traced" if runs > 1 else "its run can be traced"
    if survey.webhook:
        return Finding("pass", f"{traced}; alerts go to the webhook of OUTLAY_WEBHOOK")
    return Finding("not known", f"{traced}; whom alerts reach is not recorded", line)


def _allow_lists(survey: Survey) -> Finding:
    loose = open_effects(survey)
    if loose:
        agent, tool = loose[0]
        text = f"{agent.name} may call {tool.name}, which changes the world, with arguments of its own making"
        line = f"@tool(side_effect=True, requires_approval=True) on {tool.name}, or Literal[…] for its arguments"
        return Finding("fail", text, line)
    if any(tool.side_effect for _, tool in survey.tools):
        return Finding("pass", "what changes the world takes a closed choice or an approval")
    if not any(True for _ in survey.tools):
        return Finding("pass", "no agent has a tool, so none can act")
    return Finding("pass", "each agent has a list of tools, none of them declared to change the world")


def _resumable(survey: Survey) -> Finding:
    if survey.evidence.runs:
        return Finding("pass", "its runs are stored: outlay resume goes on with one that broke off")
    line = 'run(…, store="runs.db", run_id=…); outlay run and map do so by themselves'
    return Finding("not known", "no run of it is stored", line)


def _baseline(survey: Survey) -> Finding:
    if len(survey.agents) <= 1:
        return Finding("pass", "it is the single agent")
    found = survey.evidence.compared
    line = "outlay compare FILE:single FLOW --dataset cases.jsonl --checker …"
    if found is None:
        return Finding("not known", "a single agent was never measured on the same cases", line)
    verdict = verdict_on(found)
    if verdict.ship == found.a.name and found.b.name == survey.root.name:
        return Finding("fail", f"measured, and it loses. {verdict.text}", f"ship {found.a.name}")
    return Finding("pass", f"measured on {len(found.pairs):,} cases. {verdict.text}")


POINTS: Sequence[Point] = (
    Point("caps", "Does every loop end by itself?", _caps),
    Point("budget", "Is there a limit to what a run may spend?", _budget),
    Point("time-outs", "Does everything end in time?", _time_outs),
    Point("fallback", "Does a run survive that a provider is down?", _fallback, all_of_it=True),
    Point("typed-handoffs", "Do steps hand on values with a type?", _typed, all_of_it=True),
    Point("checkers", "Does a program look at what leaves the flow?", _checkers, all_of_it=True),
    Point("trace-and-alerts", "Can a run be looked at, and does somebody hear of trouble?", _trace),
    Point("allow-lists", "Can a model only do what is on a list?", _allow_lists, all_of_it=True),
    Point("resumable", "Does a crash repeat nothing?", _resumable),
    Point("baseline", "Is it known what a single agent does on the same cases?", _baseline, all_of_it=True),
)
