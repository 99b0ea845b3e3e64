"""From what users write (`anthropic:claude-haiku-4-5`) to a model."""

from __future__ import annotations

import difflib
import importlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from outlay.errors import ConfigError
from outlay.protocols.model import Model
from outlay.protocols.transport import Timeouts


@dataclass(frozen=True, slots=True)
class _Provider:
    """Where an adapter lives, and the environment variables it is made from."""

    module: str
    adapter: str
    key: str
    base_url: str


_PROVIDERS: Mapping[str, _Provider] = {
    "anthropic": _Provider("outlay.models.anthropic", "Anthropic", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"),
    "openai": _Provider("outlay.models.openai", "OpenAI", "OPENAI_API_KEY", "OPENAI_BASE_URL"),
    "openai-chat": _Provider("outlay.models.openai_chat", "OpenAIChat", "OPENAI_API_KEY", "OPENAI_BASE_URL"),
}


def resolve(text: str) -> Model:
    """The model that `provider:name` means: the same object each time, as long as its environment stays the same.

    The adapter is imported on first use. Raises ConfigError for a provider that does not exist.
    """
    prefix, name = _parse(text)
    provider = _PROVIDERS[prefix]
    return _make(prefix, name, (os.environ.get(provider.key), os.environ.get(provider.base_url)))


def key_for(text: str) -> str:
    """The environment variable that holds the key which this model needs. Raises ConfigError like `resolve`."""
    return _PROVIDERS[_parse(text)[0]].key


@lru_cache(maxsize=1024)
def _make(prefix: str, name: str, environment: tuple[str | None, ...]) -> Model:
    provider = _PROVIDERS[prefix]
    adapter: Any = getattr(importlib.import_module(provider.module), provider.adapter)
    return adapter(name, timeouts=_timeouts())


@lru_cache(maxsize=1)
def _timeouts() -> Timeouts:
    """Those of `outlay.toml`, read once."""
    from outlay.models.limit_file import find_timeouts

    return find_timeouts()


def _parse(text: str) -> tuple[str, str]:
    prefix, colon, name = text.partition(":")
    if prefix in _PROVIDERS and name.strip() == name and name:
        return prefix, name
    known = ", ".join(f"{prefix}:NAME" for prefix in _PROVIDERS)
    if prefix in _PROVIDERS:
        raise ConfigError(f"{text!r} names a provider and no model", hint=f"write it like {prefix}:NAME")
    if not colon:
        guess = _PROVIDER_OF.get(text.partition("-")[0].lower())
        hint = f"did you mean {guess}:{text}? " if guess else ""
        raise ConfigError(f"{text!r} names no provider", hint=f"{hint}models are written {known}")
    close = difflib.get_close_matches(prefix.lower().replace("_", "-"), _PROVIDERS, n=1)
    hint = f"did you mean {close[0]}:{name}? " if close else ""
    raise ConfigError(f"there is no provider {prefix!r} (in {text!r})", hint=f"{hint}models are written {known}")


#: How the names of well-known models begin, for the hint when the provider was left out.
_PROVIDER_OF: Mapping[str, str] = {
    "claude": "anthropic",
    "gpt": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "chatgpt": "openai",
}
