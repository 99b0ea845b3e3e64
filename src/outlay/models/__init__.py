"""Providers, one file each, over one transport; prices; scripted models.

Adapters are loaded on first use: naming a model costs nothing until it is called.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outlay.models.anthropic import Anthropic
    from outlay.models.openai import OpenAI
    from outlay.models.openai_chat import OpenAIChat
    from outlay.protocols.model import Model

_WHERE = {
    "Anthropic": "outlay.models.anthropic",
    "Model": "outlay.protocols.model",
    "OpenAI": "outlay.models.openai",
    "OpenAIChat": "outlay.models.openai_chat",
}

__all__ = ["Anthropic", "Model", "OpenAI", "OpenAIChat"]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)
