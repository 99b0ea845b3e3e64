"""The tool calls of a conversation: which run at the same time, and what the model is told of each."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from outlay.agents.content import as_text, well_formed
from outlay.agents.kept_results import result_of
from outlay.agents.previews import preview
from outlay.agents.results import as_read, codec_of, text_of
from outlay.agents.tool import Tool
from outlay.errors import ConfigError, InDoubt, JournalMismatch, PolicyViolation, Stopped, StoreFailed, ToolError
from outlay.protocols.context import RunContext
from outlay.protocols.effects import ToolEffect
from outlay.values.content import ToolCall, ToolResult
from outlay.values.message import Message

FAILURES_IN_A_ROW = 3
#: What a model is told of a call that has happened, somebody says, and whose result was lost.
_UNKNOWN = "it has happened; its result is not known"


@dataclass(slots=True)
class ToolCalls:
    """The tools of one agent in one conversation, what they have given, and how many failures in a row."""

    agent: str
    tools: Mapping[str, Tool]
    ctx: RunContext[Any]
    results: list[ToolResult] = field(default_factory=list[ToolResult])
    failures: int = 0
    #: What a tool with `ends_turn` gave, in a list of one: any value may be an output.
    ended: list[Any] = field(default_factory=list[Any])

    async def run(self, calls: Sequence[ToolCall]) -> Message:
        """The results of one turn's calls, in the order of the calls: read-only ones in parallel, then the others."""
        found: dict[int, ToolResult] = {}
        outputs: dict[int, Any] = {}
        reading = [i for i, c in enumerate(calls) if (t := self.tools.get(c.name)) is None or _may_overlap(t)]
        for i, result in zip(
            reading, await self.ctx.gather(*(self._one(calls[i], i, outputs) for i in reading)), strict=True
        ):
            found[i] = result
        for i, tool_call in enumerate(calls):
            if i not in found:
                found[i] = await self._one(tool_call, i, outputs)
        ordered = [found[i] for i in range(len(calls))]
        for result in ordered:
            self._count(result)
        self.results.extend(ordered)
        self.ended = [outputs[min(outputs)]] if outputs else []
        return Message("tool", tuple(ordered), self.ctx.label)

    def _count(self, result: ToolResult) -> None:
        self.failures = self.failures + 1 if result.is_error else 0
        if self.failures >= FAILURES_IN_A_ROW:
            raise ToolError(
                f"agent {self.agent}: tools failed {self.failures} times in a row, last {result.name}: "
                f"{result.content[:300]}",
                tool=result.name,
                path=self.ctx.path,
                hint=f"mend {result.name}, or tell the agent in its instructions when not to call it",
            )

    async def _one(self, tool_call: ToolCall, i: int, outputs: dict[int, Any]) -> ToolResult:
        tool = self.tools.get(tool_call.name)
        if tool is None:
            known = ", ".join(sorted(self.tools)) or "none"
            return _error(tool_call, f"there is no tool {tool_call.name!r}; the tools are: {known}")
        try:
            given = tool.parse(tool_call.arguments)
            arguments = tool.validate(given)
        except ValueError as error:
            return _error(tool_call, f"the arguments are wrong: {error}")
        try:
            value = await result_of(self.ctx, tool, _effect(tool, given, arguments))
            if tool.ends_turn:
                outputs[i] = value
            text = as_text(value) if tool.ends_turn else value
            return ToolResult(tool_call.id, tool_call.name, await self._fitting(tool, text))
        except (Stopped, ConfigError, PolicyViolation, InDoubt, JournalMismatch, StoreFailed):
            raise  # the run is at fault or at its end, not the tool
        except (Exception, SystemExit) as error:  # a tool that calls `sys.exit()` must not end a paid run
            return _error(tool_call, _described(error))
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return _error(tool_call, _described(error))  # nobody cancelled us: it is the tool's own

    async def _fitting(self, tool: Tool, text: str) -> str:
        reads = "read_artifact" in self.tools
        return await preview(self.ctx, text, tool.max_result_tokens, tool.name, reads=reads)


def _may_overlap(tool: Tool) -> bool:
    return not tool.side_effect if tool.parallel is None else tool.parallel


def _effect(tool: Tool, given: dict[str, Any], arguments: dict[str, Any]) -> ToolEffect:
    # what ends the turn goes on as a value, and is stored as one
    encode, decode = codec_of(tool.function) if tool.ends_turn else (text_of, as_read)
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
        encode=encode,
        decode=decode,
        leaf=tool.leaf,
        unknown=_UNKNOWN,
        servers=tool.servers,
        when_down=tool.instead(arguments),
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
