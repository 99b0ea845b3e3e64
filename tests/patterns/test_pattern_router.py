"""Router: look first, then send the input to the one who is good at it."""

import enum
import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Optional

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from typing_extensions import TypedDict

from outlay import Agent, Budget, RunContext, node, run_sync
from outlay.errors import ConfigError, Overloaded
from outlay.patterns import Pipeline, Routed, Router
from outlay.testing import ScriptedModel


class Intent(BaseModel):
    label: Literal["billing", "technical", "urgent"]
    confidence: float


@dataclass
class Open:
    label: str
    confidence: Any = None


class Label(enum.Enum):
    BILLING = "billing"
    TECHNICAL = "technical"


class Row(TypedDict):
    label: Literal["billing", "technical"]


def busy():
    return Overloaded("busy", retryable=False)


def handler(name):
    """A route that says who it is, what it got and why."""

    @node(name=name)
    async def handle(ctx: RunContext, x: Any) -> tuple[str, Any, Routed]:
        return name, x, ctx.route

    return handle


BILLING, TECHNICAL, HUMAN = handler("to_billing"), handler("to_technical"), handler("to_human")
ROUTES = {"billing": BILLING, "technical": TECHNICAL}


def routed(verdict, *, input="Where is my card?", **options):
    """Who got the input, what they got, and what `ctx.route` said."""

    @node(name="classifier")
    async def classifier(ctx: RunContext, x: Any) -> Any:
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    result = run_sync(Router(classifier, ROUTES, HUMAN, **options), input)
    assert result.error is None, result.error
    return result.output


# ── which way ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("verdict", "to"),
    [
        ("billing", "to_billing"),
        (Label.TECHNICAL, "to_technical"),
        (Intent(label="billing", confidence=0.9), "to_billing"),
        (Open("technical", 1), "to_technical"),
        (Open(Label.BILLING, 0.7), "to_billing"),
        ({"label": "technical"}, "to_technical"),
        ({"label": "technical", "confidence": 0.71}, "to_technical"),
        (Open("billing", "0.9"), "to_billing"),
        (Open("billing", 0.69999), "to_human"),
        (Open("billing", math.nan), "to_human"),
        (Open("billing", "very"), "to_human"),
        (Open("billing", -math.inf), "to_human"),
        (Open("billing", [1]), "to_human"),
        (Open("Billing"), "to_human"),
        (Open(None), "to_human"),
        ({}, "to_human"),
        (None, "to_human"),
        (3, "to_human"),
        ("", "to_human"),
        ("x" * 10_000, "to_human"),
        ("half \ud800", "to_human"),
    ],
    ids=lambda v: repr(v)[:30],
)
def test_a_verdict_of_any_kind_takes_its_route_or_the_default(verdict, to):
    """Text, enum, object or mapping; no confidence has no threshold; a confidence that is no number is below it."""
    assert routed(verdict)[0] == to


@given(st.floats(allow_nan=True), st.floats(0, 1))
def test_the_threshold_is_the_least_confidence_that_passes(confidence, threshold):
    """Exactly the threshold passes; NaN never does."""
    name, _, _ = routed(Open("billing", confidence), threshold=threshold)
    assert (name == "to_billing") == (confidence >= threshold)


def test_labels_may_be_enum_members_or_numbers():
    """What the classifier says and what the routes are listed under are compared as text."""
    by_member = Router(lambda x: Label.BILLING, {Label.BILLING: BILLING}, HUMAN, escalate=[Label.TECHNICAL])
    by_number = Router(lambda x: 1, {1: BILLING}, HUMAN)
    assert [run_sync(flow, "go").unwrap()[0] for flow in (by_member, by_number)] == ["to_billing", "to_billing"]


def test_routes_get_the_original_input():
    """Not the verdict."""
    question = {"text": "Where is my card?"}
    assert routed("billing", input=question)[1] is question
    assert routed("nonsense", input=question)[1] is question


def test_a_label_in_escalate_goes_to_the_default_however_sure():
    """`escalate` is a list, or one label."""
    assert routed(Open("billing", 1.0), escalate=["billing"])[0] == "to_human"
    assert routed(Open("urgent", 1.0), escalate="urgent")[2] == Routed("urgent", 1.0, "urgent is escalated")


@pytest.mark.parametrize(
    ("verdict", "route"),
    [
        (Open("billing", 0.5), Routed("billing", 0.5, "confidence 0.50 is below 0.70")),
        (Open("other", 0.5), Routed("other", 0.5, "no route for 'other'")),
        (Open("billing", 0.9), Routed("billing", 0.9, "billing, confidence 0.90")),
        ("billing", Routed("billing", None, "billing")),
        (ValueError("no idea"), Routed("", None, "ValueError: no idea")),
    ],
    ids=lambda v: repr(v)[:30],
)
def test_ctx_route_says_label_confidence_and_why(verdict, route):
    """The default knows the reason it was chosen for."""
    assert routed(verdict)[2] == route


def test_a_confidence_just_below_the_threshold_does_not_read_as_equal():
    """`0.699 is below 0.700`, never `0.70 is below 0.70`."""
    assert routed(Open("billing", 0.699))[2].reason == "confidence 0.699 is below 0.700"


def test_the_facts_say_where_it_went():
    """`Result.facts` holds label, confidence, route and reason by path."""
    result = run_sync(Router(lambda x: Open("billing", 0.9), ROUTES, HUMAN), "go")
    assert result.facts["router"] == {
        "label": "billing",
        "confidence": 0.9,
        "route": "to_billing",
        "reason": "billing, confidence 0.90",
    }


def test_ctx_route_outside_a_router_is_an_error_that_says_so():
    """There is no route to tell of."""
    with pytest.raises(ConfigError, match="below a Router only"):
        run_sync(Pipeline(BILLING), "go")


def test_the_nearest_router_counts_below_it():
    """A nested router's routes see its own decision; nodes further down see it too."""
    inner = Router(lambda x: "technical", {"technical": Pipeline(TECHNICAL, name="deep")}, HUMAN, name="inner")
    outer = Router(lambda x: "billing", {"billing": inner}, HUMAN, name="outer")
    assert run_sync(outer, "go").unwrap()[2].label == "technical"


# ── what fails ────────────────────────────────────────────────────────────────────────────────────────────


def failing(name="broken"):
    return Agent(name, ScriptedModel(lambda request: busy()))


def test_a_failed_classifier_goes_to_the_default_and_degrades():
    """The failure stands in `.skipped`, its reason in `ctx.route`."""
    result = run_sync(Router(failing("classifier"), ROUTES, HUMAN), "go")
    assert result.unwrap() == ("to_human", "go", Routed("", None, "Overloaded: busy"))
    assert (result.degraded, [s.path for s in result.skipped]) == (True, ["router/classifier"])


def test_a_failed_route_goes_to_the_default_and_degrades():
    """With the label that was right and the reason why it did not help."""
    result = run_sync(Router(lambda x: Open("billing", 0.9), {"billing": failing()}, HUMAN), "go")
    assert result.unwrap() == ("to_human", "go", Routed("billing", 0.9, "Overloaded: busy"))
    assert (result.degraded, [s.path for s in result.skipped]) == (True, ["router/broken"])
    assert result.facts["router"]["route"] == "to_human"


def test_on_error_raise_lets_failures_through():
    """Of the classifier and of the route."""
    for flow in (
        Router(failing("classifier"), ROUTES, HUMAN, on_error="raise"),
        Router(lambda x: "billing", {"billing": failing()}, HUMAN, on_error="raise"),
    ):
        result = run_sync(flow, "go")
        assert isinstance(result.error, Overloaded)


def test_a_failed_default_is_a_failure():
    """There is nobody left to ask; it is asked once."""
    model = ScriptedModel(lambda request: busy())
    human = Agent("human", model)
    for flow in (Router(lambda x: "none", ROUTES, human), Router(lambda x: "a", {"a": human}, human)):
        model.calls.clear()
        assert isinstance(run_sync(flow, "go").error, Overloaded)
        assert len(model.calls) == 1


def test_a_stop_is_no_failure():
    """At the budget neither the classifier nor the route is replaced by the default."""
    classifier = Agent("classifier", ScriptedModel(lambda r: "billing"))
    worker = Agent("worker", ScriptedModel(lambda r: "x"))
    for limit in (0, 1):
        result = run_sync(
            Router(classifier, {"billing": worker}, lambda x: "default"), "go", budget=Budget(calls=limit)
        )
        assert (result.stop_reason, result.output) == ("budget", None)


# ── what cannot work ──────────────────────────────────────────────────────────────────────────────────────


@dataclass
class MaybeLabelled:
    label: Optional[Literal["billing", "technical", "lost"]]  # noqa: UP045


@pytest.mark.parametrize(
    "kind",
    [
        Intent,
        Literal["billing", "technical", "urgent"],
        Literal["billing", "technical"] | Literal["urgent"],
        Annotated[Literal["billing", "urgent"], "a note"],
        MaybeLabelled,
        enum.Enum("Other", {"A": "billing", "B": "urgent"}),
    ],
    ids=str,
)
def test_a_closed_label_that_leads_nowhere_is_refused_when_it_is_made(kind):
    """Whatever says the labels: Literal, Enum, union, or the `label` of an object."""
    classifier = Agent("classifier", ScriptedModel([]), output_type=kind)
    with pytest.raises(ConfigError, match=r"classifier can answer '(urgent|lost)', which has no route"):
        Router(classifier, ROUTES, HUMAN)
    Router(classifier, ROUTES, HUMAN, escalate=["urgent", "lost"])


def test_a_functions_closed_labels_count_too():
    """A plain function that is annotated with its labels is held to them."""

    def classify(text: str) -> Literal["billing", "urgent"]:
        return "billing"

    with pytest.raises(ConfigError, match="classify can answer 'urgent'"):
        Router(classify, ROUTES, HUMAN)


@pytest.mark.parametrize("kind", [str, Open, Label, Row, dict[str, str], int, list[str]], ids=str)
def test_open_labels_and_those_with_a_route_are_fine(kind):
    """An open label is checked when it is given."""
    Router(Agent("classifier", ScriptedModel([]), output_type=kind), ROUTES, HUMAN)


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 1.1},
        {"threshold": math.nan},
        {"threshold": "high"},
        {"on_error": "ignore"},
        {"routes": {"a": 42}},
        {"routes": [BILLING]},
        {"default": None},
        {"classifier": "text"},
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_when_it_is_made(wrong):
    """A ConfigError, before anything is spent."""
    with pytest.raises(ConfigError):
        Router(**({"classifier": lambda x: x, "routes": ROUTES, "default": HUMAN} | wrong))


def test_two_routes_of_one_name_are_refused():
    """One node may serve several labels; two nodes need two names."""
    Router(lambda x: x, {"a": BILLING, "b": BILLING}, BILLING)
    with pytest.raises(ConfigError, match="two children"):
        run_sync(Router(lambda x: "a", {"a": handler("same"), "b": handler("same")}, HUMAN), "go")


def test_routes_cannot_be_changed():
    """A router is a value: what was given is copied."""
    given = dict(ROUTES)
    flow = Router(lambda x: "billing", given, HUMAN)
    given.clear()
    assert run_sync(flow, "go").unwrap()[0] == "to_billing"
    with pytest.raises(TypeError):
        flow.routes["billing"] = HUMAN


def test_budget_option_and_replace():
    """They hold for the router as a whole."""
    worker = Agent("worker", ScriptedModel(lambda r: "x"))
    flow = Router(lambda x: "a", {"a": worker}, HUMAN, budget=Budget(calls=0))
    assert run_sync(flow, "go").stop_reason == "budget"
    assert run_sync(Pipeline(flow.replace(optional=True), len), "go").output == 2
    assert (
        run_sync(
            flow.replace(escalate=["a"], budget=None),
            "go",
        ).output[0]
        == "to_human"
    )
