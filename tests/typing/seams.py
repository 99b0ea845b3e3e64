"""The seams that a model may have beside `Model`, and who has them. Never executed: pyright holds names and types.

The runtime finds them by name, because `isinstance` of a protocol takes too long; so nothing else would notice a method
that is called differently.
"""

from outlay.models import Anthropic, OpenAI, OpenAIChat
from outlay.models.scripted import Offline, ScriptedModel
from outlay.protocols.caching import Caching
from outlay.protocols.context_editing import EditsContext
from outlay.protocols.logprobs import SaysLogprobs
from outlay.protocols.model import Model
from outlay.protocols.window import Windowed
from outlay.routing.distil import Student


def models(
    anthropic: Anthropic, openai: OpenAI, chat: OpenAIChat, scripted: ScriptedModel, offline: Offline, student: Student
) -> list[Model]:
    return [anthropic, openai, chat, scripted, offline, student]


def with_a_prompt_cache(anthropic: Anthropic, openai: OpenAI, chat: OpenAIChat) -> list[Caching]:
    return [anthropic, openai, chat]


def with_a_known_window(anthropic: Anthropic, openai: OpenAI, chat: OpenAIChat, offline: Offline) -> list[Windowed]:
    return [anthropic, openai, chat, offline]


def that_clear_old_tool_results(anthropic: Anthropic) -> list[EditsContext]:
    return [anthropic]


def that_say_how_likely_each_token_was(
    openai: OpenAI, chat: OpenAIChat, scripted: ScriptedModel, offline: Offline
) -> list[SaysLogprobs]:
    return [openai, chat, scripted, offline]
