"""How much a model can hold: known where a provider or a price list says so, else unknown and not guessed."""

from __future__ import annotations

import pytest

from outlay.models import Anthropic, OpenAI, OpenAIChat
from outlay.models.scripted import Offline
from outlay.protocols.window import window_of
from outlay.testing import ScriptedModel


@pytest.mark.parametrize(
    ("model", "tokens"),
    [
        (Anthropic("claude-haiku-4-5"), 200_000),
        (Anthropic("claude-sonnet-4-6"), 1_000_000),
        (Anthropic("claude-unheard-of"), None),
        (OpenAI("gpt-4o"), 128_000),
        (OpenAI("nobody-knows-it"), None),
        (OpenAIChat("gpt-4o", base_url="https://api.openai.com/v1"), 128_000),
        (OpenAIChat("gpt-4o", base_url="http://127.0.0.1:1/v1"), None),
        (ScriptedModel([]), None),
        (Offline(lambda request: "", Anthropic("claude-haiku-4-5")), 200_000),
    ],
    ids=repr,
)
def test_a_window_is_known_or_unknown(model: object, tokens: int | None) -> None:
    """A server of yours may serve another model under a known name; a stand-in has the window of what it plays."""
    assert window_of(model) == tokens  # type: ignore[arg-type]
