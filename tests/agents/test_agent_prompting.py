"""What the model reads first: instructions, the first user message, and the conversation it goes on with."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, dataclass
from decimal import Decimal
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from outlay import Agent, Budget, File, Image, ModelSettings, RunContext, run_sync
from outlay.errors import ConfigError
from outlay.patterns import Pipeline
from outlay.testing import Reply, ScriptedModel
from outlay.values.content import Text

PNG = Image(b"\x89PNG....")
PDF = File(b"%PDF", name="a.pdf")


@dataclass
class Ticket:
    subject: str
    id: int
    urgent: bool = False


class Order(BaseModel):
    zulu: int
    alpha: str


def request_of(input="go", **options):
    """The request that an agent's model gets."""
    model = ScriptedModel(lambda request: "ok")
    result = run_sync(Agent("a", model, **options), input)
    assert result.error is None, result.error
    return model.calls[0]


# ── instructions ──────────────────────────────────────────────────────────────────────────────────────────


def test_instructions_are_text_a_function_or_a_list_of_both():
    """Each part is one text; an empty one is left out."""
    assert request_of(instructions="Be brief.").system == ("Be brief.",)
    assert request_of(instructions=lambda: "Be brief.").system == ("Be brief.",)
    assert request_of(instructions=["A", lambda: "B", "", lambda: ""]).system == ("A", "B")
    assert request_of().system == ()


def test_fixed_text_is_sent_first():
    """What changes from run to run stands behind what does not, so that the cached prefix holds."""

    async def today(ctx: RunContext) -> str:
        return f"day {ctx.now():.0f}"

    system = request_of(instructions=[today, "Fixed one.", lambda: "per run", "Fixed two."]).system
    assert system[:2] == ("Fixed one.", "Fixed two.")
    assert system[2].startswith("day ")
    assert system[3] == "per run"


def test_fixed_instructions_are_encoded_once_for_all_runs():
    """Two runs of one agent send the very same prelude."""
    model = ScriptedModel(lambda request: "ok")
    agent = Agent("a", model, instructions="Fixed.")
    run_sync(agent, "1")
    run_sync(agent, "2")
    assert model.calls[0].prelude is model.calls[1].prelude


@pytest.mark.parametrize("wrong", [42, ["a", 42], None])
def test_instructions_of_another_kind_are_refused_when_the_agent_is_made(wrong):
    """Text or functions."""
    with pytest.raises(ConfigError, match="instructions"):
        Agent("a", ScriptedModel([]), instructions=wrong)


def test_a_function_of_instructions_gives_text():
    """Anything else is an error that names the agent, before the call is paid for."""
    model = ScriptedModel(["never"])
    with pytest.raises(ConfigError, match="instructions"):
        run_sync(Agent("a", model, instructions=lambda: 42), "go")
    assert model.calls == []


# ── inputs and prompts ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("input", "parts"),
    [
        ("as it is\n", (Text("as it is\n"),)),
        ("", (Text(""),)),
        (PNG, (PNG,)),
        (PDF, (PDF,)),
        (["Look:", PNG, PDF], (Text("Look:"), PNG, PDF)),
        (("a", PNG), (Text("a"), PNG)),
        ([PNG, Ticket("s", 1)], (PNG, Text('{"subject":"s","id":1,"urgent":false}'))),
        (["a", "b"], (Text('["a","b"]'),)),
        (Ticket("s", 1), (Text('{"subject":"s","id":1,"urgent":false}'),)),
        (Order(zulu=1, alpha="a"), (Text('{"zulu":1,"alpha":"a"}'),)),
        ({"b": 1, "a": [Decimal("1.50")]}, (Text('{"b":1,"a":["1.50"]}'),)),
        (7, (Text("7"),)),
        (None, (Text("null"),)),
        ("half \ud800", (Text("half \ufffd"),)),
        ({"half": "\ud800"}, (Text('{"half":"\\ud800"}'),)),
        (b"text", (Text('"text"'),)),
    ],
    ids=lambda p: repr(p)[:30],
)
def test_the_first_user_message_is_the_input(input, parts):
    """Text as it is, pictures and files as content, anything else as JSON in field order."""
    (message,) = request_of(input).messages
    assert (message.role, message.parts) == ("user", parts)


@given(st.text())
def test_text_reaches_the_model_unchanged(text):
    """No character of a well-formed input is touched."""
    assert request_of(text).text == text


def test_a_prompt_makes_the_first_user_message():
    """`prompt=` takes the input, and gives text, content or a list."""
    assert request_of(Ticket("s", 1), prompt=lambda t: f"Subject: {t.subject}").text == "Subject: s"
    assert request_of("x", prompt=lambda t: [t, PNG]).messages[0].parts == (Text("x"), PNG)

    async def slow(ctx: RunContext, text: str) -> str:
        return f"{ctx.path}: {text}"

    assert request_of("x", prompt=slow).text == "a: x"


# ── conversations ─────────────────────────────────────────────────────────────────────────────────────────


def test_history_goes_on_with_a_conversation():
    """`history=result.transcript` puts the new input behind what was said."""
    model = ScriptedModel(["Hello Ada.", "You are Ada."])
    agent = Agent("a", model)
    first = run_sync(agent, "I am Ada.")
    second = run_sync(agent, "Who am I?", history=first.transcript)
    assert [m.text for m in model.calls[1].messages] == ["I am Ada.", "Hello Ada.", "Who am I?"]
    assert [m.text for m in second.transcript] == ["I am Ada.", "Hello Ada.", "Who am I?", "You are Ada."]
    assert len(first.transcript) == 2


def test_inside_a_pattern_only_agents_with_history_go_on():
    """The root agent does, and those that say `history=True`."""
    talk = run_sync(Agent("a", ScriptedModel(["Hello."])), "Hi").transcript
    without = Agent("first", ScriptedModel(lambda request: str(len(request.messages))))
    with_it = Agent("second", ScriptedModel(lambda request: str(len(request.messages))), history=True)
    result = run_sync(Pipeline(without, with_it), "go", history=talk)
    assert result.partial[-1].output == "3"
    assert without.model.calls[0].messages[0].text == "go"


def test_tool_calls_are_part_of_the_conversation():
    """A transcript that goes on holds calls and results too."""

    def look(text: str) -> str:
        return text

    model = ScriptedModel([Reply(tool_calls=[("look", {"text": "x"})]), "found", "again"])
    agent = Agent("a", model, tools=[look])
    first = run_sync(agent, "go")
    run_sync(agent, "more", history=first.transcript)
    assert [m.role for m in model.calls[2].messages] == ["user", "assistant", "tool", "assistant", "user"]


# ── offline stand-ins ─────────────────────────────────────────────────────────────────────────────────────


class Verdict(BaseModel):
    label: Literal["good", "bad"]


async def answering(request):
    return f"async {request.text}"


@pytest.mark.parametrize(
    ("offline", "output_type", "output"),
    [
        (lambda request: f"text {request.text}", str, "text go"),
        (answering, str, "async go"),
        (lambda request: Reply("a reply"), str, "a reply"),
        (lambda request: Verdict(label="good"), Verdict, Verdict(label="good")),
        (lambda request: "bad", Literal["good", "bad"], "bad"),
        (lambda request: [1, 2], list[int], [1, 2]),
        (ScriptedModel(["a model"]), str, "a model"),
    ],
    ids=["function", "async function", "reply", "value", "literal", "list", "model"],
)
def test_a_stand_in_answers_under_offline(offline, output_type, output):
    """Text, a Reply, a value of the output type, or a model of its own; billed at the price of the real one."""
    agent = Agent("a", "anthropic:claude-haiku-4-5", output_type=output_type, offline=offline)
    result = run_sync(agent, "go", models="offline")
    assert result.unwrap() == output
    assert [line.model for line in result.bill.lines] == ["anthropic:claude-haiku-4-5"]
    assert result.bill.total > 0


def test_an_agent_without_a_stand_in_is_named_before_anything_runs():
    """The one that can run costs nothing either."""
    ran = []
    first = Agent("first", "anthropic:claude-haiku-4-5", offline=lambda request: ran.append(1) or "x")
    second = Agent("second", "anthropic:claude-haiku-4-5")
    with pytest.raises(ConfigError, match="'second' has no offline stand-in"):
        run_sync(Pipeline(first, second), "go", models="offline")
    assert ran == []


def test_models_are_replaced_by_agent_then_model_then_star():
    """The most specific name counts."""
    agents = [
        Agent(name, model)
        for name, model in (
            ("a", "anthropic:claude-haiku-4-5"),
            ("b", "anthropic:claude-haiku-4-5"),
            ("c", "openai:gpt-5.4"),
        )
    ]
    say = {name: ScriptedModel(lambda request, name=name: name) for name in ("by agent", "by model", "by star")}
    models = {"a": say["by agent"], "anthropic:claude-haiku-4-5": say["by model"], "*": say["by star"]}
    assert [run_sync(agent, "go", models=models).output for agent in agents] == ["by agent", "by model", "by star"]


# ── agents are values ─────────────────────────────────────────────────────────────────────────────────────


def test_an_agent_cannot_be_changed():
    """Nodes are frozen; sequences become tuples."""
    agent = Agent("a", ScriptedModel([]), tools=[], verify=[len], settings=ModelSettings(stop=["x"]))
    with pytest.raises(FrozenInstanceError):
        agent.name = "b"
    assert (agent.tools, agent.verify, agent.settings.stop) == ((), (len,), ("x",))


def test_agents_compare_by_identity():
    """Two equal definitions are two agents."""
    model = ScriptedModel([])
    one, two = Agent("a", model), Agent("a", model)
    assert one == one
    assert one != two
    assert len({one, two}) == 2


def test_one_stop_text_needs_no_list():
    """A text is one stop, not one for each of its letters."""
    assert ModelSettings(stop="END").stop == ("END",)


def test_replace_gives_a_changed_copy_and_leaves_the_original():
    """What follows from a changed field follows in the copy."""

    def look(text: str) -> str:
        return text

    original = Agent("a", ScriptedModel(lambda request: '"x"'), instructions="One.", tools=[look])
    original.fixed_prelude  # noqa: B018
    changed = original.replace(name="b", instructions="Two.", tools=[], output_type=list[str], budget=Budget(calls=1))
    assert (changed.name, changed.fixed_prelude.system, changed.tools) == ("b", ("Two.",), ())
    assert changed.codec.spec is not None
    assert (original.name, original.fixed_prelude.system, len(original.tools)) == ("a", ("One.",), 1)
    assert original.budget is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": " "},
        {"name": None},
        {"max_turns": 0},
        {"max_turns": 1.5},
        {"max_turns": True},
        {"output_retries": -1},
        {"max_output_tokens": 0},
        {"min_output_tokens": 0},
        {"max_input_tokens": -1},
        {"max_input_tokens": "300"},
        {"verify": [42]},
        {"prompt": "text"},
        {"budget": 0.5},
        {"settings": {"temperature": 0}},
    ],
    ids=str,
)
def test_what_cannot_work_is_refused_when_the_agent_is_made(wrong):
    """A ConfigError, before anything is spent."""
    with pytest.raises(ConfigError):
        Agent(**({"name": "a", "model": ScriptedModel([])} | wrong))


def test_a_bad_budget_of_a_pattern_is_refused_too():
    """`budget=` takes Budgets on every node."""
    with pytest.raises(ConfigError, match="Budget"):
        Pipeline(lambda x: x, budget=0.5)


def test_an_agent_is_not_run_directly():
    """`agent.run` outside the runtime names the right call."""
    agent = Agent("a", ScriptedModel([]))
    with pytest.raises(ConfigError, match=r"await ctx\.run\(a, input\)"):
        agent.run(None, "go")


def test_one_agent_serves_many_threads():
    """The same agent, run from eight threads with a loop each, mixes nothing up."""
    meeting = threading.Barrier(8, timeout=10)

    def look(text: str) -> str:
        return text

    def answer(request):
        last = request.messages[-1]
        return (
            last.tool_results[0].content if last.tool_results else Reply(tool_calls=[("look", {"text": request.text})])
        )

    agent = Agent("a", ScriptedModel(answer), tools=[look], instructions="Fixed.")

    def work(n):
        meeting.wait()
        return [run_sync(agent, f"{n}-{i}").unwrap() for i in range(20)]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    assert found == [[f"{n}-{i}" for i in range(20)] for n in range(8)]
