"""The one context rule: a function whose first parameter is annotated `RunContext` gets the context."""

import functools
import json
from dataclasses import dataclass

import context_rule_late as late
import pytest

import outlay as library
from outlay import Agent, RunContext, Tool, node, run_sync, tool
from outlay import RunContext as Ctx
from outlay.errors import ConfigError
from outlay.patterns import FanOut, Pipeline, Refine
from outlay.testing import Reply, ScriptedModel


@dataclass
class Deps:
    name: str


# Each of these takes a context and a text, and gives `path:text`.


def plain(ctx: RunContext, text: str) -> str:
    return f"{ctx.path}:{text}"


def with_deps(ctx: RunContext[Deps], text: str) -> str:
    assert ctx.deps == Deps("acme")
    return f"{ctx.path}:{text}"


def aliased(ctx: Ctx, text: str) -> str:
    return f"{ctx.path}:{text}"


def aliased_with_deps(c: Ctx[Deps], text: str) -> str:
    return f"{c.path}:{text}"


def dotted(ctx: library.RunContext, text: str) -> str:
    return f"{ctx.path}:{text}"


def quoted(ctx: "RunContext[Deps]", text: str) -> str:
    return f"{ctx.path}:{text}"


async def asynchronous(ctx: RunContext, text: str) -> str:
    return f"{ctx.path}:{text}"


class Service:
    def method(self, ctx: RunContext, text: str) -> str:
        return f"{ctx.path}:{text}"

    def __call__(self, ctx: RunContext, text: str) -> str:
        return f"{ctx.path}:{text}"

    @classmethod
    def of_class(cls, ctx: RunContext, text: str) -> str:
        return f"{ctx.path}:{text}"

    @staticmethod
    def static(ctx: RunContext, text: str) -> str:
        return f"{ctx.path}:{text}"


def prefixed(prefix: str, ctx: RunContext, text: str) -> str:
    assert prefix == "p"
    return f"{ctx.path}:{text}"


def wrapped(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


def suffixed(ctx: RunContext, text: str, suffix: str) -> str:
    return f"{ctx.path}:{text}"


WANTS = {
    "plain": plain,
    "with deps": with_deps,
    "aliased": aliased,
    "aliased with deps": aliased_with_deps,
    "dotted": dotted,
    "quoted": quoted,
    "async": asynchronous,
    "method": Service().method,
    "class method": Service.of_class,
    "static method": Service.static,
    "callable object": Service(),
    "partial": functools.partial(prefixed, "p"),
    "partial by keyword": functools.partial(suffixed, suffix="s"),
    "wrapped": wrapped(plain),
    "late": late.plain,
    "late with deps": late.with_deps,
    "late quoted": late.quoted,
    "late aliased": late.aliased,
    "late aliased with deps": late.aliased_with_deps,
    "late dotted": late.dotted,
    "late dotted alias": late.dotted_alias,
    "late async": late.asynchronous,
    "late method": late.Service().method,
    "late callable object": late.Service(),
    "late aliased callable object": late.AliasedService(),
    "late partial": functools.partial(late.prefixed, "p"),
    "late aliased partial": functools.partial(late.aliased_prefixed, "p"),
    "late wrapped": wrapped(late.aliased),
    "only for type checkers": late.for_type_checkers,
    "late local type": late.local_function(),
}
wants = pytest.mark.parametrize("function", WANTS.values(), ids=WANTS)


def run(node, input="in"):
    result = run_sync(node, input, deps=Deps("acme"))
    assert result.error is None, result.error
    return result.output


@wants
def test_a_tool_gets_the_context_and_the_model_does_not_see_it(function):
    """The context parameter is in no schema."""
    model = ScriptedModel([Reply(tool_calls=[("look", {"text": "x"})]), "done"])
    run(Agent("a", model, tools=[Tool("look", function, "Looks.")]))
    assert model.calls[1].messages[-1].tool_results[0].content == "a/look:x"
    assert list(json.loads(model.calls[0].tools[0].schema)["properties"])[:1] == ["text"]


@wants
def test_a_checker_gets_the_context(function):
    """`verify=` follows the rule."""
    model = ScriptedModel(lambda request: "x")
    result = run_sync(Agent("a", model, verify=[function], output_retries=0), "in", deps=Deps("acme"))
    assert result.error.problem == "a:x"


@wants
def test_a_prompt_gets_the_context(function):
    """`prompt=` follows the rule."""
    assert run(Agent("a", ScriptedModel(lambda request: request.text), prompt=function)) == "a:in"


@wants
def test_a_node_gets_the_context(function):
    """A function where a node may stand, and under `@node`, follows the rule."""
    assert run(Pipeline(node(name="f")(function))) == "pipeline/f:in"


@wants
def test_a_merge_and_a_critic_get_the_context(function):
    """Functions given to patterns follow the rule."""
    merged = FanOut(lambda x: x, merge=node(name="merge")(function))
    assert run(merged, ["a"]) == "fanout/merge:['a']"
    refined = run_sync(Refine(lambda x: "d", function, max_rounds=1), "in", deps=Deps("acme"))
    assert refined.facts["refine"]["feedback"] == "refine:d"


def instructed(instructions):
    return run(Agent("a", ScriptedModel(lambda request: "|".join(request.system)), instructions=instructions))


def hello(ctx: RunContext) -> str:
    return f"I am {ctx.path}"


async def hello_async(ctx: RunContext[Deps]) -> str:
    return f"I am {ctx.path} for {ctx.deps.name}"


def test_instructions_get_the_context_or_nothing():
    """A function of instructions takes the context, or no argument at all."""
    assert instructed(hello) == "I am a"
    assert instructed(hello_async) == "I am a for acme"
    assert instructed(late.instructions) == "I am a"
    assert instructed(lambda: "plain") == "plain"


def test_a_split_gets_the_context():
    """`split=` follows the rule."""

    def split(ctx: RunContext, text: str) -> list[str]:
        return [ctx.path, text]

    assert run(FanOut(lambda x: x, split=split), "in") == ["fanout", "in"]


def test_the_first_parameter_only():
    """A context in second place is an ordinary parameter, and no schema expresses it."""

    def odd(text: str, ctx: RunContext) -> str:
        return text

    with pytest.raises(ConfigError, match="odd"):
        Agent("a", ScriptedModel([]), tools=[odd]).fixed_prelude  # noqa: B018


def test_a_function_without_the_context_gets_none():
    """What asks for no context is called without one."""

    def bare(text: str) -> str:
        return text

    assert run(Pipeline(bare)) == "in"


def test_a_node_of_two_plain_parameters_takes_the_context_first():
    """`@node async def f(ctx, x)`: with two parameters there is no doubt which is the context."""

    @node
    async def f(ctx, x):
        return f"{ctx.path}:{x}"

    assert run(f) == "f:in"


def test_a_second_parameter_with_a_default_is_no_input():
    """`f(input, extra=1)` takes an input."""
    assert run(Pipeline(lambda x, extra=1: f"{x}{extra}")) == "in1"


@pytest.mark.parametrize("function", [lambda: 1, lambda a, b, c: 1, lambda *, a: 1])
def test_a_node_function_of_another_shape_is_refused(function):
    """Before anything runs."""
    with pytest.raises(ConfigError, match="must take"):
        node(function)


def test_a_tool_decorated_under_an_alias_keeps_the_rule():
    """`@tool` with options is the same as without."""

    @tool(timeout=5.0)
    def look(c: Ctx, text: str) -> str:
        """Looks."""
        return f"{c.path}:{text}"

    assert list(json.loads(look.spec.schema)["properties"]) == ["text"]


def test_an_effect_gets_a_context_of_its_own():
    """What the node hands over comes after it; with it comes the key under which a service may know a repetition."""
    keys = []

    def charge(ctx: RunContext, cents: int) -> int:
        keys.append(ctx.idempotency_key)
        return cents + ctx.deps

    async def refund(ctx: RunContext, cents: int) -> int:
        keys.append(ctx.idempotency_key)
        return cents - ctx.deps

    @node
    async def flow(ctx: RunContext, cents: int) -> list[int]:
        return [
            await ctx.effect("charge", charge, cents, side_effect=True),
            await ctx.effect("refund", refund, cents, side_effect=True),
        ]

    assert run_sync(flow, 10, deps=1).unwrap() == [11, 9]
    assert len({*keys, ""}) == 3
