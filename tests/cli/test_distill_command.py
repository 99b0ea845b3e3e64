"""`outlay distill`: from recorded runs to a student in use, and to its retirement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from outlay import Agent, run_sync
from outlay.patterns import Cascade
from outlay.routing.distil import Example, Student, StudentGate
from outlay.testing import ScriptedModel

_SAYS = {"billing": "invoice", "technical": "crash", "general": "hours"}


class Intent(BaseModel):
    label: Literal["billing", "technical", "general"]


def examples(n: int) -> list[Example]:
    labels = list(_SAYS)
    return [
        Example(f"please help with the {_SAYS[labels[i % 3]]} number {i}", {"label": labels[i % 3]}) for i in range(n)
    ]


def _label(text: str) -> str:
    return next(label for label, word in _SAYS.items() if word in text)


def test_from_runs_to_a_file_that_answers(tmp_path: Path, call: Any) -> None:
    """Record, distil, use, audit, retire: all with the commands."""
    store, out = str(tmp_path / "s.db"), tmp_path / "intent.json"
    say = ScriptedModel(lambda r: {"label": _label(r.text)}, name="teacher", price=(10, 10))
    agent = Agent("intent", say, output_type=Intent)
    for example in examples(240):
        run_sync(agent, example.text, store=store)

    said = call("distill", "intent", "--store", store, "--out", str(out), "--target", "0.05")
    assert said.code == 0, said.err
    assert "intent · 240 different texts of teacher · label (3 values)" in said.out
    assert "✗ thousands of examples" in said.out
    assert "worth it: no" in said.out
    assert not out.exists()

    said = call("distill", "intent", "--store", store, "--out", str(out), "--target", "0.05", "--anyway", "--json")
    document = json.loads(said.out)
    assert (document["examples"], document["worth"], document["file"]) == (240, False, str(out))

    found = Student.load(out)
    gate = StudentGate(found, say, audit=0.5)
    cascade = agent.replace(model=Cascade([found, say], gate))
    for example in examples(60):
        run_sync(cascade, example.text, store=store)
    assert call("distill", "intent", "--store", store, "--check", str(out)).code == 0

    wrong = ScriptedModel(lambda r: {"label": "general"}, name="teacher", price=(10, 10))
    agent.replace(model=Cascade([found, wrong], StudentGate(found, wrong, audit=1.0)))
    for example in examples(90):
        run_sync(
            agent.replace(model=Cascade([found, wrong], StudentGate(found, wrong, audit=1.0))),
            example.text,
            store=store,
        )
    said = call("distill", "intent", "--store", store, "--check", str(out))
    assert said.code == 1
    assert "retired:" in said.out
    assert Student.load(out).retired
    assert call("distill", "intent", "--store", store, "--check", str(out)).code == 1


def test_refused_answers_and_later_turns_teach_nothing(tmp_path: Path, call: Any) -> None:
    store = str(tmp_path / "s.db")
    replies = iter(["wrong", "right"] * 10)
    model = ScriptedModel(lambda r: next(replies), name="m", price=(1, 1))
    agent = Agent("a", model, verify=[lambda output: "no" if output == "wrong" else None])
    for i in range(10):
        run_sync(agent, f"question {i}", store=store)
    said = call("distill", "a", "--store", store)
    assert said.code == 2
    assert "no examples to learn from" in said.err


def test_an_agent_that_is_not_there(tmp_path: Path, call: Any) -> None:
    store = str(tmp_path / "s.db")
    run_sync(Agent("a", ScriptedModel(["x"])), "q", store=store)
    said = call("distill", "b", "--store", store)
    assert said.code == 2
    assert "no call of an agent 'b' is in the store" in said.err


def test_a_provider_s_file(tmp_path: Path, call: Any) -> None:
    table, out = tmp_path / "t.jsonl", tmp_path / "ft.jsonl"
    table.write_text("".join(json.dumps({"text": e.text, "label": e.output["label"]}) + "\n" for e in examples(300)))
    said = call("distill", "intent", "--table", str(table), "--target", "0.05", "--export", "openai", str(out))
    assert said.code == 0, said.err
    assert len(out.read_text().splitlines()) == 300
    assert call("distill", "intent", "--table", str(table), "--export", "nobody", str(out)).code == 2
