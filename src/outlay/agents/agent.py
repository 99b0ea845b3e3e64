"""Agent: a model with instructions, tools, an output type and its checkers, and the turn loop over them:
ask the model, run the tools it calls, check its output, feed back what was wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast
from typing import TypeVar as PlainTypeVar

from typing_extensions import TypeForm, TypeVar

from outlay.agents.cascade import Climb, ModelCascade
from outlay.agents.content import as_parts, well_formed
from outlay.agents.function import FunctionNode
from outlay.agents.hedging import changes_the_world, check_hedge
from outlay.agents.output import OutputCodec, codec_for
from outlay.agents.stored_answers import check_stored_answers, reuse_of
from outlay.agents.tool import Tool, as_tools
from outlay.agents.tool_calls import ToolCalls
from outlay.errors import ConfigError, ContextTooLong, OutputInvalid, OutputTruncated, Refused, TurnLimit
from outlay.protocols.context import RunContext
from outlay.protocols.model import Model
from outlay.protocols.node import Node
from outlay.protocols.signature import call
from outlay.values.caching import CACHE_MODES, CacheMode
from outlay.values.claim import attribute
from outlay.values.content import Text, ToolResult
from outlay.values.critique import Feedback
from outlay.values.message import Message
from outlay.values.request import Lane, ModelRequest, ModelResponse, Prelude
from outlay.values.reuse import Reuse, Similarity
from outlay.values.settings import ModelSettings
from outlay.values.transcript import Transcript

if TYPE_CHECKING:  # most agents have none: who imports `outlay` does not pay for it
    from outlay.agents.compaction import Compaction
    from outlay.agents.compactor import Compactor

Out = TypeVar("Out", covariant=True, default=str)
A = PlainTypeVar("A")

#: From here on an agent with a `cheaper` model uses it, and optional nodes are skipped.
SHORT_OF_MONEY = 80


@dataclass(frozen=True, eq=False)
class Agent(Node[Any, Out]):
    """A model at work: it answers its input, calling tools and correcting itself on the way.

    `instructions` is text, a function, or a list of both; fixed text is sent first, as the prefix that providers
    cache. `prompt` makes the first user message of the input. `max_turns` bounds the model calls of a run,
    `output_retries` how often a refused output is fed back. `max_output_tokens` includes thinking;
    near the end of a budget it may be clipped, down to `min_output_tokens` where that is given.
    `max_input_tokens` refuses a longer input before it is paid for. `cheaper` is the model to go on with once 80 %
    of a money budget is gone. `fallback` are the models to ask, in this order, where one fails or does not answer:
    never for an answer that a check refused, nor where the model declines. `offline` stands in for the model under
    `models="offline"`. `cache`: "auto" lets the provider cache the prompt where that is expected to pay, "5m" and
    "1h" always for that long, "off" never. `cache_answers` gives a stored answer again for so many seconds, to exactly
    the same request at the same place of the flow; `stale_answers` is how old it may be where the model (and every
    `fallback`) fails: the result is degraded then. `cache_scope` (text, or a function of the context) keeps tenants
    apart; `cache_similar` (a `SimilarAnswers` of `outlay.routing.similar`) gives it to questions that are nearly the
    same, too, where it passes `output_type` and `verify` for them. `hedge`: a call without an answer after so many
    seconds is sent a second time, where the budget has room for both, and the first answer counts; only for agents
    whose tools have no side effects. `compaction` shortens a long conversation where that is cheaper than to read it
    again. `lane`: "batch" sends its calls in the provider's batches, at half the price and within a day, "live" never;
    by default they go as the run does.

    Raises ConfigError for what cannot work: a bad name, duplicate tools, an output type no schema expresses.
    """

    name: str
    model: str | Model | ModelCascade
    instructions: Any = field(default="", kw_only=True)
    prompt: Callable[..., Any] | None = field(default=None, kw_only=True)
    output_type: TypeForm[Out] = field(default=cast("TypeForm[Out]", str), kw_only=True)
    tools: Sequence[Any] = field(default=(), kw_only=True)
    verify: Sequence[Callable[..., Any]] = field(default=(), kw_only=True)
    description: str = field(default="", kw_only=True)
    max_turns: int = field(default=8, kw_only=True)
    output_retries: int = field(default=2, kw_only=True)
    max_output_tokens: int = field(default=1024, kw_only=True)
    min_output_tokens: int | None = field(default=None, kw_only=True)
    max_input_tokens: int | None = field(default=None, kw_only=True)
    settings: ModelSettings = field(default_factory=ModelSettings, kw_only=True)
    history: bool = field(default=False, kw_only=True)
    offline: Any = field(default=None, kw_only=True)
    cheaper: str | Model | None = field(default=None, kw_only=True)
    fallback: Sequence[str | Model] = field(default=(), kw_only=True)
    cache: CacheMode = field(default="auto", kw_only=True)
    cache_answers: float | timedelta | None = field(default=None, kw_only=True)
    stale_answers: float | timedelta | None = field(default=None, kw_only=True)
    cache_scope: str | Callable[..., Any] = field(default="", kw_only=True)
    cache_similar: Similarity | None = field(default=None, kw_only=True)
    hedge: float | None = field(default=None, kw_only=True)
    compaction: Compaction | None = field(default=None, kw_only=True)
    lane: Lane = field(default="", kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.name, str) or not self.name.strip():  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError("an agent needs a name", hint='Agent("router", "anthropic:claude-haiku-4-5")')
        for limit, least in (("max_turns", 1), ("output_retries", 0), ("max_output_tokens", 1)):
            value = getattr(self, limit)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ConfigError(f"agent {self.name!r}: {limit} must be at least {least}, not {value!r}")
        for limit in ("min_output_tokens", "max_input_tokens"):
            value = getattr(self, limit)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ConfigError(f"agent {self.name!r}: {limit} must be at least 1 or None, not {value!r}")
        object.__setattr__(self, "tools", as_tools(self.tools))
        several = isinstance(self.fallback, list | tuple)
        object.__setattr__(self, "fallback", tuple(self.fallback) if several else (self.fallback,))
        object.__setattr__(self, "verify", (self.verify,) if callable(self.verify) else tuple(self.verify))
        for use, function in (*(("verify", checker) for checker in self.verify), ("prompt", self.prompt)):
            if function is not None and not callable(function):
                raise ConfigError(f"agent {self.name!r}: {use} takes functions, not {function!r}")
        if not isinstance(self.settings, ModelSettings):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ConfigError(
                f"agent {self.name!r}: settings={self.settings!r} are not ModelSettings",
                hint="write settings=ModelSettings(temperature=0)",
            )
        check_stored_answers(self)
        if self.hedge is not None:
            check_hedge(self.name, self.hedge, cast(tuple[Tool, ...], self.tools), self.model)
        if self.cache not in CACHE_MODES:
            raise ConfigError(
                f"agent {self.name!r}: cache={self.cache!r} is not understood",
                hint=f"use one of {', '.join(map(repr, CACHE_MODES))}",
            )
        if self.compaction is not None:
            from outlay.agents.compaction import checked

            checked(self.name, self.compaction)
        if self.lane not in ("", "live", "batch"):
            raise ConfigError(
                f"agent {self.name!r}: lane={self.lane!r} is not understood",
                hint="use 'live' or 'batch', or leave it out",
            )
        self.instruction_parts  # noqa: B018
        names = [tool.name for tool in self.toolbox.values()]
        if len(names) != len(self.tools):
            twice = sorted({t.name for t in self.tools if [u.name for u in self.tools].count(t.name) > 1})
            raise ConfigError(
                f"agent {self.name!r} has several tools named {', '.join(twice)}", hint="Tool('other_name', f)"
            )
        # a type no schema expresses is refused here, not after the first paid call
        self.codec  # noqa: B018
        for tool in self.toolbox.values():
            tool.spec  # noqa: B018

    @property
    def type(self) -> str:
        return "agent"

    @cached_property
    def models(self) -> tuple[str | Model, ...]:
        """Every model that it may call, the usual one first."""
        usual = self.model.models if isinstance(self.model, ModelCascade) else (self.model,)
        summariser = None if self.compaction is None else self.compaction.model
        return (*usual, *(other for other in (self.cheaper, summariser) if other is not None))

    @property
    def input_type(self) -> Any:
        """What `prompt` takes; without one an agent reads anything."""
        return None if self.prompt is None else FunctionNode(self.prompt).input_type

    @cached_property
    def toolbox(self) -> dict[str, Tool]:
        """The tools by name."""
        return {tool.name: tool for tool in cast(tuple[Tool, ...], self.tools)}

    @cached_property
    def codec(self) -> OutputCodec:
        return codec_for(self.output_type, self.name)

    @cached_property
    def fixed_prelude(self) -> Prelude | None:
        """Instructions, tools and schema where none of it depends on the run; encoded once and shared by all runs."""
        parts = self.instruction_parts
        if any(callable(part) for part in parts):
            return None
        return self.prelude_of(tuple(part for part in parts if part))

    @cached_property
    def instruction_parts(self) -> tuple[Any, ...]:
        """Fixed texts first, then the functions: what changes from run to run must not break the cached prefix."""
        several = isinstance(self.instructions, list | tuple)
        parts = tuple(cast("list[Any]", self.instructions)) if several else (self.instructions,)
        for part in parts:
            if not isinstance(part, str) and not callable(part):
                raise ConfigError(f"agent {self.name!r}: instructions are text or functions, not {part!r}")
        return tuple(sorted(parts, key=callable))

    def prelude_of(self, system: tuple[str, ...]) -> Prelude:
        return Prelude(system, tuple(tool.spec for tool in self.toolbox.values()), self.codec.spec)

    def run(self, ctx: RunContext[Any], input: Any) -> CoroutineType[Any, Any, Out]:
        return _converse(self, ctx, input)


async def _converse(agent: Agent[A], ctx: RunContext[Any], input: Any) -> A:
    """Run an agent on one input. Raises ModelError, ToolError, OutputInvalid, Stopped."""
    prelude = agent.fixed_prelude or agent.prelude_of(await _instructions(agent, ctx))
    toolbox = agent.toolbox
    if ctx.lent_tools:
        toolbox = {**toolbox, **{tool.name: tool for tool in ctx.lent_tools}}
        prelude = Prelude(prelude.system, tuple(tool.spec for tool in toolbox.values()), prelude.output)
    prompt = input
    if agent.prompt is not None and not isinstance(input, Feedback):
        prompt = await call(agent.prompt, ctx, input)
    question = Message("user", as_parts(prompt), ctx.label)  # labelled by the input alone, not by what was said before
    before = ctx.transcript
    transcript = before.append(question)
    earlier = _tool_results(before)
    reuse = await reuse_of(agent, ctx)
    calls = ToolCalls(agent.name, toolbox, ctx, earlier)
    refusals = 0
    refused = False
    best: Any = None
    climb = _climb(agent, ctx, toolbox)
    compactor = _compactor(agent, ctx, question)
    # a conversation that is part of a longer one is likely to go on after this run's last turn
    after = agent.max_turns if agent.history or before.length else 0
    for turn in range(1, agent.max_turns + 1):
        request = whole = _request(agent, ctx, prelude, transcript, agent.max_turns - turn + after, reuse)
        if compactor is not None:
            request = await compactor.shortened(whole)
        try:
            response = await _answer(agent, ctx, request, toolbox, climb, correcting=refused)
        except ContextTooLong:
            if compactor is None:
                raise
            before, request = request, await compactor.shortened(whole, refused=True)
            if (request.transcript, request.edit) == (before.transcript, before.edit):
                raise
            response = await _answer(agent, ctx, request, toolbox, climb, correcting=refused)
        refused = False
        transcript = transcript.append(response.message)
        if compactor is not None:
            compactor.answered(request, response)
        ctx.keep(transcript if compactor is None else compactor.kept(transcript), calls.results)
        _complete(agent, ctx, response)
        if response.message.tool_calls:
            transcript = transcript.append(await calls.run(response.message.tool_calls))
            ctx.keep(transcript if compactor is None else compactor.kept(transcript), calls.results)
            if calls.ended:
                return calls.ended[0]
            continue
        if response.stop == "pause":
            continue
        text = response.message.text
        value, problem = await _checked(agent, ctx, text)
        if problem is None:
            return value
        best = value if value is not None else best
        ctx.retract(problem)
        if refusals >= agent.output_retries:
            raise OutputInvalid(
                f"agent {agent.name}: the output is still wrong after {refusals} corrections: {problem}",
                output=text,
                problem=problem,
                path=ctx.path,
                hint="loosen the check, raise output_retries, or use a stronger model",
            )
        refusals += 1
        refused = True
        transcript = transcript.append(
            Message(
                "user", (Text(f"Your answer cannot be used: {problem}\nGive the corrected answer only."),), ctx.label
            )
        )
    raise TurnLimit(
        f"agent {agent.name} used all its {agent.max_turns} turns without a final answer",
        turns=agent.max_turns,
        best=best,
        path=ctx.path,
        hint=f"raise max_turns, or give {agent.name} a narrower task",
    )


def _tool_results(before: Transcript) -> list[ToolResult]:
    """What tools gave earlier in the conversation; most have none, which is not looked for anew at every turn."""
    if not before.total("tool results", lambda message: len(message.tool_results)):
        return []
    return [result for message in before.messages for result in message.tool_results]


async def _instructions(agent: Agent[Any], ctx: RunContext[Any]) -> tuple[str, ...]:
    texts: list[str] = []
    for part in agent.instruction_parts:
        text: Any = part if isinstance(part, str) else await call(part, ctx)
        if not isinstance(text, str):
            raise ConfigError(
                f"agent {agent.name}: the instructions function {name_of(part)} gave {type(text).__name__}, not text",
                path=ctx.path,
                hint='return "" where there is nothing to say',
            )
        texts.append(well_formed(text))
    return tuple(text for text in texts if text)


async def _answer(
    agent: Agent[Any],
    ctx: RunContext[Any],
    request: ModelRequest,
    toolbox: Mapping[str, Tool],
    climb: Climb | None,
    *,
    correcting: bool,
) -> ModelResponse:
    if climb is not None and not _short_of_money(agent, ctx):
        return await climb.answer(request, correcting=correcting)
    return await ctx.call_model(
        _model(agent, ctx),
        request,
        least_output_tokens=agent.min_output_tokens,
        max_input_tokens=agent.max_input_tokens,
        fallback=_fallback(agent, ctx),
        hedge=None if agent.hedge is None or changes_the_world(toolbox.values()) else agent.hedge,
    )


def _model(agent: Agent[Any], ctx: RunContext[Any]) -> Any:
    if agent.cheaper is not None and _short_of_money(agent, ctx):
        model = ctx.model(agent.name, agent.cheaper, agent.offline)
        ctx.decide("cheaper_model", model=model.id, percent_used=ctx.budget.percent_used)
        return model
    return ctx.model(agent.name, agent.models[0], agent.offline)


def _short_of_money(agent: Agent[Any], ctx: RunContext[Any]) -> bool:
    return agent.cheaper is not None and ctx.budget.percent_used >= SHORT_OF_MONEY


def _climb(agent: Agent[Any], ctx: RunContext[Any], toolbox: Mapping[str, Tool]) -> Climb | None:
    """The turns of this conversation, where the agent's model is a cascade."""
    if not isinstance(agent.model, ModelCascade):
        return None
    return Climb(
        agent.model,
        ctx,
        lambda model: ctx.model(agent.name, model, agent.offline),
        lambda response: _read(agent, toolbox, response),
        agent.min_output_tokens,
        agent.max_input_tokens,
        _fallback(agent, ctx),
    )


def _compactor(agent: Agent[Any], ctx: RunContext[Any], question: Message) -> Compactor | None:
    compaction = agent.compaction
    if compaction is None:
        return None
    from outlay.agents.compactor import Compactor

    model = ctx.model(agent.name, agent.models[0], agent.offline)
    summariser = ctx.model(agent.name, compaction.model or agent.models[0], compaction.offline)
    open_ended = agent.history or ctx.transcript.length > 0
    return Compactor(compaction, ctx, model, summariser, question, agent.max_input_tokens, open_ended)


def _read(agent: Agent[Any], toolbox: Mapping[str, Tool], response: ModelResponse) -> tuple[Any, str | None]:
    """What an answer says, and what no gate need be asked about: it can be used, or it cannot."""
    message = response.message
    if response.stop in ("refusal", "length"):
        return None, "the model declined" if response.stop == "refusal" else "the answer was cut off"
    try:
        for one in message.tool_calls:
            if one.name not in toolbox:
                return None, f"there is no tool {one.name!r}"
            tool = toolbox[one.name]
            tool.validate(tool.parse(one.arguments))
        done = not message.tool_calls and response.stop != "pause"
        return (agent.codec.decode(message.text) if done else None), None
    except ValueError as error:
        return None, str(error)


def _fallback(agent: Agent[Any], ctx: RunContext[Any]) -> tuple[Model, ...]:
    if not agent.fallback:
        return ()
    return tuple(ctx.model(agent.name, choice, agent.offline, spare=True) for choice in agent.fallback)


def _request(
    agent: Agent[Any],
    ctx: RunContext[Any],
    prelude: Prelude,
    transcript: Transcript,
    turns_left: int,
    reuse: Reuse | None,
) -> ModelRequest:
    return ModelRequest(
        agent.name,
        ctx.path,
        prelude,
        transcript,
        agent.max_output_tokens,
        agent.settings,
        agent.codec.type,
        turns_left=turns_left,
        cache=agent.cache,
        reuse=reuse,
        lane=agent.lane,
    )


def _complete(agent: Agent[Any], ctx: RunContext[Any], response: ModelResponse) -> None:
    """A refusal and a truncated answer are not success, and what was shown of them does not count."""
    if response.stop == "refusal":
        ctx.retract("the model declined")
        raise Refused(
            f"agent {agent.name}: the model declined: {response.message.text[:200] or response.raw_stop}",
            path=ctx.path,
            request_id=response.request_id,
            hint="change the instructions or the input, or route it to a human",
        )
    if response.stop == "length":
        ctx.retract("the answer was cut off")
        raise OutputTruncated(
            f"agent {agent.name}: the answer was cut off at {agent.max_output_tokens} output tokens",
            path=ctx.path,
            request_id=response.request_id,
            hint=f"raise max_output_tokens of {agent.name} (thinking counts too)",
        )


async def _checked(agent: Agent[Any], ctx: RunContext[Any], text: str) -> tuple[Any, str | None]:
    """The decoded output and what is wrong with it, None if nothing is."""
    try:
        value = agent.codec.decode(text)
    except ValueError as error:
        ctx.checked(("type",), str(error))
        return None, str(error)
    if agent.codec.spec is not None:
        asked = ctx.origin if isinstance(ctx.input, Feedback) else ctx.input
        attribute(value, ctx.path, (asked, *(output for _, output in ctx.finished)))
    for checker in agent.verify:
        problem = await ctx.check(checker, value)
        if problem is not None:
            ctx.checked((name_of(checker),), problem)
            return value, problem
    if agent.verify:
        ctx.checked(tuple(name_of(checker) for checker in agent.verify))
    return value, None


def name_of(checker: Any) -> str:
    """A checker's name in events and receipts."""
    return str(getattr(checker, "name", "") or getattr(checker, "__name__", "") or type(checker).__name__)
