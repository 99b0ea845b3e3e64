"""Tools: the schema follows from signature and docstring; what cannot be a tool is refused before it is paid for."""

import asyncio
import enum
import functools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from outlay import Agent, RunContext, Tool, node, run_sync, tool
from outlay.errors import ConfigError
from outlay.patterns import FanOut, Pipeline
from outlay.testing import Reply, ScriptedModel


class Filter(BaseModel):
    field: str
    most: int = 5


class Unit(enum.Enum):
    METRE = "m"
    FOOT = "ft"


@dataclass
class Place:
    city: str


def schema_of(function, **options):
    spec = Tool("t", function, **options).spec
    return json.loads(spec.schema)


def ask(tools, name, arguments, **options):
    """Call one tool once through an agent; the result the model read."""
    model = ScriptedModel([Reply(tool_calls=[(name, arguments)]), "done"])
    result = run_sync(Agent("a", model, tools=tools, **options), "go")
    assert result.unwrap() == "done", result.error
    return model.calls[1].messages[-1].tool_results[0]


def search(
    query: str, filters: list[Filter], most: int = 10, unit: Unit = Unit.METRE, near: Place | None = None
) -> str:
    """Passages that match.

    The best come first.

    Args:
        query: What to look for.
        filters (list[Filter]): Each narrows the search.
        most: At most so many
            of them.

    Returns:
        The passages.
    """
    return f"{query}/{[f.most for f in filters]}/{most}/{unit.name}/{near}"


def test_the_schema_follows_from_the_signature():
    """Types, defaults, what is required, and nothing else is allowed."""
    schema = schema_of(search)
    assert schema["type"] == "object"
    assert list(schema["properties"]) == ["query", "filters", "most", "unit", "near"]
    assert schema["required"] == ["query", "filters"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["most"]["default"] == 10
    assert schema["$defs"]["Filter"]["required"] == ["field"]
    assert schema["$defs"]["Unit"]["enum"] == ["m", "ft"]


def test_the_docstring_describes_the_tool_and_its_parameters():
    """The text before the sections is the description; the Args section describes the parameters."""
    spec = tool(search).spec
    properties = json.loads(spec.schema)["properties"]
    assert spec.description == "Passages that match.\n\nThe best come first."
    assert properties["query"]["description"] == "What to look for."
    assert properties["filters"]["description"] == "Each narrows the search."
    assert properties["most"]["description"] == "At most so many of them."
    assert "description" not in properties["unit"]


def test_a_docstring_of_another_style_is_no_harm():
    """NumPy's and Sphinx's sections do not break the description."""

    def f(a: int) -> int:
        """Adds.

        :param a: a number
        """
        return a

    def g(a: int) -> int:
        return a

    assert tool(f).description.startswith("Adds.")
    assert tool(g).description == ""


def test_arguments_arrive_as_the_types_of_the_signature():
    """Models, enums, dataclasses and dates are built; defaults fill what is left out."""
    arguments = {"query": "x", "filters": [{"field": "a"}], "unit": "ft", "near": {"city": "Ulm"}}
    assert ask([search], "search", arguments).content == "x/[5]/10/FOOT/Place(city='Ulm')"


def when(day: date, tags: set[str], weights: dict[date, int], choice: Literal["a", "b"] = "a", note: str | None = None):
    return [day.year, sorted(tags), {k.year: v for k, v in weights.items()}, choice, note]


def test_dates_sets_and_dicts_by_date():
    """Whatever pydantic reads from JSON may be a parameter."""
    given = ask([when], "when", {"day": "2026-01-02", "tags": ["b", "a"], "weights": {"2025-01-01": 1}})
    assert json.loads(given.content) == [2026, ["a", "b"], {"2025": 1}, "a", None]


def test_annotated_constraints_are_in_the_schema_and_hold():
    """`Annotated[int, Field(ge=1)]` bounds the argument."""

    def look(n: Annotated[int, Field(ge=1, description="How many")]) -> int:
        return n

    assert schema_of(look)["properties"]["n"]["minimum"] == 1
    assert schema_of(look)["properties"]["n"]["description"] == "How many"
    given = ask([look], "look", {"n": 0})
    assert given.is_error
    assert "greater than or equal to 1" in given.content


@pytest.mark.parametrize(
    "name", ["schema", "json", "copy", "dict", "model_config", "model_fields", "_hidden", "self_", "class_"]
)
def test_a_parameter_may_have_any_name(name):
    """Names that mean something to pydantic are names like any other."""
    scope = {}
    exec(f"def look({name}: str) -> str:\n    return {name}", scope)
    assert list(schema_of(scope["look"])["properties"]) == [name]
    assert ask([scope["look"]], "look", {name: "x"}).content == "x"


def test_a_mutable_default_is_fresh_each_time():
    """One call's list is not the next one's."""

    def add(item: str, found: list[str] = []) -> list[str]:  # noqa: B006
        found.append(item)
        return found

    assert [ask([add], "add", {"item": x}).content for x in "ab"] == ['["a"]', '["b"]']


def test_a_partial_fixes_what_it_binds():
    """A bound argument is not the model's to fill."""

    def query(table: str, text: str) -> str:
        return f"{table}:{text}"

    by_position, by_name = functools.partial(query, "users"), functools.partial(query, table="users")
    for bound in (Tool("query", by_position), Tool("query", by_name, "Asks.")):
        assert list(json.loads(bound.spec.schema)["properties"]) == ["text"]
    assert ask([Tool("query", by_position)], "query", {"text": "x"}).content == "users:x"


def test_methods_and_callable_objects_are_tools():
    """`self` is in no schema."""

    class Index:
        def look(self, text: str) -> str:
            """Looks."""
            return f"method {text}"

        def __call__(self, text: str) -> str:
            return f"object {text}"

    assert ask([Index().look], "look", {"text": "x"}).content == "method x"
    assert ask([Tool("index", Index())], "index", {"text": "x"}).content == "object x"


def untyped(a):
    return a


def many(*values: int):
    return values


def keywords(**values: int):
    return values


def by_position(a: int, /):
    return a


@pytest.mark.parametrize(
    ("function", "names"),
    [(untyped, "'a' has no type hint"), (many, "values"), (keywords, "values"), (by_position, "a")],
)
def test_a_parameter_that_no_schema_expresses_is_refused_at_once(function, names):
    """No type hint, `*args`, `**kwargs`, positional only: the error names tool and parameter."""
    with pytest.raises(ConfigError, match=function.__name__) as caught:
        tool(function)
    assert names in str(caught.value)


class Connection: ...


@pytest.mark.parametrize("kind", [Connection, Callable[[int], int], list[Callable[..., str]]])
def test_a_type_that_no_schema_expresses_is_refused_when_the_agent_is_made(kind):
    """A parameter of a class of yours, or a function, has no JSON."""

    def look(connection) -> str:
        return ""

    look.__annotations__["connection"] = kind
    with pytest.raises(ConfigError, match="look") as caught:
        Agent("a", ScriptedModel([]), tools=[look])
    assert "input_schema" in caught.value.hint


@pytest.mark.parametrize("name", ["", "two words", "größe", "a.b", "x" * 65, "se\u0430rch", "a\n"])
def test_a_name_that_providers_refuse_is_refused_at_once(name):
    """1 to 64 letters, digits, `_` and `-`; look-alike letters of other alphabets are not letters here."""
    with pytest.raises(ConfigError, match="tool name"):
        Tool(name, search)


def test_a_lambda_needs_a_name():
    """`<lambda>` is no name for a tool."""
    with pytest.raises(ConfigError, match="lambda"):
        tool(lambda: 1)


def test_two_tools_of_one_name_are_refused():
    """Across functions, Tools, nodes and toolsets."""
    helper = Agent("search", ScriptedModel([]))
    with pytest.raises(ConfigError, match="several tools named search"):
        Agent("a", ScriptedModel([]), tools=[search, helper])


@pytest.mark.parametrize("thing", [42, "search", None, search])
def test_tools_are_a_list_of_tools(thing):
    """What is no list, or holds what is no tool, is a ConfigError that says so."""
    with pytest.raises(ConfigError):
        Agent("a", ScriptedModel([]), tools=thing if thing is search else [thing])


@pytest.mark.parametrize(
    "options", [{"timeout": 0}, {"timeout": -1.0}, {"timeout": float("nan")}, {"max_result_tokens": 0}]
)
def test_limits_of_a_tool_must_make_sense(options):
    """A time-out is positive, a result has room."""
    with pytest.raises(ConfigError):
        Tool("t", search, **options)


def test_a_tool_is_still_a_function():
    """Unit tests call it directly."""
    assert tool(search)("x", [], most=1) == "x/[]/1/METRE/None"


def test_a_schema_of_your_own_replaces_the_signatures():
    """For functions whose arguments only a schema describes."""
    given = {"type": "object", "properties": {"q": {"type": "string"}}, "required": ["q"]}

    def anything(**arguments):
        return arguments

    assert json.loads(Tool("t", anything, "Takes all.", given).spec.schema) == given
    assert ask([Tool("t", anything, "", given)], "t", {"q": "x", "more": 1}).content == '{"q":"x","more":1}'
    missing = ask([Tool("t", anything, "", given)], "t", {})
    assert missing.is_error
    assert "q" in missing.content


def test_replace_gives_a_changed_copy():
    """Schema and description follow the change; the original stays."""
    original = tool(search)
    changed = original.replace(name="find", timeout=1.0)
    assert (changed.name, changed.timeout, changed.spec.name) == ("find", 1.0, "find")
    assert (original.name, original.spec.name) == ("search", "search")


# ── nodes and toolsets as tools ───────────────────────────────────────────────────────────────────────────


def test_an_agent_is_a_tool():
    """Its description tells the model what it is for, its bill stands under the caller's path."""
    helper = Agent("helper", ScriptedModel(lambda request: f"helped {request.text}"), description="Knows the law.")
    model = ScriptedModel([Reply(tool_calls=[("helper", {"input": "A"}), ("helper", {"input": "B"})]), "done"])
    result = run_sync(Agent("boss", model, tools=[helper]), "go")
    assert result.unwrap() == "done"
    assert model.calls[0].tools[0].description == "Knows the law."
    assert [r.content for r in model.calls[1].messages[-1].tool_results] == ["helped A", "helped B"]
    assert {line.path for line in result.bill.lines} == {"boss", "boss/helper/helper", "boss/helper#2/helper"}


def test_a_pattern_and_a_function_node_are_tools():
    """Any node may be called; its output is the result."""

    @node
    async def reverse(ctx: RunContext, text: str) -> str:
        """Turns it round."""
        return text[::-1]

    both = Pipeline(reverse, reverse.replace(name="again"), name="both")
    fan = FanOut([reverse], name="fan")
    assert ask([reverse], "reverse", {"input": "abc"}).content == "cba"
    assert ask([both], "both", {"input": "abc"}).content == "abc"
    assert ask([fan], "fan", {"input": "abc"}).content == '{"reverse":"cba"}'
    assert Agent("a", ScriptedModel([]), tools=[reverse]).toolbox["reverse"].description == "Turns it round."


def test_agents_as_tools_work_at_the_same_time():
    """Two helpers of 5 s take 5 s."""
    from outlay.testing import virtual_time

    helper = Agent("helper", ScriptedModel(lambda request: "x", latency=5))
    model = ScriptedModel([Reply(tool_calls=[("helper", {"input": "A"}), ("helper", {"input": "B"})]), "done"])
    with virtual_time() as clock:
        run_sync(Agent("boss", model, tools=[helper]), "go").unwrap()
    assert clock.elapsed == 5


def test_a_failing_helper_is_an_error_result():
    """The caller reads what went wrong and goes on."""
    helper = Agent("helper", ScriptedModel([Reply(stop="refusal", text="no")]))
    given = ask([helper], "helper", {"input": "A"})
    assert given.is_error
    assert "Refused" in given.content


def test_a_helper_called_without_its_input_is_told_so():
    """The one argument of a node is `input`."""
    helper = Agent("helper", ScriptedModel(lambda request: "x"))
    given = ask([helper], "helper", {"task": "A"})
    assert given.is_error
    assert "input" in given.content


def test_a_toolset_is_anything_with_tools():
    """Toolsets nest; their tools stand in order."""

    class Set:
        def __init__(self, *tools):
            self.tools = tools

    def one(a: int) -> int:
        return a

    def two(a: int) -> int:
        return a

    agent = Agent("a", ScriptedModel([]), tools=[Set(one, Set(two)), search])
    assert list(agent.toolbox) == ["one", "two", "search"]


def test_the_third_context_of_a_tool_knows_its_call():
    """A tool's context has the path of the call, a stable idempotency key, and the agent's input."""
    seen = []

    async def note(ctx: RunContext, n: int) -> str:
        seen.append((ctx.path, ctx.idempotency_key, ctx.input, ctx.origin))
        await asyncio.sleep(0)
        return "noted"

    model = ScriptedModel([Reply(tool_calls=[("note", {"n": 1}), ("note", {"n": 1})]), "done"])
    run_sync(Agent("a", model, tools=[note]), "go").unwrap()
    assert [(path, input, origin) for path, _, input, origin in seen] == [
        ("a/note", "go", "go"),
        ("a/note#2", "go", "go"),
    ]
    assert len({key for _, key, _, _ in seen}) == 2
