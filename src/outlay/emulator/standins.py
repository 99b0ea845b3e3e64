"""A flow's offline stand-ins behind the emulator: the real HTTP path, and answers that mean something.

    with Emulator(behaviour=stand_ins(triage)) as emulator: …

A request is matched to the agent whose fixed instructions it carries.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from outlay.agents.agent import Agent
from outlay.agents.function import as_node
from outlay.emulator.exchange import EmulatedMessage, EmulatedReply, EmulatedRequest
from outlay.emulator.exchange import ToolCall as EmulatedCall
from outlay.errors import ConfigError
from outlay.models.transport import HttpTransport
from outlay.runtime.directory import Directory, default_prices
from outlay.runtime.preflight import walk
from outlay.values.content import Part, Text, ToolCall, ToolResult
from outlay.values.message import Message
from outlay.values.request import ModelRequest, ModelResponse
from outlay.values.transcript import EMPTY, Transcript


def stand_ins(flow: Any) -> Callable[[EmulatedRequest], Awaitable[EmulatedReply]]:
    """An emulator behaviour that answers as the flow's agents do offline.

    Raises ConfigError where an agent has no stand-in; a request that fits no agent is refused by the emulator
    with what it looked for.
    """
    directory = Directory("offline", default_prices())
    agents = [node for node in walk(as_node(flow)) if isinstance(node, Agent)]
    transport = HttpTransport()  # never opened: a stand-in answers by itself
    models = {agent: directory.model(agent.name, agent.models[0], agent.offline) for agent in agents}

    async def answer(request: EmulatedRequest) -> EmulatedReply:
        agent = _agent_of(request, agents)
        return _emulated(await models[agent].send(_request(agent, request), transport))

    return answer


def _agent_of(request: EmulatedRequest, agents: Sequence[Agent[Any]]) -> Agent[Any]:
    """The agent whose instructions and tools the request carries; the one with the most of them."""
    offered = {tool.name for tool in request.tools}
    fits = [
        agent
        for agent in agents
        if all(part in request.system for part in _fixed(agent)) and agent.toolbox.keys() <= offered
    ]
    if not fits:
        raise ConfigError(f"no agent of the flow has these instructions: {request.system[:120]!r}")
    return max(fits, key=lambda agent: (sum(len(part) for part in _fixed(agent)), len(agent.toolbox)))


def _fixed(agent: Agent[Any]) -> list[str]:
    return [part for part in agent.instruction_parts if isinstance(part, str)]


def _request(agent: Agent[Any], request: EmulatedRequest) -> ModelRequest:
    prelude = agent.fixed_prelude or agent.prelude_of((request.system,))
    cap = request.max_tokens or agent.max_output_tokens
    transcript = _transcript(request.messages)
    return ModelRequest(agent.name, agent.name, prelude, transcript, cap, agent.settings, agent.output_type)


def _transcript(messages: Sequence[EmulatedMessage]) -> Transcript:
    names: dict[str, str] = {}
    found = EMPTY
    for message in messages:
        if message.role == "system":
            continue
        parts: list[Part] = []
        if message.role == "tool":
            parts.append(ToolResult(message.tool_call_id, names.get(message.tool_call_id, ""), message.text))
        else:
            if message.text:
                parts.append(Text(message.text))
            for call in message.tool_calls:
                names[call.id] = call.name
                arguments = call.arguments if isinstance(call.arguments, str) else json.dumps(dict(call.arguments))
                parts.append(ToolCall(call.id, call.name, arguments))
        found = found.append(Message(message.role, tuple(parts)))
    return found


def _emulated(response: ModelResponse) -> EmulatedReply:
    calls = tuple(EmulatedCall(c.name, json.loads(c.arguments), c.id) for c in response.message.tool_calls)
    return EmulatedReply(response.message.text, calls)
