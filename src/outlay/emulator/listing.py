"""The lists of models, as each provider writes them."""

from __future__ import annotations

from collections.abc import Collection

from outlay.emulator.json import Json
from outlay.emulator.models import CLAUDE, GPT, facts
from outlay.emulator.problems import not_found

_RELEASED = "2026-01-01T00:00:00Z"
_RELEASED_AT = 1_767_225_600


def anthropic_models(models: Collection[str]) -> Json:
    """`GET /v1/models` of Anthropic. `models`: those that exist; empty for a selection of known ones."""
    data = [_anthropic(name) for name in _names(models, claude=True)]
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"data": data, "has_more": False, "first_id": first, "last_id": last}


def anthropic_model(name: str, models: Collection[str]) -> Json:
    """One model of Anthropic."""
    if name not in _names(models, claude=True):
        raise not_found(f"model: {name}")
    return _anthropic(name)


def openai_models(models: Collection[str]) -> Json:
    """`GET /v1/models` of OpenAI."""
    return {"object": "list", "data": [_openai(name) for name in _names(models, claude=False)]}


def openai_model(name: str, models: Collection[str]) -> Json:
    """One model of OpenAI."""
    if name not in _names(models, claude=False):
        raise not_found(f"The model '{name}' does not exist", code="model_not_found")
    return _openai(name)


def _names(models: Collection[str], *, claude: bool) -> list[str]:
    return [name for name in sorted(models) or (*CLAUDE, *GPT) if name.startswith("claude") == claude]


def _anthropic(name: str) -> Json:
    known = facts(name)
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": _RELEASED,
        "lifecycle": "active",
        "max_input_tokens": known.context_window,
        "max_tokens": known.max_output,
    }


def _openai(name: str) -> Json:
    return {"id": name, "object": "model", "created": _RELEASED_AT, "owned_by": "system"}
