"""What the emulated model says: a script, a function, or by default something sensible drawn from the seed.

The default answers the same request with the same words every time. It calls a tool only if `tool_choice`
forces one, satisfies the JSON schema if there is one, and thinks first if the request asks for that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from random import Random
from typing import Any, TypeAlias, cast

from outlay.emulator import json
from outlay.emulator.exchange import EmulatedReply, EmulatedRequest, ToolCall, ToolSpec
from outlay.emulator.faults import Fault
from outlay.emulator.problems import Problem, invalid
from outlay.sim.schema import satisfy

Said: TypeAlias = str | Mapping[str, Any] | EmulatedReply | Fault
"""A text, an object to be said as JSON, a whole reply, or a fault."""

Behaviour: TypeAlias = Callable[[EmulatedRequest], Said | Awaitable[Said]] | Sequence[Said] | str
"""A function (may be async); a script, one entry a request in order of arrival; or one text for every
request.
"""

_OPENINGS = ("In short,", "Briefly:", "As far as the question goes,", "To begin with,", "On balance,")
_SUBJECTS = (
    "the first point",
    "the evidence",
    "the usual approach",
    "the simplest reading",
    "the main risk",
    "the second source",
    "the cheaper option",
    "the remaining detail",
)
_VERBS = (
    "supports",
    "limits",
    "explains",
    "precedes",
    "outweighs",
    "follows from",
    "agrees with",
    "depends on",
)
_OBJECTS = (
    "the stated goal",
    "what was measured",
    "the earlier answer",
    "the given context",
    "the price",
    "the expected result",
    "the time that is left",
    "the request itself",
)


async def say(behaviour: Behaviour | None, request: EmulatedRequest, seed: int) -> EmulatedReply | Fault:
    """The reply to one request.

    Raises:
        Problem: a 400 that says what is wrong with the behaviour: a script that is used up, or an
            exception in the
            function. A 400, because clients would retry a 500 and hide the mistake.
    """
    if isinstance(behaviour, str):
        return EmulatedReply(behaviour)
    if behaviour is not None and not callable(behaviour):
        if request.index >= len(behaviour):
            raise invalid(
                f"emulator: the script has {len(behaviour)} replies and this is request {request.index + 1}; "
                f"its last user text is {request.text[:80]!r}. Add a reply, or give a function as behaviour."
            )
        return _reply(behaviour[request.index])
    try:
        said = default_reply(request, seed) if behaviour is None else behaviour(request)
        return _reply(await said if isawaitable(said) else said)
    except Problem:
        raise
    except Exception as error:
        raise invalid(f"emulator: the behaviour raised {type(error).__name__}: {error}") from error


def default_reply(request: EmulatedRequest, seed: int) -> EmulatedReply:
    """The seeded default, a function of the request's contents alone."""
    random = Random(f"{seed}:{request.model}:{request.system}:{request.text}")  # noqa: S311 - prose, not a secret
    thinking = f"The question is: {request.text[:120]} {_sentence(random)}" if request.thinking else ""
    if (tool := _forced(request)) is not None:
        return EmulatedReply(tool_calls=(ToolCall(tool.name, _arguments(tool, random)),), thinking=thinking)
    if request.schema is not None:
        return EmulatedReply(json.encode_text(satisfy(request.schema, random)), thinking=thinking)
    sentences = [f"{random.choice(_OPENINGS)} {_sentence(random).lower()}"]
    sentences += [_sentence(random) for _ in range(random.randint(1, 4))]
    return EmulatedReply(" ".join(sentences), thinking=thinking)


def _reply(said: object) -> EmulatedReply | Fault:
    if isinstance(said, EmulatedReply | Fault):
        return said
    if isinstance(said, str):
        return EmulatedReply(said)
    if isinstance(said, Mapping):
        return EmulatedReply(json.encode_text(cast("Mapping[str, Any]", said)))
    raise TypeError(f"a reply is a string, a mapping, an EmulatedReply or a Fault, not {type(said).__name__}")


def _forced(request: EmulatedRequest) -> ToolSpec | None:
    """The tool that the request forces; with `required` the first one, as any will do."""
    if request.tool_choice == "required":
        return next(iter(request.tools), None)
    return next((tool for tool in request.tools if tool.name == request.tool_choice), None)


def _arguments(tool: ToolSpec, random: Random) -> Mapping[str, Any]:
    return json.table(satisfy(tool.schema or {"type": "object"}, random))


def _sentence(random: Random) -> str:
    subject, verb, thing = random.choice(_SUBJECTS), random.choice(_VERBS), random.choice(_OBJECTS)
    return f"{subject.capitalize()} {verb} {thing}."
