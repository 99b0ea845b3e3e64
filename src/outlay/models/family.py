"""Which family a model is of: a judge of the same family as the judged tends to like what it sees."""

from __future__ import annotations

import re

#: How the names of well-known models begin, wherever they are served.
_FAMILIES = (
    (r"claude", "Claude"),
    (r"gpt|chatgpt|o[1-9](?!\w)|codex", "GPT"),
    (r"gemini|gemma|palm", "Gemini"),
    (r"llama|meta-llama", "Llama"),
    (r"mistral|mixtral|ministral|magistral|codestral|devstral", "Mistral"),
    (r"qwen|qwq", "Qwen"),
    (r"deepseek", "DeepSeek"),
    (r"grok", "Grok"),
    (r"command|aya", "Command"),
    (r"phi(?=[-\d])", "Phi"),
    (r"glm|chatglm", "GLM"),
    (r"kimi|moonshot", "Kimi"),
)
_OF_PROVIDER = {"anthropic": "Claude", "openai": "GPT"}


def family_of(model: str) -> str | None:
    """The family of `anthropic:claude-haiku-4-5` or `openai-chat:meta/llama-3`; None where the name says nothing."""
    provider, _, name = model.lower().rpartition(":")
    last = name.rpartition("/")[2]
    for pattern, family in _FAMILIES:
        if re.match(pattern, last):
            return family
    return _OF_PROVIDER.get(provider)
