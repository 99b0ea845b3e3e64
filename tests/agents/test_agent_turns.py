"""The turn loop: the model is asked, its tools are run, and it is asked again until it answers."""

import asyncio
import threading

import pytest

from outlay import Agent, Budget, RunContext, Tool, Usage, run_sync, tool
from outlay.errors import OutputTruncated, Refused, ToolError, TurnLimit
from outlay.patterns import FanOut
from outlay.testing import Reply, ScriptedModel, virtual_time


def calls(*names_and_arguments):
    return Reply(tool_calls=list(names_and_arguments))


def converse(replies, **options):
    """Run one agent over a script; the result and the model that saw the requests."""
    model = ScriptedModel(replies)
    return run_sync(Agent("worker", model, **options), "go"), model


def results_seen(model, turn=1):
    """What the tools gave, as the model of that turn read it."""
    return model.calls[turn].messages[-1].tool_results


def echo(text: str) -> str:
    """Say it again."""
    return text


def test_without_tools_the_first_answer_is_the_output():
    """A plain answer ends the loop after one call."""
    result, model = converse(["hello"])
    assert (result.unwrap(), result.stop_reason, len(model.calls)) == ("hello", "completed", 1)


def test_a_tool_is_run_and_its_result_read_in_the_next_turn():
    """The model's call is answered by a tool message under the same id, before the next turn."""
    result, model = converse([calls(("echo", {"text": "hi"})), "done"], tools=[echo])
    assert result.unwrap() == "done"
    (asked,) = model.calls[1].messages[-2].tool_calls
    (given,) = results_seen(model)
    assert (given.call_id, given.name, given.content, given.is_error) == (asked.id, "echo", "hi", False)


def test_every_turn_is_billed():
    """Each turn is a call in the bill."""
    result, _ = converse([calls(("echo", {"text": "a"})), calls(("echo", {"text": "b"})), "done"], tools=[echo])
    assert [line.calls for line in result.bill.lines] == [3]


def test_text_beside_a_tool_call_is_not_the_answer():
    """A turn with calls goes on, whatever it says beside them."""
    result, _ = converse([Reply("let me look", tool_calls=[("echo", {"text": "x"})]), "found"], tools=[echo])
    assert result.unwrap() == "found"


# ── order and overlap ─────────────────────────────────────────────────────────────────────────────────────


def slow(name, log=None, **options):
    """A tool of 10 seconds that logs when it starts and ends."""

    async def work(n: int) -> str:
        if log is not None:
            log.append(("start", n))
        await asyncio.sleep(10)
        if log is not None:
            log.append(("end", n))
        return f"{name}{n}"

    return Tool(name, work, "Takes its time.", **options)


def elapsed(replies, *tools):
    with virtual_time() as clock:
        result, model = converse(replies, tools=tools)
    assert result.unwrap() == "done"
    return clock.elapsed, model


def test_read_only_calls_of_a_turn_overlap():
    """Three reads of 10 s take 10 s."""
    three = [calls(("look", {"n": 1}), ("look", {"n": 2}), ("look", {"n": 3})), "done"]
    assert elapsed(three, slow("look"))[0] == 10


def test_calls_with_side_effects_run_one_at_a_time():
    """Three writes of 10 s take 30 s, each ended before the next begins."""
    log = []
    three = [calls(("send", {"n": 1}), ("send", {"n": 2}), ("send", {"n": 3})), "done"]
    assert elapsed(three, slow("send", log, side_effect=True))[0] == 30
    assert log == [(what, n) for n in (1, 2, 3) for what in ("start", "end")]


def test_two_tools_with_side_effects_do_not_overlap_in_one_turn():
    """Writes of one turn are one at a time even where they are different tools."""
    two = [calls(("send", {"n": 1}), ("post", {"n": 2})), "done"]
    assert elapsed(two, slow("send", side_effect=True), slow("post", side_effect=True))[0] == 20


def test_parallel_lets_side_effects_overlap():
    """`parallel=True` says that overlapping writes are harmless."""
    two = [calls(("send", {"n": 1}), ("send", {"n": 2})), "done"]
    assert elapsed(two, slow("send", side_effect=True, parallel=True))[0] == 10


def test_parallel_false_keeps_reads_apart():
    """`parallel=False` serialises a read-only tool, for services that bear one request at a time."""
    two = [calls(("look", {"n": 1}), ("look", {"n": 2})), "done"]
    assert elapsed(two, slow("look", parallel=False))[0] == 20


@pytest.mark.parametrize(("parallel", "seconds"), [(None, 20), (True, 10)])
def test_one_side_effecting_tool_is_held_across_agents(parallel, seconds):
    """Two agents that call one tool with side effects wait for each other, unless it is `parallel`."""
    shared = slow("send", side_effect=True, parallel=parallel)
    script = [calls(("send", {"n": 1})), "done"]
    agents = [Agent(name, ScriptedModel(script), tools=[shared]) for name in ("a", "b")]
    with virtual_time() as clock:
        result = run_sync(FanOut(agents), "go")
    assert result.unwrap() == {"a": "done", "b": "done"}
    assert clock.elapsed == seconds


def test_results_stand_in_the_order_of_the_calls():
    """Whatever finishes first, and whatever has side effects, the model reads results in the order it asked."""

    async def wait(seconds: int) -> int:
        await asyncio.sleep(seconds)
        return seconds

    tools = [Tool("look", wait), Tool("send", wait, side_effect=True)]
    asked = [("look", {"seconds": 9}), ("send", {"seconds": 5}), ("look", {"seconds": 1})]
    _, model = elapsed([calls(*asked), "done"], *tools)
    assert [r.content for r in results_seen(model)] == ["9", "5", "1"]


def test_synchronous_tools_run_beside_the_loop():
    """A synchronous tool runs in a thread: two that wait for each other both finish."""
    meeting = threading.Barrier(2, timeout=5)

    def meet(n: int) -> int:
        meeting.wait()
        return threading.get_ident() != threading.main_thread().ident

    result, model = converse([calls(("meet", {"n": 1}), ("meet", {"n": 2})), "done"], tools=[meet])
    assert result.unwrap() == "done"
    assert [r.content for r in results_seen(model)] == ["true", "true"]


# ── tools that fail ───────────────────────────────────────────────────────────────────────────────────────


def failing(error):
    def fail() -> str:
        raise error

    return Tool("fail", fail, "Fails.")


def first_error(tool, arguments=None):
    """The error result that the model reads after one call of a tool; the agent then answers."""
    result, model = converse([calls((tool.name, arguments or {})), "done"], tools=[tool], max_output_tokens=50_000)
    assert result.unwrap() == "done", result.error
    (given,) = results_seen(model)
    assert given.is_error
    return given.content


def test_an_unknown_tool_is_answered_with_the_names_there_are():
    """A call of a tool that is not there goes back as an error that names the tools."""
    result, model = converse([calls(("ekko", {})), "done"], tools=[echo])
    (given,) = results_seen(model)
    assert result.unwrap() == "done"
    assert given.is_error
    assert "'ekko'" in given.content
    assert "echo" in given.content


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({}, "text"),
        ({"text": "a", "more": 1}, "more"),
        ({"text": 5}, "text"),
        ('{"text": "a"', "not JSON"),
        ('{"text": "a", "text": "b"}', "twice"),
        ('{"text": NaN}', "NaN"),
        ("[1]", "object"),
        ('{"text": "\\ud800"}', "surrogate"),
        ("[" * 100_000, "nested"),
        ('{"text": ' + "9" * 5000 + "}", "digits"),
    ],
)
def test_wrong_arguments_go_back_with_what_is_wrong(arguments, says):
    """Arguments are validated before the tool is run; the model is told which one is wrong and why."""
    assert says in first_error(Tool("echo", echo), arguments)


@pytest.mark.parametrize(
    "error",
    [ValueError("no such row"), StopIteration("no such row"), LookupError("no such row"), KeyError("no such row")],
    ids=lambda e: type(e).__name__,
)
def test_a_tools_exception_goes_back_to_the_model(error):
    """An exception of a tool is an error result: the run goes on."""
    assert "no such row" in first_error(failing(error)) or isinstance(error, StopIteration)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize("error", [SystemExit("bye"), asyncio.CancelledError("lost")])
def test_a_tool_that_calls_exit_or_is_cancelled_inside_does_not_end_the_run(error, kind):
    """What is no `Exception` goes back too: a tool that calls `sys.exit()` must not throw away a paid run."""

    async def fail_async() -> str:
        raise error

    tool = failing(error) if kind == "sync" else Tool("fail", fail_async, "Fails.")
    assert type(error).__name__ in first_error(tool)


def test_an_interrupt_is_not_a_tools_failure():
    """Ctrl-C in a tool ends the run."""

    async def interrupted() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        converse([calls(("interrupted", {})), "done"], tools=[interrupted])


def test_an_exception_that_cannot_be_printed_is_a_failure_like_any_other():
    """A tool's exception whose text raises still goes back by its type."""

    class Rude(Exception):
        def __str__(self):
            raise RuntimeError("no text for you")

    assert "Rude" in first_error(failing(Rude()))


def test_a_tool_that_hangs_is_given_up_after_its_time_out():
    """After `timeout` seconds the call is an error result that says so."""

    async def hang() -> str:
        await asyncio.sleep(10_000)
        return "late"

    with virtual_time() as clock:
        assert "within 30 s" in first_error(Tool("hang", hang, "Hangs."))
    assert clock.elapsed == 30


def test_a_synchronous_tool_that_hangs_is_left_behind():
    """A thread cannot be stopped, but the run goes on without it."""
    release = threading.Event()

    def hang() -> str:
        release.wait(30)
        return "late"

    try:
        assert "within 0.05 s" in first_error(Tool("hang", hang, "Hangs.", timeout=0.05))
    finally:
        release.set()


def test_a_tools_own_timeout_error_is_its_own():
    """A TimeoutError that the tool raises is passed on with its text."""
    assert "the database sleeps" in first_error(failing(TimeoutError("the database sleeps")))


def test_the_third_failure_in_a_row_ends_the_agent():
    """Three failed calls in a row are a ToolError that names the tool; nothing more is paid for."""
    result, model = converse([calls(("fail", {}))] * 5, tools=[failing(ValueError("down"))])
    assert isinstance(result.error, ToolError)
    assert (result.error.tool, result.stop_reason, len(model.calls)) == ("fail", "error", 3)
    assert "down" in str(result.error)


def test_three_failures_in_one_turn_are_three_in_a_row():
    """Failures count by call, not by turn."""
    result, model = converse([calls(*[("fail", {})] * 3), "done"], tools=[failing(ValueError("down"))])
    assert isinstance(result.error, ToolError)
    assert len(model.calls) == 1


def test_a_success_starts_the_count_again():
    """Two failures, a success and two failures are not three in a row."""
    bad, good = ("fail", {}), ("echo", {"text": "x"})
    result, _ = converse([calls(bad, bad, good, bad, bad), "done"], tools=[echo, failing(ValueError("down"))])
    assert result.unwrap() == "done"


# ── results of any size and kind ──────────────────────────────────────────────────────────────────────────


def result_of(value, **options):
    """What the model reads of a tool that returns `value`."""

    async def give() -> object:
        return value

    result, model = converse([calls(("give", {})), "done"], tools=[Tool("give", give, "Gives.", **options)])
    assert result.unwrap() == "done", result.error
    return results_seen(model)[0]


def test_a_result_of_ten_megabytes_is_shown_by_its_beginning():
    """A result over the limit becomes an artifact: the model reads its beginning, its size and its name."""
    given = result_of("x" * 10_000_000)
    assert not given.is_error
    assert given.content.startswith("xxx")
    assert "10,000,000 characters" in given.content
    assert "artifact" in given.content
    assert len(given.content) < 10_000


def test_the_limit_is_the_tools_own():
    """`max_result_tokens` counts four characters a token."""
    assert result_of("x" * 40, max_result_tokens=10).content == "x" * 40
    assert "41 characters" in result_of("x" * 41, max_result_tokens=10).content


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (None, "null"),
        (["a", 1], '["a",1]'),
        ({"b": 1, "a": 2}, '{"b":1,"a":2}'),
        (float("nan"), "NaN"),
        (Usage(1, 2), '"input_tokens":1'),
        ({1, 2}, "[1,2]"),
    ],
)
def test_results_are_text_or_json_in_field_order(value, text):
    """Text goes as it is, anything else as JSON."""
    assert text in result_of(value).content


def test_half_a_surrogate_pair_in_a_result_is_replaced():
    """What is not text cannot be sent; the model reads a replacement character."""
    assert result_of("a\ud800b").content == "a\ufffdb"


def test_a_result_that_no_json_holds_is_an_error_result():
    """A result in a circle is the tool's failure, not the run's."""
    circle = []
    circle.append(circle)
    assert result_of(circle).is_error


# ── ends that are no success ──────────────────────────────────────────────────────────────────────────────


def test_the_turn_limit_is_a_stop_with_its_reason():
    """An agent that never answers ends as `turn_limit`, after `max_turns` calls."""
    result, model = converse([calls(("echo", {"text": "x"}))] * 9, tools=[echo], max_turns=3)
    assert isinstance(result.error, TurnLimit)
    assert (result.stop_reason, result.error.turns, len(model.calls), result.degraded) == ("turn_limit", 3, 3, True)


def test_a_correction_is_a_turn():
    """Refused outputs count as turns; the last refused value stands as the best so far."""
    result, model = converse(["one", "two", "three"], verify=[lambda text: "no"], max_turns=2, output_retries=5)
    assert (result.stop_reason, len(model.calls), result.output) == ("turn_limit", 2, "two")


def test_a_refusal_is_not_an_answer():
    """A model that declines is an error of its own, not an output."""
    result, _ = converse([Reply("I will not", stop="refusal")])
    assert isinstance(result.error, Refused)
    assert result.output is None
    assert "I will not" in str(result.error)


def test_an_answer_that_was_cut_off_is_not_an_answer():
    """Reaching the output cap is an error that names the cap."""
    result, _ = converse(["x" * 100], max_output_tokens=10)
    assert isinstance(result.error, OutputTruncated)
    assert "10 output tokens" in str(result.error)


def test_a_call_whose_arguments_were_cut_off_is_not_run():
    """A truncated turn runs no tools: half an argument list is not what the model wanted."""
    ran = []
    result, _ = converse(
        [Reply(tool_calls=[("note", {"text": "x" * 50})], stop="length")],
        tools=[Tool("note", lambda text: ran.append(text), input_schema={"type": "object"})],
    )
    assert isinstance(result.error, OutputTruncated)
    assert ran == []


def test_a_paused_turn_goes_on():
    """A provider that pauses a long turn is asked again with what it said so far."""
    result, model = converse([Reply("first ", stop="pause"), "second"])
    assert result.unwrap() == "second"
    assert [m.role for m in model.calls[1].messages] == ["user", "assistant"]


def test_a_budget_stop_in_a_tool_ends_the_agent_and_is_not_read_as_a_failed_tool():
    """A stop below a tool passes through the loop: it is never an error result."""
    inner = Agent("inner", ScriptedModel(["a", "b"]), description="Helps.")
    outer = Agent("outer", ScriptedModel([calls(("inner", {"input": "x"})), "never"]), tools=[inner])
    result = run_sync(outer, "go", budget=Budget(calls=1))
    assert result.stop_reason == "budget"
    assert result.output is None


def test_a_budget_stop_in_a_task_group_of_a_tool_is_a_stop_too():
    """Python wraps what leaves a TaskGroup; a stop inside is still a stop and not the tool's failure."""
    inner = Agent("inner", ScriptedModel(lambda request: "x"), budget=Budget(calls=1))

    @tool
    async def both(ctx: RunContext) -> str:
        """Asks twice at once."""
        async with asyncio.TaskGroup() as group:
            group.create_task(ctx.run(inner, "1", key="1"))
            group.create_task(ctx.run(inner, "2", key="2"))
        return "both"

    outer = Agent("outer", ScriptedModel([calls(("both", {})), "never"]), tools=[both])
    result = run_sync(outer, "go")
    assert (result.stop_reason, result.output) == ("budget", None)
