"""examples/patterns/document_build.py: four roles, documents between them, a review that sends one back."""

from __future__ import annotations

import asyncio
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import Any

from outlay import run_sync
from outlay.sharing import State
from outlay.stores import MemoryStore
from outlay.testing import ScriptedModel

FILE = Path(__file__).parents[2] / "examples/patterns/document_build.py"


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("document_build", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


example = _load()


def documents(store: MemoryStore) -> dict[str, tuple[int, str, str]]:
    """Newest version, agent and source of each document of the run."""

    async def listed() -> Any:
        return await State.of_run(store, "r").artifacts.list()

    return {a.name: (a.version, a.agent, a.source) for a in asyncio.run(listed())}


def test_a_rejected_module_comes_back_as_its_next_version():
    """Offline as delivered: the program finds what is missing, the reviewer rejects, the developer mends."""
    store = MemoryStore()
    result = run_sync(example.build, "Slugs for titles.", models="offline", store=store, run_id="r")
    assert result.unwrap() == example.CODE
    assert documents(store) == {
        "wish.md": (1, "build", ""),
        "requirements.md": (1, "analyst", "wish.md"),
        "design.md": (1, "architect", "requirements.md"),
        "slug.py": (2, "developer", "design.md, review.md"),
        "findings.txt": (2, "build", ""),
        "review.md": (2, "reviewer", "requirements.md, slug.py, findings.txt"),
    }
    calls = {line.agent: line.calls for line in result.bill.lines}
    assert sum(calls.values()) >= 4
    assert set(calls) == {"analyst", "architect", "developer", "reviewer"}


def test_each_role_sees_its_documents_and_nobodys_conversation():
    """A fresh context: one message, made of what the role was given."""
    code = "def slug(title): ..."
    said = {"analyst": "lower case", "architect": "slug(title)", "developer": code}
    models = {name: ScriptedModel([text], name=name) for name, text in {**said, "reviewer": "accepted"}.items()}
    assert run_sync(example.build, "the wish", models=models).unwrap() == code
    read = {name: [message.text for message in model.calls[0].messages] for name, model in models.items()}
    assert read == {
        "analyst": ["# wish.md\n\nthe wish"],
        "architect": ["# requirements.md\n\nlower case"],
        "developer": ["# design.md\n\nslug(title)"],
        "reviewer": [
            f"# requirements.md\n\nlower case\n\n# slug.py\n\n{code}\n\n# findings.txt\n\nit parses",
        ],
    }


def test_what_does_not_parse_is_a_finding():
    models = {name: ScriptedModel(lambda _: "def (", name=name) for name in ("analyst", "architect", "developer")}
    reviewer = ScriptedModel(lambda _: "rejected")
    assert run_sync(example.build, "x", models={**models, "reviewer": reviewer}).unwrap() == "def ("
    assert len(reviewer.calls) == 3
    assert reviewer.calls[0].messages[0].text.partition("# findings.txt\n\n")[2].startswith("line 1: ")
