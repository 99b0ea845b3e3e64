"""Who says that an answer is good: a model alone, its own relative, or itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from outlay.advice.checking import CONFIDENCE, by_models, says_how_sure, unchecked
from outlay.advice.rule import Rule, Sight
from outlay.advice.survey import Survey, names
from outlay.agents.agent import Agent
from outlay.agents.cascade import ModelCascade
from outlay.evals.judging import kinship
from outlay.patterns.cascade import Cascade
from outlay.patterns.debate import Debate
from outlay.patterns.gate import Gate
from outlay.patterns.pipeline import Pipeline
from outlay.patterns.refine import Refine
from outlay.patterns.router import Router
from outlay.protocols.node import Node


def look_by_model(survey: Survey) -> Iterator[Sight]:
    for node in survey.nodes:
        if isinstance(node, Refine) and (judges := by_models(node.critic)) and unchecked(node.generator):
            change = f"critic=[a checker, {judges[0].name}]: outlay.checkers has length, citations, regex, tests, …"
            yield Sight(
                (node.name,), f"{node.name}: only {names(judges)}, a model, says whether a version is good", change
            )
        if isinstance(node, Gate) and (judges := by_models(node.check)):
            change = f"Gate([a checker, {judges[0].name}]): a program goes first, and costs nothing"
            yield Sight((node.name,), f"{node.name}: only {names(judges)}, a model, decides what goes further", change)


def look_for_kin(survey: Survey) -> Iterator[Sight]:
    for node in survey.nodes:
        for judge, judged in _trials(node):
            if family := kinship(judge, judged):
                what = f"{judge.name} judges {names(judged)}, and both are {family}"
                yield Sight(
                    (node.name,), what, f"give {judge.name} a model of another family, or put a checker before it"
                )


def _trials(node: Node[Any, Any]) -> Iterator[tuple[Node[Any, Any], Sequence[Node[Any, Any]]]]:
    """Who judges whom."""
    if isinstance(node, Refine):
        yield from ((critic, [node.generator]) for critic in node.critic if isinstance(critic, Node))
    elif isinstance(node, Debate):
        yield node.judge, list(node.debaters)
    elif isinstance(node, Pipeline):
        for at, stage in enumerate(node.stages):
            before = [one for one in node.stages[:at] if not isinstance(one, Gate)][-1:]
            if isinstance(stage, Gate) and before:
                yield from ((check, before) for check in stage.children)


def look_for_confidence(survey: Survey) -> Iterator[Sight]:
    calibrated = "CalibratedGate(lambda o: o.confidence, calibrate(…)) of outlay.routing"
    for node in survey.nodes:
        if isinstance(node, Router) and node.threshold > 0 and _is_sure_of_itself(node.classifier):
            loose = [agent for route in node.routes.values() for agent in unchecked(route)]
            if loose:
                what = f"{node.classifier.name}'s own confidence decides, and no program checks {names(loose)}"
                change = "LearnedRouter (outlay router train), or verify= on the routes"
                yield Sight((node.name,), what, change)
        gates = node.gate if isinstance(node, Cascade) else ()
        if isinstance(node, Agent) and isinstance(node.model, ModelCascade) and not node.verify:
            gates = node.model.gate
        if gates and all(says_how_sure(gate) for gate in gates):
            what = f"the gate of {node.name} asks the model how sure it is, and nothing else"
            yield Sight((node.name,), what, f"a checker as gate, or {calibrated}")


def _is_sure_of_itself(classifier: Node[Any, Any]) -> bool:
    """An agent whose output says how sure it is, and nobody has measured how that relates to being right."""
    if not isinstance(classifier, Agent) or classifier.verify:
        return False
    if isinstance(classifier.model, ModelCascade) and not all(says_how_sure(gate) for gate in classifier.model.gate):
        return False
    kind: Any = classifier.output_type
    said: Any = getattr(kind, "model_fields", None) or getattr(kind, "__annotations__", None)
    return bool(said) and CONFIDENCE in said


BY_MODEL = Rule(
    "model-only-verification",
    "verification by a model only",
    ("reliability", "money"),
    "a model's word is an opinion: it lets wrong answers pass that a program would catch for nothing",
    look_by_model,
)
KIN = Rule(
    "judge-family",
    "a judge of the judged's model family",
    ("reliability",),
    "models like what they would have written themselves, and share their blind spots",
    look_for_kin,
)
CONFIDENT = Rule(
    "self-confidence",
    "self-reported confidence as the sole gate",
    ("reliability",),
    "models are sure of wrong answers too, and how often is not known until it is measured",
    look_for_confidence,
)
