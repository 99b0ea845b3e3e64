"""The gates of a cascade that look at more than the output."""

from dataclasses import dataclass

import pytest

from outlay import Agent, Budget, run_sync
from outlay.errors import ConfigError, Overloaded
from outlay.events import Decision
from outlay.patterns import Cascade
from outlay.routing import CalibratedGate, agreement, calibrate, calls_tool, self_reported
from outlay.testing import Reply, ScriptedModel

CENT = (10_000, 0)
SURE = calibrate([i / 100 for i in range(100)], [float(i >= 40) for i in range(100)])


def model(name, *replies):
    return ScriptedModel(list(replies), name=name, price=CENT)


@dataclass
class Answer:
    text: str
    confidence: float


def search(query: str) -> str:
    """Looks it up."""
    return "found"


def test_an_answer_from_memory_goes_to_the_next_tier_where_a_tool_was_expected():
    strong = model("strong", Reply(tool_calls=[("search", {"query": "x"})]))
    cheap = model("cheap", "from memory", "from what was found")
    result = run_sync(Agent("a", Cascade([cheap, strong], calls_tool("search")), tools=[search]), "go")
    assert (result.unwrap(), result.degraded) == ("from what was found", False)
    assert [line.purpose for line in result.bill.lines] == ["tier:0", "tier:1"]


def test_what_cheap_models_agree_on_is_accepted():
    """Peers are asked one after another, and stand on the bill as the gate's."""
    strong, second = model("strong"), model("peer2", "never asked")
    gate = agreement([model("peer1", "Forty  TWO"), second])
    result = run_sync(Agent("a", Cascade([model("cheap", "forty two"), strong], gate)), "go")
    assert (result.unwrap(), second.calls, strong.calls) == ("forty two", [], [])
    assert [(line.model, line.purpose) for line in result.bill.lines] == [("cheap", "tier:0"), ("peer1", "gate")]


def test_where_they_disagree_the_strong_one_is_asked():
    gate = agreement([model("p1", "b"), model("p2", "c")])
    result = run_sync(Agent("a", Cascade([model("cheap", "a"), model("strong", "d")], gate)), "go")
    assert result.unwrap() == "d"


def test_no_peer_is_asked_that_could_not_change_it():
    """Two of three are needed, and the first two say no."""
    third = model("p3", "a")
    gate = agreement([model("p1", "b"), model("p2", "c"), third], need=2)
    run_sync(Agent("a", Cascade([model("cheap", "a"), model("strong", "d")], gate)), "go").unwrap()
    assert third.calls == []


def test_tool_calls_agree_by_name_and_arguments():
    cheap = model("cheap", Reply(tool_calls=[("search", {"query": "x"})]), "done")
    peer = model("peer", Reply(tool_calls=[("search", {"query": "y"})]), "done")
    strong = model("strong", Reply(tool_calls=[("search", {"query": "z"})]))
    result = run_sync(Agent("a", Cascade([cheap, strong], agreement([peer])), tools=[search]), "go")
    assert (result.unwrap(), len(strong.calls)) == ("done", 1)


def test_a_peer_that_fails_does_not_agree():
    gate = agreement([model("peer", Overloaded("busy", retryable=False))])
    result = run_sync(Agent("a", Cascade([model("cheap", "a"), model("strong", "d")], gate)), "go")
    assert (result.unwrap(), result.stop_reason) == ("d", "completed")


def test_nodes_agree_in_a_cascade_of_nodes():
    peer = Agent("peer", model("peer", "a"))
    flow = Cascade([Agent("cheap", model("cheap", "a")), Agent("strong", model("strong"))], agreement([peer]))
    result = run_sync(flow, "go")
    assert result.unwrap() == "a"
    assert [line.purpose for line in result.bill.lines] == ["tier:0", "gate"]


def test_an_unpriced_peer_is_refused_before_anything_is_spent():
    cheap = model("cheap", "a")
    gate = agreement([ScriptedModel(["a"], name="free")])
    with pytest.raises(ConfigError, match="free"):
        run_sync(Agent("a", Cascade([cheap, model("strong")], gate)), "go", budget=Budget(usd="1"))
    assert cheap.calls == []


def test_a_calibrated_confidence_decides():
    """The labels say that what scores under 0.4 is wrong."""
    gate = CalibratedGate(lambda answer: answer.confidence, SURE)
    sure, unsure = Answer("a", 0.9), Answer("b", 0.3)
    strong = model("strong", Answer("c", 0.1))
    agent = Agent("a", Cascade([model("cheap", sure, unsure), strong], gate), output_type=Answer)
    assert run_sync(agent, "go").unwrap() == sure
    result = run_sync(agent, "go")
    assert (result.unwrap().text, result.degraded) == ("c", False)  # nothing is known of the strong model's score
    problems = [e.data["problem"] for e in result.events if isinstance(e, Decision) and e.about == "cascade"]
    assert "% likely to be right" in problems[0]


class Versioned(ScriptedModel):
    """A model whose provider says which version answered."""

    version = "cheap-2026-01"

    async def send(self, request, transport, on_text=None):
        from dataclasses import replace

        return replace(await super().send(request, transport, on_text), model=self.version)


@pytest.mark.parametrize("nodes", [False, True])
def test_a_calibration_is_void_when_another_version_answers(nodes, caplog):
    """Nothing is accepted, however sure it is; the events and the log say what to do."""
    gate = CalibratedGate(lambda answer: answer.confidence, SURE, versions={"cheap": "cheap-2026-01"})
    cheap = Versioned([Answer("a", 0.9)] * 2, name="cheap", price=CENT)
    strong = model("strong", Answer("c", 0.9), Answer("c", 0.9))
    if nodes:
        flow = Cascade([Agent(m.name, m, output_type=Answer) for m in (cheap, strong)], gate)
    else:
        flow = Agent("a", Cascade([cheap, strong], gate), output_type=Answer)
    assert run_sync(flow, "go").unwrap().text == "a"
    cheap.version = "cheap-2026-09"
    result = run_sync(flow, "go")
    assert result.unwrap().text == "c"
    (void,) = [e.data for e in result.events if isinstance(e, Decision) and e.about == "calibration_void"]
    assert void == {"model": "cheap", "returned": "cheap-2026-09", "calibrated": "cheap-2026-01"}
    assert "calibrate again" in caplog.text


def test_a_self_reported_confidence_alone_warns():
    with pytest.warns(UserWarning, match="calibrate it"):
        gate = self_reported(0.8)
    assert gate(Answer("a", 0.9)) is None
    assert gate({"confidence": 0.5}) == "confidence 0.50 is below 0.80"
    assert gate("text") == "it has no confidence"


@pytest.mark.parametrize(
    "wrong",
    [lambda: agreement([]), lambda: agreement(["a:b"], need=2), lambda: calls_tool(), lambda: self_reported(1.5)],
)
def test_gates_of_nothing_are_refused(wrong):
    with pytest.raises(ConfigError):
        wrong()


def test_a_cascade_of_models_asks_no_nodes():
    agent = Agent("a", Cascade([model("cheap"), model("strong")], agreement([Agent("peer", "openai:x")])))
    with pytest.raises(ConfigError, match="asks the node peer"):
        run_sync(agent, "go")
