"""The agent's turn loop: ask the model, run the tools it calls, check its output, feed back what was wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from outlay.agents.content import as_parts, as_text, well_formed
from outlay.agents.signature import call
from outlay.agents.tool import Tool
from outlay.errors import (
    ConfigError,
    InDoubt,
    OutputInvalid,
    OutputTruncated,
    PolicyViolation,
    Refused,
    Stopped,
    StoreFailed,
    ToolError,
    TurnLimit,
)
from outlay.protocols.context import RunContext
from outlay.protocols.effects import ToolEffect
from outlay.values.content import Text, ToolCall, ToolResult
from outlay.values.critique import Feedback
from outlay.values.message import Message
from outlay.values.request import ModelRequest, ModelResponse, Prelude

if TYPE_CHECKING:
    from outlay.agents.agent import Agent

Out = TypeVar("Out")

#: From here on an agent with a `cheaper` model uses it, and optional nodes are skipped.
SHORT_OF_MONEY = 80
FAILURES_IN_A_ROW = 3
_CHARS_PER_TOKEN = 4
_PREVIEW_CHARS = 2_000


async def converse(agent: Agent[Out], ctx: RunContext[Any], input: Any) -> Out:
    """Run an agent on one input. Raises ModelError, ToolError, OutputInvalid, Stopped."""
    prelude = agent.fixed_prelude or agent.prelude_of(await _instructions(agent, ctx))
    prompt = input
    if agent.prompt is not None and not isinstance(input, Feedback):
        prompt = await call(agent.prompt, ctx, input)
    transcript = ctx.transcript.append(Message("user", as_parts(prompt), ctx.label))
    hand = _Hand(agent, ctx)
    refusals = 0
    best: Any = None
    for _ in range(agent.max_turns):
        response = await ctx.call_model(
            _model(agent, ctx),
            _request(agent, ctx, prelude, transcript),
            least_output_tokens=agent.min_output_tokens,
            max_input_tokens=agent.max_input_tokens,
        )
        transcript = transcript.append(response.message)
        ctx.keep(transcript, hand.results)
        _complete(agent, ctx, response)
        if response.message.tool_calls:
            transcript = transcript.append(await hand.run(response.message.tool_calls))
            ctx.keep(transcript, hand.results)
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


def _model(agent: Agent[Any], ctx: RunContext[Any]) -> Any:
    if agent.cheaper is not None and ctx.budget.percent_used >= SHORT_OF_MONEY:
        model = ctx.model(agent.name, agent.cheaper, agent.offline)
        ctx.decide("cheaper_model", model=model.id, percent_used=ctx.budget.percent_used)
        return model
    return ctx.model(agent.name, agent.model, agent.offline)


def _request(agent: Agent[Any], ctx: RunContext[Any], prelude: Prelude, transcript: Any) -> ModelRequest:
    return ModelRequest(
        agent.name, ctx.path, prelude, transcript, agent.max_output_tokens, agent.settings, agent.codec.type
    )


def _complete(agent: Agent[Any], ctx: RunContext[Any], response: ModelResponse) -> None:
    """A refusal and a truncated answer are not success."""
    if response.stop == "refusal":
        raise Refused(
            f"agent {agent.name}: the model declined: {response.message.text[:200] or response.raw_stop}",
            path=ctx.path,
            request_id=response.request_id,
            hint="change the instructions or the input, or route it to a human",
        )
    if response.stop == "length":
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


@dataclass(slots=True)
class _Hand:
    """The tools of one conversation, what they have given, and how many failures in a row."""

    agent: Agent[Any]
    ctx: RunContext[Any]
    results: list[ToolResult] = field(default_factory=list[ToolResult])
    failures: int = 0

    async def run(self, calls: Sequence[ToolCall]) -> Message:
        """The results of one turn's calls, in the order of the calls: read-only ones in parallel, then the others."""
        found: dict[int, ToolResult] = {}
        reading = [i for i, c in enumerate(calls) if (t := self.agent.toolbox.get(c.name)) is None or _may_overlap(t)]
        for i, result in zip(reading, await self.ctx.gather(*(self._one(calls[i]) for i in reading)), strict=True):
            found[i] = result
        for i, tool_call in enumerate(calls):
            if i not in found:
                found[i] = await self._one(tool_call)
        ordered = [found[i] for i in range(len(calls))]
        for result in ordered:
            self._count(result)
        self.results.extend(ordered)
        return Message("tool", tuple(ordered), self.ctx.label)

    def _count(self, result: ToolResult) -> None:
        self.failures = self.failures + 1 if result.is_error else 0
        if self.failures >= FAILURES_IN_A_ROW:
            raise ToolError(
                f"agent {self.agent.name}: tools failed {self.failures} times in a row, last {result.name}: "
                f"{result.content[:300]}",
                tool=result.name,
                path=self.ctx.path,
                hint=f"mend {result.name}, or tell the agent in its instructions when not to call it",
            )

    async def _one(self, tool_call: ToolCall) -> ToolResult:
        tool = self.agent.toolbox.get(tool_call.name)
        if tool is None:
            known = ", ".join(sorted(self.agent.toolbox)) or "none"
            return _error(tool_call, f"there is no tool {tool_call.name!r}; the tools are: {known}")
        try:
            given = tool.parse(tool_call.arguments)
            arguments = tool.validate(given)
        except ValueError as error:
            return _error(tool_call, f"the arguments are wrong: {error}")
        try:
            value = await self.ctx.call_tool(_effect(tool, given, arguments))
            return ToolResult(tool_call.id, tool_call.name, self._fitting(tool, value))
        except (Stopped, ConfigError, PolicyViolation, InDoubt, StoreFailed):
            raise  # the run is at fault or at its end, not the tool
        except (Exception, SystemExit) as error:  # a tool that calls `sys.exit()` must not end a paid run
            return _error(tool_call, _described(error))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return _error(tool_call, _described(error))  # nobody cancelled us: it is the tool's own

    def _fitting(self, tool: Tool, value: Any) -> str:
        text = as_text(value)
        if len(text) <= tool.max_result_tokens * _CHARS_PER_TOKEN:
            return text
        name = self.ctx.artifact(text)
        shown = text[: min(_PREVIEW_CHARS, tool.max_result_tokens * _CHARS_PER_TOKEN)]
        return f"{shown}\n… [{len(text):,} characters in all; this is the beginning, the whole is artifact {name}]"


def _may_overlap(tool: Tool) -> bool:
    return not tool.side_effect if tool.parallel is None else tool.parallel


def _effect(tool: Tool, given: dict[str, Any], arguments: dict[str, Any]) -> ToolEffect:
    return ToolEffect(
        tool.name,
        given,
        lambda ctx: tool.invoke(ctx, arguments),
        in_thread=not tool.is_async,
        version=tool.spec.schema,
        side_effect=tool.side_effect,
        idempotent=not tool.side_effect if tool.idempotent is None else tool.idempotent,
        timeout=tool.timeout,
        parallel=_may_overlap(tool),
        requires_approval=tool.requires_approval,
    )


def _described(error: BaseException) -> str:
    """An exception for the model to read, whatever its text does."""
    try:
        text = str(error)
    except Exception:
        text = "its text cannot be read"
    return well_formed(f"{type(error).__name__}: {text}"[:2_000])


def _error(tool_call: ToolCall, text: str) -> ToolResult:
    return ToolResult(tool_call.id, tool_call.name, text, is_error=True)
