"""The ready-made tools: agents that read, list and write the artifacts of their run."""

from __future__ import annotations

import json
from typing import Any

from outlay import Agent, RunContext, node, run_sync, tool
from outlay.sharing import list_artifacts, read_artifact, write_artifact
from outlay.stores import MemoryStore
from outlay.testing import Reply, ScriptedModel

TOOLS = [read_artifact, list_artifacts, write_artifact]
LONG = "".join(f"line {n}\n" for n in range(4_000))


@tool
def search(query: str) -> str:
    """A result that is too long to be shown whole."""
    return LONG


def told(*calls: tuple[str, dict[str, Any]], documents: dict[str, str] | None = None, tools: Any = ()) -> list[str]:
    """What an agent reads of its calls, one a turn, after `documents` were put."""
    model = ScriptedModel([*(Reply(tool_calls=[call]) for call in calls), "done"])
    agent = Agent("reader", model, tools=[*TOOLS, *tools])

    @node
    async def flow(ctx: RunContext, _: str) -> str:
        for name, text in (documents or {}).items():
            await ctx.state.artifacts.put(name, text)
        return await ctx.run(agent, "read")

    assert run_sync(flow, "").unwrap() == "done"
    return [result.content for message in model.calls[-1].messages for result in message.tool_results]


def test_a_document_is_read_by_its_name():
    assert told(("read_artifact", {"name": "plan.md"}), documents={"plan.md": "the plan"}) == ["the plan"]


def test_a_cut_tool_result_is_read_on_where_it_was_cut():
    """Page by page, by the name and the offset that the cut result gives: all of it, and nothing twice."""
    (cut,) = told(("search", {"query": "x"}), tools=[search.replace(max_result_tokens=100)])
    shown, _, note = cut.partition("\n… [")
    assert f"{len(LONG):,} characters in all" in note
    assert f"read_artifact from offset {len(shown)}]" in note
    name = note.split("artifact ")[1].split(",")[0]
    assert name.startswith("results/search-")
    text, offset = shown, len(shown)
    while offset < len(LONG):
        _, page = told(
            ("search", {"query": "x"}),
            ("read_artifact", {"name": name, "offset": offset}),
            tools=[search.replace(max_result_tokens=100)],
        )
        head, _, page = page.partition("\n")
        text, offset = text + page, offset + len(page)
        assert ("this is the end" in head) == (offset == len(LONG))
        assert offset == len(LONG) or f"offset={offset}" in head
    assert text == LONG


def test_an_agent_without_the_tool_is_not_told_to_use_it():
    model = ScriptedModel([Reply(tool_calls=[("search", {"query": "x"})]), "done"])
    run_sync(Agent("a", model, tools=[search.replace(max_result_tokens=100)]), "x").unwrap()
    (cut,) = model.calls[-1].messages[-1].tool_results
    assert "artifact results/search-" in cut.content
    assert "read_artifact" not in cut.content


def test_a_document_is_written_listed_and_read():
    write = ("write_artifact", {"name": "design/api.md", "content": "# API"})
    assert told(write, ("list_artifacts", {}), ("read_artifact", {"name": "design/api.md"})) == [
        "design/api.md is version 1, 5 bytes",
        "design/api.md (version 1, text/markdown, 5 bytes, by reader)",
        "# API",
    ]


def test_a_bad_name_or_a_second_writing_is_told_to_the_model_and_ends_nothing():
    write = {"name": "plan.md", "content": "other"}
    answers = told(
        ("read_artifact", {"name": "../../etc/passwd"}),
        ("list_artifacts", {}),
        ("write_artifact", {"name": "/etc/cron.d/x", "content": "x"}),
        ("list_artifacts", {"prefix": "plan"}),
        ("write_artifact", write),
        ("write_artifact", {**write, "version": 2}),
        ("read_artifact", {"name": "plam.md"}),
        documents={"plan.md": "the plan"},
    )
    assert "it holds .." in answers[0]
    assert "it is absolute" in answers[2]
    assert "version=2" in answers[4]
    assert answers[5] == "plan.md is version 2, 5 bytes"
    assert "the artifacts here are: plan.md" in answers[6]


def test_a_name_reaches_no_model_with_its_context_parameter():
    schema = json.loads(read_artifact.spec.schema)
    assert sorted(schema["properties"]) == ["name", "offset"]


def test_cut_results_are_in_the_store_of_the_run():
    store = MemoryStore()
    model = ScriptedModel([Reply(tool_calls=[("search", {"query": "x"})]), "done"])
    agent = Agent("a", model, tools=[search.replace(max_result_tokens=100)])

    @node
    async def flow(ctx: RunContext, _: str) -> Any:
        await ctx.run(agent, "x")
        return [(a.source, a.size, a.agent) for a in await ctx.state.artifacts.list("results/")]

    assert run_sync(flow, "", store=store).unwrap() == [("search", len(LONG), "a")]
