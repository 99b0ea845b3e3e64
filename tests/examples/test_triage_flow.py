"""examples/triage/flow.py on the real runtime, offline or scripted: who gets which message, and why."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

outlay = pytest.importorskip("outlay")
if not hasattr(outlay, "run_sync"):
    pytest.skip("the runtime is not there yet", allow_module_level=True)

from outlay.errors import Overloaded  # noqa: E402
from outlay.testing import Reply, ScriptedModel, virtual_time  # noqa: E402

EXAMPLE = Path(__file__).parents[2] / "examples/triage"
CARD = "The cash machine declined my withdrawal although my balance is fine."


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("triage_flow", EXAMPLE / "flow.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


flow = _load()
sure = ScriptedModel(lambda request: {"label": "technical", "confidence": 0.95}, name="sure")


def _offline(message: str, **options: Any) -> Any:
    return outlay.run_sync(flow.triage, message, models="offline", **options)


def _agents(result: Any) -> set[str]:
    return {line.agent for line in result.bill.lines}


def test_a_looked_up_question_passes_all_three_agents() -> None:
    """Router, knowledge and reply are called and billed; the answer cites what was found."""
    result = _offline(CARD)
    answer = result.unwrap()
    assert (answer.to, answer.label, answer.known) == ("customer", "technical", False)
    assert "cash-declined" in answer.sources
    assert _agents(result) == {"router", "knowledge", "reply"}
    assert result.bill.total > 0


def test_a_known_question_skips_the_knowledge_agent() -> None:
    """It is answered from its article."""
    result = _offline("How do I change my PIN?")
    answer = result.unwrap()
    assert (answer.to, answer.known, answer.sources) == ("customer", True, ["pin"])
    assert _agents(result) == {"router", "reply"}


@pytest.mark.parametrize(
    ("message", "why"),
    [("My card was stolen, help!", "urgent"), ("hm", "low confidence"), ("?", "low confidence")],
)
def test_urgent_and_unclear_messages_go_to_a_human(message: str, why: str) -> None:
    """One call of the router, no reply, and the reason."""
    result = _offline(message)
    answer = result.unwrap()
    assert (answer.to, answer.why) == ("human", why)
    assert answer.reason
    assert answer.text == f"to a human: {answer.reason}"
    assert _agents(result) == {"router"}


@pytest.mark.parametrize("agent", ["knowledge", "reply"])
def test_a_failed_agent_means_a_human(agent: str) -> None:
    """Whichever agent fails, the customer's message is not lost; the reason names the error."""
    models: dict[str, Any] = {
        "router": sure,
        "knowledge": ScriptedModel(_finds, name="finds"),
        "reply": ScriptedModel(["In the app [cash-declined]."], name="cites"),
        agent: ScriptedModel(lambda request: Overloaded("busy"), name="down"),
    }
    with virtual_time():
        answer = outlay.run_sync(flow.triage, CARD, models=models).unwrap()
    assert (answer.to, answer.why) == ("human", "failed")
    assert answer.reason.startswith("Overloaded")


@pytest.mark.parametrize("text", ["REFUND APPROVED", "See [moon].", "word " * 201 + "[cash-declined].", flow.NO_ANSWER])
def test_a_reply_that_fails_its_checks_never_reaches_the_customer(text: str) -> None:
    """Without a citation, with an invented one, too long, or by its own word no answer."""
    models = {
        "router": sure,
        "knowledge": ScriptedModel(_finds, name="finds"),
        "reply": ScriptedModel(lambda request: text, name="stubborn"),
    }
    with virtual_time():
        answer = outlay.run_sync(flow.triage, CARD, models=models).unwrap()
    assert (answer.to, answer.why) == ("human", "failed")


def test_an_invented_passage_never_reaches_the_reply_agent() -> None:
    """What is not word for word in an article is refused, and nothing found means a human."""
    invented = {"passages": [{"source": "cash-declined", "text": "We pay you 500 pounds."}]}
    models = {
        "router": sure,
        "knowledge": ScriptedModel(lambda request: invented, name="inventive"),
        "reply": ScriptedModel([], name="unused"),
    }
    with virtual_time():
        answer = outlay.run_sync(flow.triage, CARD, models=models).unwrap()
    assert (answer.to, answer.why) == ("human", "failed")


def test_every_shipped_message_gets_an_answer_that_is_json() -> None:
    """The demo: each message is answered or handed over with a reason, within 200 words."""
    lines = (EXAMPLE / "messages.jsonl").read_text(encoding="utf-8").splitlines()
    for line in lines:
        answer = _offline(json.loads(line)["text"]).unwrap()
        assert json.loads(answer.model_dump_json())["to"] in ("customer", "human")
        if answer.to == "customer":
            assert answer.sources
            assert len(answer.text.split()) <= 200
        else:
            assert answer.why
            assert answer.reason


def test_the_only_key_that_is_set_chooses_the_models() -> None:
    """Anthropic's models by default and with both keys; OpenAI's if only its key is set."""
    assert flow.choose_models({}) == flow.ANTHROPIC
    assert flow.choose_models({"OPENAI_API_KEY": "k"}) == flow.OPENAI
    assert flow.choose_models({"OPENAI_API_KEY": "k", "ANTHROPIC_API_KEY": "k"}) == flow.ANTHROPIC


def test_why_counts_as_one_of_three_words() -> None:
    """Urgent wins over unsure; a calm and confident label on a human's desk means that something failed."""
    assert flow.why("urgent", 0.3) == "urgent"
    assert flow.why("billing", 0.69) == "low confidence"
    assert flow.why("billing", 0.7) == "failed"
    assert flow.why(None, None) == "failed"


def _finds(request: Any) -> Any:
    """A knowledge agent that searches once and hands on the first article's first passage."""
    results = [part for message in request.messages if message.role == "tool" for part in message.parts]
    if not results:
        return Reply(tool_calls=[("search_docs", {"query": "cash withdrawal declined"})])
    first = next(p for p in json.loads(results[-1].content) if p["source"] == "cash-declined")
    return {"passages": [first]}
