"""Where an effect stands: paths, scopes and keys (SEMANTICS 1)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from flows import at_once, dear, echo, of_kind, paths

from outlay import Agent, RunContext, node, run, tool
from outlay.errors import ConfigError
from outlay.events import CallStarted, ToolStarted
from outlay.patterns import FanOut, Pipeline, Supervisor
from outlay.runtime.identity import Scope, current_scope, install, item, segment, uninstall
from outlay.testing import Reply, ScriptedModel

# ── lineage ───────────────────────────────────────────────────────────────────────────────────────────────


def racing(delays: Callable[[str], float], structure: str) -> dict[str, str]:
    """Ten branches of four effects each, whose order of arrival is up to `delays`; keys by branch and step."""
    found: dict[str, str] = {}

    @node
    async def branches(ctx: RunContext, _: str) -> None:
        async def branch(i: int) -> None:
            for step in range(4):
                await asyncio.sleep(delays(f"{i} {step}"))
                # the same name and the same arguments everywhere: only the lineage tells them apart
                await ctx.effect("step", lambda: None)
                found[f"{i} {step}"] = last_key[0]

        if structure == "gather":
            await asyncio.gather(*(branch(i) for i in range(10)))
        elif structure == "ctx.gather":
            await ctx.gather(*(branch(i) for i in range(10)))
        else:
            async with asyncio.TaskGroup() as group:
                for i in range(10):
                    group.create_task(branch(i))

    last_key = [""]

    def note_key(event: Any) -> None:
        if isinstance(event, ToolStarted):
            last_key[0] = event.key

    at_once(run(branches, "", run_id="fixed", on_event=note_key))
    return found


@pytest.mark.parametrize("structure", ["gather", "ctx.gather", "TaskGroup"])
def test_racing_branches_keep_their_keys_under_any_timing(structure: str) -> None:
    """Ten branches with four equal effects each: 40 keys, the same whatever order the branches arrive in."""
    expected = racing(lambda _: 1.0, structure)
    assert len(set(expected.values())) == 40
    for seed in range(5):
        dice = random.Random(seed)
        assert racing(lambda _, dice=dice: dice.random(), structure) == expected


def test_equal_effects_one_after_another_differ_by_their_number() -> None:
    """The same effect twice in one scope has two identities, and so has the third."""

    @node
    async def thrice(ctx: RunContext, _: str) -> None:
        for _i in range(3):
            await ctx.effect("same", lambda: None)

    first, second = (at_once(run(thrice, "", run_id="fixed")) for _ in range(2))
    keys = [event.key for event in of_kind(first, ToolStarted)]
    assert len(set(keys)) == 3
    assert keys == [event.key for event in of_kind(second, ToolStarted)]


def test_a_key_names_an_effect_in_its_run() -> None:
    """Other input, other tool: another identity. In another run the same effect has the same, so that forks share."""

    @node
    async def one(ctx: RunContext, name: str) -> None:
        await ctx.effect(name, len, name)

    def key(name: str, run_id: str) -> str:
        return of_kind(at_once(run(one, name, run_id=run_id)), ToolStarted)[0].key

    assert key("a", "r") != key("b", "r")
    assert key("a", "r") == key("a", "s")


def test_the_output_cap_that_a_budget_left_is_no_part_of_the_key() -> None:
    """What the runtime decides at the moment is not identity: a clipped call has the key of the full one."""
    from outlay import Budget

    agent = Agent("a", dear(["x"] * 2), max_output_tokens=200, min_output_tokens=1)
    full = at_once(run(agent, "hi", run_id="fixed"))
    clipped = at_once(run(agent, "hi", run_id="fixed", budget=Budget(usd="0.01")))
    calls = [of_kind(r, CallStarted)[0] for r in (full, clipped)]
    assert [c.max_output_tokens for c in calls] == [200, 100]
    assert calls[0].key == calls[1].key


# ── keys ──────────────────────────────────────────────────────────────────────────────────────────────────


def pool_keys(seed: int) -> dict[str, str]:
    """Three workers pull eight jobs from a queue; the key of each job's call by its text."""
    dice = random.Random(seed)
    agent = Agent("job", ScriptedModel(lambda request: request.text))

    @node
    async def pool(ctx: RunContext, jobs: list[str]) -> None:
        queue = list(jobs)

        async def work() -> None:
            while queue:
                job = queue.pop(0)
                await asyncio.sleep(dice.random())
                await ctx.run(agent, job, key=job)

        await ctx.gather(work(), work(), work())

    result = at_once(run(pool, [f"job{i}" for i in range(8)], run_id="fixed"))
    assert result.stop_reason == "completed"
    return {e.path: e.key for e in of_kind(result, CallStarted)}


def test_key_replaces_lineage_in_a_worker_pool() -> None:
    """Whichever worker pulls a job, the job's effects have the same identity."""
    expected = pool_keys(0)
    assert len(set(expected.values())) == 8
    for seed in range(1, 6):
        assert pool_keys(seed) == expected


@pytest.mark.parametrize("how", ["gather", "sequence"])
def test_a_key_that_is_used_twice_is_an_error(how: str) -> None:
    """Two siblings with one key are a ConfigError, whether they race or follow one another."""

    @node
    async def twice(ctx: RunContext, _: str) -> None:
        if how == "gather":
            await ctx.gather(ctx.run(echo, 1, key="same"), ctx.run(echo, 2, key="same"))
        else:
            await ctx.run(echo, 1, key="same")
            await ctx.run(echo, 2, key="same")

    with pytest.raises(ConfigError, match="'same' is used twice"):
        at_once(run(twice, ""))


def test_a_node_that_runs_twice_may_use_its_keys_again() -> None:
    """Keys are unique among the children of one run of a node, not for ever."""
    fan = FanOut(echo, name="fan")

    @node
    async def again(ctx: RunContext, _: str) -> Any:
        return [await ctx.run(fan, ["x"]), await ctx.run(fan, ["x"]), await ctx.run(fan, ["x", "x"])]

    result = at_once(run(again, ""))
    assert result.unwrap() == [["x"], ["x"], ["x", "x"]]


def test_a_tool_may_use_its_keys_at_each_call() -> None:
    """Each call of a tool is a place of its own."""

    @tool
    async def look(ctx: RunContext, what: str) -> str:
        """Look."""
        return await ctx.run(echo, what, key="inside")

    model = ScriptedModel([Reply(tool_calls=[("look", {"what": "a"})])] * 2 + ["done"])
    result = at_once(run(Agent("a", model, tools=[look]), ""))
    assert result.unwrap() == "done"
    assert paths(result) == ["a", "a/look/echo[inside]", "a/look#2/echo[inside]"]


def test_a_fan_out_finds_its_items_by_content_and_not_by_index() -> None:
    """Reordering the list moves the indices that are shown, and no identity; equal items are numbered."""
    fan = FanOut(Agent("w", ScriptedModel(lambda request: request.text)), name="fan")

    def keys(items: list[str]) -> Counter[tuple[str, str]]:
        found = of_kind(at_once(run(fan, items, run_id="fixed")), CallStarted)
        return Counter((event.key, event.head) for event in found)

    assert keys(["a", "b", "a"]) == keys(["b", "a", "a"])
    assert len(keys(["a", "b", "a"])) == 3


def test_a_new_plan_may_use_the_id_of_a_failed_subtask() -> None:
    """A supervisor's second round is no duplicate of the first."""
    from outlay.values.plan import Plan, Subtask

    tries = iter([ValueError("first"), None])

    @node
    async def hand(ctx: RunContext, task: Any) -> str:
        if error := next(tries):
            raise error
        return "done"

    async def plan(_: Any) -> Plan:
        return Plan([Subtask("a", "hand", "do it")])

    crew = Supervisor(plan, [hand], lambda synthesis: dict(synthesis.results), max_rounds=2, name="crew")
    result = at_once(run(crew, "goal"))
    assert result.unwrap() == {"a": "done"}
    assert [p for p in paths(result) if "hand" in p] == ["crew/hand[a]", "crew/hand[a.2]"]


# ── paths ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_path_says_where_in_the_flow() -> None:
    """Names joined by `/`, `[key]` for items, `#2` for repeats."""

    @tool
    async def search(ctx: RunContext, q: str) -> str:
        """Search."""
        await ctx.run(echo, q)
        return q

    def answer(request: Any) -> Any:
        return "done" if len(request.messages) > 3 else Reply(tool_calls=[("search", {"q": "x"})])

    crew = FanOut(Agent("scout", ScriptedModel(answer), tools=[search]), name="crew")
    result = at_once(run(Pipeline(crew, name="flow"), ["a", "b"]))
    found = paths(result) + [e.path for e in of_kind(result, ToolStarted)]
    assert {
        "flow",
        "flow/crew",
        "flow/crew/scout[1]",
        "flow/crew/scout[1]/search#2",
        "flow/crew/scout[1]/search#2/echo",
    } <= set(found)


@pytest.mark.parametrize("name", ["a b", "", "x" * 65, "é", "a/b", "../..", "\ud800", "a\n", "<script>"])
def test_what_could_carry_user_text_is_hashed(name: str) -> None:
    """A segment is 1 to 64 letters, digits, `_`, `.` and `-`; anything else is a short digest."""
    found = segment(name)
    assert found.startswith("h-")
    assert found == segment(name) != segment(name + "x")
    assert segment(found) == found


def test_plain_names_stand_as_they_are() -> None:
    """`[key]` is judged apart from the name before it."""
    assert segment("scout-1.a_B") == "scout-1.a_B"
    assert item("scout[3]") == "scout[3]"
    assert item("scout[a b]") == f"scout[{segment('a b')}]"
    assert item("a b[3]") == f"{segment('a b')}[3]"


def test_keys_and_skipped_parts_carry_no_user_text() -> None:
    """Neither a key of the user's nor a model's own words get into a path."""
    secret = "alice@example.com wrote"

    @node
    async def parts(ctx: RunContext, _: str) -> None:
        await ctx.run(echo, "", key=secret)
        ctx.skip(f"worker[{secret}]", "why not")

    result = at_once(run(parts, ""))
    found = [e.path for e in result.events] + [s.path for s in result.skipped]
    assert not any("alice" in path for path in found)
    assert result.skipped[0].path == f"parts/worker[{segment(secret)}]"


# ── the task factory ──────────────────────────────────────────────────────────────────────────────────────


def test_an_existing_task_factory_is_chained_and_restored() -> None:
    """The loop is left as it was found, and the factory that was there still makes the tasks."""
    made: list[str] = []

    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
        made.append(getattr(coro, "__qualname__", ""))
        return asyncio.Task(coro, loop=loop, **options)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(factory)
        result = await run(FanOut(echo), [1, 2, 3])
        assert result.unwrap() == [1, 2, 3]
        assert loop.get_task_factory() is factory

    asyncio.run(main())
    assert len([name for name in made if "FanOut" in name]) == 3


def test_runs_that_overlap_share_the_factory() -> None:
    """The last one to end restores it, whichever it is."""

    @node
    async def slow(ctx: RunContext, seconds: float) -> None:
        await ctx.sleep(seconds)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        await asyncio.gather(*(run(slow, s) for s in (3.0, 1.0, 2.0)))
        assert loop.get_task_factory() is before

    at_once(main())


def test_tasks_outside_a_run_are_left_alone() -> None:
    """Only tasks below a run get a lineage."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        install(loop)
        try:
            assert await asyncio.create_task(_scope()) is None
            current_scope.set(Scope(b"root"))
            first, second = await asyncio.gather(_scope(), _scope())
            assert first is not None
            assert second is not None
            assert first.id != second.id
        finally:
            uninstall(loop)

    async def _scope() -> Scope | None:
        return current_scope.get()

    asyncio.run(main())


def test_a_run_inside_a_run_has_a_lineage_of_its_own() -> None:
    """The identity of an inner run's effects does not depend on where it was started."""

    @node
    async def inner(ctx: RunContext, _: str) -> str:
        await ctx.effect("e", lambda: None)
        return ctx.uuid()

    @node
    async def outer(ctx: RunContext, _: str) -> str:
        return (await run(inner, "", seed=1, run_id="in")).unwrap()

    assert at_once(run(outer, "", seed=9)).unwrap() == at_once(run(inner, "", seed=1, run_id="in")).unwrap()
