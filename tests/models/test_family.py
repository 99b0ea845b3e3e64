"""Which family a model is of, from its name alone."""

import pytest

from outlay.models.family import family_of


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("anthropic:claude-haiku-4-5", "Claude"),
        ("openai:gpt-5.4-mini", "GPT"),
        ("openai:o3", "GPT"),
        ("openai:something-new", "GPT"),
        ("openai-chat:claude-sonnet-4-6", "Claude"),
        ("openai-chat:mistralai/Mixtral-8x7B-Instruct-v0.1", "Mistral"),
        ("openai-chat:meta-llama/llama-3", "Llama"),
        ("gpt-4-1106-preview", "GPT"),
        ("openai-chat:our-own", None),
        ("openai-chat:o3d-printer", None),
        ("scripted", None),
    ],
)
def test_the_family_stands_in_the_name_wherever_it_is_served(model, family):
    assert family_of(model) == family
