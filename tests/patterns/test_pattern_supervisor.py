"""Supervisor: plan, let workers do the parts, put the results together."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay import Agent, Budget, RunContext, node, run_sync
from outlay.errors import ConfigError, Overloaded, PlanInvalid
from outlay.patterns import FanOut, Plan, Revision, Subtask, Supervisor, Synthesis, Task
from outlay.testing import ScriptedModel, virtual_time


def busy():
    return Overloaded("busy", retryable=False)


def planner(*plans, **options):
    return Agent("planner", ScriptedModel(list(plans)), output_type=Plan, **options)


def plan(*subtasks, how="together"):
    """Subtasks as `(id, worker, *needs)`."""
    return Plan([Subtask(id, worker, f"do {id}", list(needs)) for id, worker, *needs in subtasks], how)


def worker(name="scout", answer=None, *, latency=0.0, **options):
    """An agent whose answer depends on its task, as JSON of a Task."""
    return Agent(name, ScriptedModel(answer or (lambda request: "done"), latency=latency), **options)


@node
async def gather_all(ctx: RunContext, synthesis: Synthesis) -> Synthesis:
    return synthesis


@node(name="echo")
async def echo(ctx: RunContext, task: Task) -> str:
    if task.task == "do bad":
        raise LookupError("nothing there")
    return f"{task.task}: {sorted(task.results)}"


def supervise(*subtasks, workers=(echo,), **options):
    return run_sync(Supervisor(planner(plan(*subtasks)), workers, gather_all, **options), "goal")


# ── the plan and who sees what ────────────────────────────────────────────────────────────────────────────


def test_the_planner_is_shown_the_workers_at_the_end_of_its_instructions():
    """Names and descriptions, and how many subtasks are allowed; in the fixed prefix."""
    workers = [worker("scout", description="Finds facts."), worker("clerk"), echo.replace(description="Echoes.")]
    boss = planner(plan(("a", "scout")), instructions=["Plan well.", lambda: "Today."])
    run_sync(Supervisor(boss, workers, gather_all, max_subtasks=7), "goal").unwrap()
    first, shown, last = boss.model.calls[0].system
    assert (first, last) == ("Plan well.", "Today.")
    assert "at most 7" in shown
    assert "- scout: Finds facts." in shown
    assert "- clerk: no description" in shown
    assert "- echo: Echoes." in shown
    assert boss.instructions == ["Plan well.", boss.instructions[1]]


def test_a_worker_gets_the_goal_its_task_and_what_it_depends_on():
    """Only the results it asked for."""
    seen = []

    @node(name="w")
    async def work(ctx: RunContext, task: Task) -> str:
        seen.append(task)
        return task.task.upper()

    supervise(("a", "w"), ("b", "w"), ("c", "w", "a"), workers=[work])
    assert sorted(seen, key=lambda t: t.task) == [
        Task("goal", "do a", {}),
        Task("goal", "do b", {}),
        Task("goal", "do c", {"a": "DO A"}),
    ]


def test_a_worker_that_is_an_agent_reads_its_task_as_json():
    """Goal, task and results, in that order."""
    scout = worker("scout")
    supervise(("a", "scout"), ("b", "scout", "a"), workers=[scout])
    assert scout.model.calls[1].text == '{"goal":"goal","task":"do b","results":{"a":"done"}}'


def test_the_synthesizer_gets_goal_instructions_results_and_failures():
    """What failed is named with its reason, apart from the results."""
    found = supervise(("a", "echo"), ("bad", "echo")).output
    assert found == Synthesis("goal", "together", {"a": "do a: []"}, {"bad": "LookupError: nothing there"})


def test_results_stand_in_the_order_of_the_plan():
    """Whatever finishes first: a synthesizer that is an agent reads the same prompt each time."""

    @node(name="w")
    async def work(ctx: RunContext, task: Task) -> str:
        await ctx.sleep({"do a": 3, "do b": 1, "do c": 2}[task.task])
        if task.task == "do b":
            raise LookupError("lost")
        return task.task

    found = supervise(("a", "w"), ("b", "w"), ("c", "w"), workers=[work]).output
    assert list(found.results) == ["a", "c"]


def test_the_output_is_the_synthesizers():
    """The whole, and the bill of all of it."""
    last = Agent("last", ScriptedModel(lambda r: "the answer"))
    result = run_sync(Supervisor(planner(plan(("a", "scout"), ("b", "scout"))), [worker()], last), "goal")
    assert (result.unwrap(), result.degraded) == ("the answer", False)
    assert sum(line.calls for line in result.bill.lines) == 4


def test_a_subtasks_path_says_its_id():
    """`supervisor/scout[a]` in the bill, in `.skipped` and in `.partial`."""
    result = run_sync(Supervisor(planner(plan(("a", "scout"), ("bad", "echo"))), [worker(), echo], gather_all), "goal")
    assert "supervisor/scout[a]" in {line.path for line in result.bill.lines}
    assert [s.path for s in result.skipped] == ["supervisor/echo[bad]"]


# ── when things start ─────────────────────────────────────────────────────────────────────────────────────


@st.composite
def graphs(draw):
    """Acyclic plans with a duration for each subtask."""
    n = draw(st.integers(1, 8))
    needs = [draw(st.sets(st.integers(0, i - 1), max_size=3)) if i else set() for i in range(n)]
    return needs, [draw(st.integers(0, 9)) for _ in range(n)]


@settings(max_examples=40)
@given(graphs(), st.randoms(use_true_random=False))
def test_a_subtask_starts_as_soon_as_what_it_needs_is_done(graph, random):
    """Every start is the latest end among its dependencies, whatever the order of the plan."""
    needs, seconds = graph
    started, ended = {}, {}

    @node(name="w")
    async def work(ctx: RunContext, task: Task) -> str:
        i = int(task.task.removeprefix("do t"))
        started[i] = ctx.now()
        await ctx.sleep(seconds[i])
        ended[i] = ctx.now()
        return "done"

    subtasks = [(f"t{i}", "w", *(f"t{d}" for d in needs[i])) for i in range(len(needs))]
    random.shuffle(subtasks)
    with virtual_time() as clock:
        assert supervise(*subtasks, workers=[work]).error is None
    for i, wanted in enumerate(needs):
        assert started[i] == max((ended[d] for d in wanted), default=clock.start)
    assert clock.elapsed == max(ended.values()) - clock.start


# ── plans that cannot be run ──────────────────────────────────────────────────────────────────────────────

BAD_PLANS = {
    "unknown worker": (plan(("a", "ghost")), "unknown worker 'ghost'"),
    "cycle": (plan(("a", "echo", "b"), ("b", "echo", "c"), ("c", "echo", "a")), "a → b → c → a"),
    "itself": (plan(("a", "echo", "a")), "a → a"),
    "duplicate": (plan(("a", "echo"), ("a", "echo")), "'a' is used twice"),
    "missing": (plan(("a", "echo", "z")), "depends on 'z', which is not there"),
    "too many": (plan(*((f"t{i}", "echo") for i in range(6))), "6 subtasks, at most 5"),
    "empty": (plan(), "no subtasks"),
}
bad_plans = pytest.mark.parametrize(("bad", "says"), BAD_PLANS.values(), ids=BAD_PLANS)


@bad_plans
def test_a_bad_plan_goes_back_once_and_may_be_corrected(bad, says):
    """In the planner's conversation, with what is wrong."""
    boss = planner(bad, plan(("a", "echo")))
    result = run_sync(Supervisor(boss, [echo], gather_all, max_subtasks=5), "goal")
    assert result.unwrap().results == {"a": "do a: []"}
    assert [m.role for m in boss.model.calls[1].messages] == ["user", "assistant", "user"]
    assert says in boss.model.calls[1].text


@bad_plans
def test_a_plan_that_stays_bad_is_plan_invalid_and_names_why(bad, says):
    """No worker is started; the error lists each problem and the workers there are."""
    boss = planner(bad, bad)
    result = run_sync(Supervisor(boss, [echo], gather_all, max_subtasks=5), "goal")
    assert isinstance(result.error, PlanInvalid)
    assert any(says in problem for problem in result.error.problems)
    assert "echo" in str(result.error)
    assert len(boss.model.calls) == 2
    assert not [p for p in result.partial if "echo" in p.path]


def test_all_that_is_wrong_with_a_plan_is_said_at_once():
    """One correction has to do."""
    bad = plan(("a", "ghost", "z"), ("a", "echo"))
    result = run_sync(Supervisor(planner(bad, bad), [echo], gather_all), "goal")
    assert len(result.error.problems) == 3


def test_a_planner_that_is_no_agent_gets_a_revision():
    """Goal, its plan, and what was wrong with it."""
    seen = []

    @node(name="boss")
    async def boss(ctx: RunContext, x: Any) -> Plan:
        seen.append(x)
        return plan(("a", "ghost")) if len(seen) == 1 else plan(("a", "echo"))

    run_sync(Supervisor(boss, [echo], gather_all), "goal").unwrap()
    assert seen[0] == "goal"
    assert isinstance(seen[1], Revision)
    assert (seen[1].input, seen[1].draft.subtasks[0].worker) == ("goal", "ghost")
    assert "ghost" in seen[1].feedback


def test_a_planner_of_another_output_type_is_refused_when_it_is_made():
    """It must give a Plan."""
    with pytest.raises(ConfigError, match="output_type=Plan"):
        Supervisor(Agent("planner", ScriptedModel([])), [echo], gather_all)


# ── workers that fail ─────────────────────────────────────────────────────────────────────────────────────


def test_a_failed_worker_degrades_and_is_never_an_answer():
    """Its reason is not among the results."""
    result = supervise(("a", "echo"), ("bad", "echo"))
    assert (result.degraded, result.stop_reason) == (True, "completed")
    assert list(result.output.results) == ["a"]
    assert isinstance(result.skipped[0].error, LookupError)


def test_an_optional_worker_that_fails_has_no_result_either():
    """A skipped stage passes its input on; a task is no answer to itself."""
    lame = Agent("lame", ScriptedModel(lambda r: busy()), optional=True)
    result = supervise(("a", "echo"), ("b", "lame"), workers=[echo, lame])
    assert list(result.output.results) == ["a"]
    assert list(result.output.failed) == ["b"]


def test_what_depends_on_a_failed_subtask_is_not_started():
    """It fails with the name of what it needed, and stands in `.skipped`; the rest goes on."""
    result = supervise(("bad", "echo"), ("b", "echo", "bad"), ("c", "echo", "b"), ("d", "echo"))
    assert list(result.output.results) == ["d"]
    assert result.output.failed["b"] == "needs bad, which has no result"
    assert result.output.failed["c"] == "needs b, which has no result"
    assert {s.path for s in result.skipped} == {f"supervisor/echo[{id}]" for id in ("bad", "b", "c")}


def test_where_all_fail_the_first_error_is_raised():
    """Nothing is put together of nothing."""
    result = supervise(("bad", "echo"), ("b", "echo", "bad"))
    assert isinstance(result.error, LookupError)
    assert result.output is None


def test_a_failed_synthesizer_is_a_failure_that_keeps_the_parts():
    """They stand in `.partial`."""
    last = Agent("last", ScriptedModel(lambda r: busy()))
    result = run_sync(Supervisor(planner(plan(("a", "echo"))), [echo], last), "goal")
    assert isinstance(result.error, Overloaded)
    assert "do a: []" in [p.output for p in result.partial]


def test_another_round_plans_for_what_is_missing():
    """With `max_rounds=2` the planner is told what failed and what is done; done subtasks are not repeated."""
    started = []

    @node(name="w")
    async def work(ctx: RunContext, task: Task) -> str:
        started.append(task.task)
        if started.count("do b") == 1 and task.task == "do b":
            raise LookupError("lost")
        return task.task

    boss = planner(plan(("a", "w"), ("b", "w")), plan(("a", "w"), ("b", "w", "a")))
    result = run_sync(Supervisor(boss, [work], gather_all, max_rounds=2), "goal")
    assert result.unwrap().results == {"a": "do a", "b": "do b"}
    assert result.output.failed == {}
    assert sorted(started) == ["do a", "do b", "do b"]
    assert "b: LookupError: lost" in boss.model.calls[1].text
    assert "Done already: a" in boss.model.calls[1].text


def test_a_single_subtask_may_be_tried_again_under_its_id():
    """A plan of one, twice."""
    tries = []

    @node(name="w")
    async def work(ctx: RunContext, task: Task) -> str:
        tries.append(ctx.path)
        if len(tries) == 1:
            raise LookupError("lost")
        return "found"

    boss = planner(plan(("a", "w")), plan(("a", "w")))
    result = run_sync(Supervisor(boss, [work], gather_all, max_rounds=3), "goal")
    assert result.unwrap().results == {"a": "found"}
    assert len(set(tries)) == 2


def test_rounds_end_where_nothing_failed_and_at_max_rounds():
    """A good plan is made once; a bad worker is not tried for ever."""
    good = planner(plan(("a", "echo")))
    run_sync(Supervisor(good, [echo], gather_all, max_rounds=5), "goal").unwrap()
    assert len(good.model.calls) == 1
    bad = planner(*[plan(("a", "echo"), ("bad", "echo"))] * 5)
    result = run_sync(Supervisor(bad, [echo], gather_all, max_rounds=3), "goal")
    assert len(bad.model.calls) == 3
    assert list(result.output.failed) == ["bad"]


def test_a_bad_second_plan_leaves_what_the_first_gave():
    """Paid results are put together even where no better plan is found."""
    ghost = plan(("c", "ghost"))
    boss = planner(plan(("a", "echo"), ("bad", "echo")), ghost, ghost)
    result = run_sync(Supervisor(boss, [echo], gather_all, max_rounds=2), "goal")
    assert list(result.output.results) == ["a"]
    assert list(result.output.failed) == ["bad"]
    assert any(isinstance(s.error, PlanInvalid) for s in result.skipped)


# ── budgets ───────────────────────────────────────────────────────────────────────────────────────────────


def priced(name, answer, **options):
    return Agent(name, ScriptedModel(answer, price=(0, 100), latency=1), max_output_tokens=100, **options)


def test_the_synthesizers_worst_case_is_reserved_from_the_start():
    """Under any budget that lets one worker finish, the synthesizer still answers, and the limit holds."""
    boss = Agent(
        "boss", ScriptedModel(lambda r: plan(*((f"t{i}", "w") for i in range(8))), price=(0, 1)), output_type=Plan
    )
    last = priced("last", lambda r: "the answer")
    work = priced("w", lambda r: "x" * 400, min_output_tokens=100)
    flow = Supervisor(boss, [work], last)
    outcomes = set()
    for cents in range(2, 12):
        result = run_sync(flow, "goal", budget=Budget(usd=Decimal(cents) / 100), on_alert=lambda alert: None)
        assert result.bill.total <= Decimal(cents) / 100
        done = [p for p in result.bill.lines if p.agent == "w" and p.cost]
        assert (result.output == "the answer") == bool(done), cents
        outcomes.add(result.stop_reason)
    assert outcomes == {"budget", "completed"}


def test_at_the_budget_the_synthesizer_is_told_what_was_not_started():
    """Not started is not an answer; it stands in `.skipped` too."""
    boss = planner(plan(("a", "scout"), ("b", "scout", "a"), ("c", "scout")))
    result = run_sync(Supervisor(boss, [worker(latency=1)], gather_all), "goal", budget=Budget(calls=2))
    assert result.stop_reason == "budget"
    assert len(result.output.results) == 1
    assert len(result.output.failed) == 2
    assert len(result.skipped) == 2


def test_what_the_deadline_cut_off_is_named():
    """What failed before it and what was under way or waiting stand in `.skipped`, each once."""

    @node(name="echo")
    async def work(ctx: RunContext, task: Task) -> str:
        if task.task == "do bad":
            raise LookupError("nothing there")
        await ctx.sleep(1 if task.task == "do a" else 50)
        return "done"

    subtasks = [("a", "echo"), ("bad", "echo"), ("long", "echo"), ("last", "echo", "long")]
    result = supervise(*subtasks, workers=[work], budget=Budget(seconds=10))
    assert (result.stop_reason, result.output) == ("deadline", None)
    assert [p.path for p in result.partial] == ["supervisor/planner", "supervisor/echo[a]"]
    assert [(p.path, p.reason) for p in result.skipped] == [
        ("supervisor/echo[bad]", "the worker failed"),
        ("supervisor/echo[long]", "not finished: deadline"),
        ("supervisor/echo[last]", "not finished: deadline"),
    ]


def test_a_planner_at_the_budget_is_a_stop():
    """There is nothing to put together."""
    result = run_sync(Supervisor(planner(plan(("a", "echo"))), [echo], gather_all), "goal", budget=Budget(calls=0))
    assert (result.stop_reason, result.output) == ("budget", None)


def test_budget_option_and_replace():
    """They hold for the pattern as a whole; a changed copy shows its own workers."""
    from outlay.patterns import Pipeline

    flow = Supervisor(planner(*[plan(("a", "echo"))] * 9), [echo], gather_all, budget=Budget(calls=0))
    assert run_sync(flow, "goal").stop_reason == "budget"
    assert run_sync(Pipeline(flow.replace(optional=True), len), "goal").output == 4
    changed = flow.replace(workers=[echo, worker("late", description="Late.")], budget=None)
    run_sync(changed, "goal").unwrap()
    (shown,) = changed.planner.model.calls[-1].system
    assert "- late: Late." in shown
    assert shown.count("- echo") == 1


@pytest.mark.parametrize(
    "wrong",
    [{"workers": []}, {"workers": [42]}, {"planner": 42}, {"synthesizer": 42}, {"max_subtasks": 0}, {"max_rounds": 0}],
    ids=str,
)
def test_what_cannot_work_is_refused_when_it_is_made(wrong):
    """A ConfigError, before anything is spent."""
    with pytest.raises(ConfigError):
        Supervisor(**({"planner": lambda x: x, "workers": [echo], "synthesizer": gather_all} | wrong))


def test_two_workers_of_one_name_are_refused():
    """A plan could not tell them apart."""
    with pytest.raises(ConfigError, match="two"):
        run_sync(Supervisor(planner(), [worker("a"), worker("a")], gather_all), "goal")


# ── within one another ────────────────────────────────────────────────────────────────────────────────────


def test_a_supervisor_is_a_worker_of_another():
    """It gets a Task as its goal and is shown by its description."""
    inner = Supervisor(
        planner(plan(("x", "echo"))).replace(name="inner_planner"),
        [echo],
        lambda s: f"inner of {s.goal.task}",
        name="crew",
        description="Does the digging.",
    )
    boss = planner(plan(("a", "crew")))
    result = run_sync(Supervisor(boss, [inner], gather_all), "goal")
    assert result.unwrap().results == {"a": "inner of do a"}
    assert "- crew: Does the digging." in boss.model.calls[0].system[0]


def test_any_pattern_is_a_worker():
    """A fan-out over the words of its task."""
    words = FanOut(lambda w: w.upper(), split=lambda task: task.task.split(), name="words", description="Shouts.")
    assert supervise(("a", "words"), workers=[words]).output.results == {"a": ["DO", "A"]}
