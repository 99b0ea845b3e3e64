"""Models by name."""

import sys
import types

import pytest

from outlay.errors import ConfigError
from outlay.models.naming import key_for, resolve


@pytest.fixture
def adapters(monkeypatch):
    """Stand-ins for the adapter modules."""
    for module, name in [("anthropic", "Anthropic"), ("openai", "OpenAI"), ("openai_chat", "OpenAIChat")]:
        fake = types.ModuleType(f"outlay.models.{module}")
        setattr(fake, name, type(name, (), {"__init__": lambda self, name, **_: setattr(self, "name", name)}))
        monkeypatch.setitem(sys.modules, fake.__name__, fake)
    # A name used by no other test: resolved models are kept.
    return "model-of-test-naming"


@pytest.mark.parametrize(
    ("prefix", "adapter"), [("anthropic", "Anthropic"), ("openai", "OpenAI"), ("openai-chat", "OpenAIChat")]
)
def test_the_prefix_chooses_the_adapter(adapters, prefix, adapter):
    model = resolve(f"{prefix}:{adapters}")
    assert type(model).__name__ == adapter
    assert model.name == adapters


def test_the_rest_is_the_name_even_with_colons(adapters):
    assert resolve("openai-chat:llama3:8b-naming").name == "llama3:8b-naming"


def test_the_same_name_is_the_same_model(adapters):
    assert resolve(f"openai:{adapters}") is resolve(f"openai:{adapters}")


def test_another_base_url_is_another_model(adapters, monkeypatch):
    before = resolve(f"openai:{adapters}")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
    assert resolve(f"openai:{adapters}") is not before


@pytest.mark.parametrize(
    ("text", "key"),
    [("anthropic:x", "ANTHROPIC_API_KEY"), ("openai:x", "OPENAI_API_KEY"), ("openai-chat:x", "OPENAI_API_KEY")],
)
def test_the_key_follows_from_the_provider(text, key):
    assert key_for(text) == key


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("antropic:claude-haiku-4-5", "did you mean anthropic:claude-haiku-4-5?"),
        ("OpenAI:gpt-5.4", "did you mean openai:gpt-5.4?"),
        ("openai_chat:x", "did you mean openai-chat:x?"),
        ("claude-haiku-4-5", "did you mean anthropic:claude-haiku-4-5?"),
        ("gpt-5.4", "did you mean openai:gpt-5.4?"),
        ("llama", "anthropic:NAME, openai:NAME, openai-chat:NAME"),
        ("bedrock:x", "anthropic:NAME, openai:NAME, openai-chat:NAME"),
        ("openai:", "write it like openai:NAME"),
        ("openai: gpt", "write it like openai:NAME"),
        ("", "names no provider"),
    ],
)
@pytest.mark.parametrize("function", [resolve, key_for])
def test_what_names_no_model_is_an_error_that_says_what_does(function, text, said):
    with pytest.raises(ConfigError) as caught:
        function(text)
    assert said in str(caught.value)
