"""Examples as the files that providers fine-tune from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from outlay.routing.distil.examples import Example, Scalar

Provider: TypeAlias = Literal["openai", "anthropic"]
PROVIDERS: tuple[Provider, ...] = ("openai", "anthropic")


def fine_tuning_lines(examples: Sequence[Example], instructions: str, provider: Provider) -> Iterator[str]:
    """One line of JSON an example.

    `openai`: chat examples, `{"messages": [system, user, assistant]}` (developers.openai.com, supervised
    fine-tuning). `anthropic`: Claude on Amazon Bedrock, `{"system": …, "messages": [user, assistant]}`
    (docs.aws.amazon.com/bedrock, fine-tuning data for single-turn messages).
    """
    for example in examples:
        turns: list[dict[str, Any]] = [
            {"role": "user", "content": example.text},
            {"role": "assistant", "content": said(example.output)},
        ]
        system: dict[str, Any] = {}
        if instructions and provider == "openai":
            turns.insert(0, {"role": "system", "content": instructions})
        elif instructions:
            system = {"system": instructions}
        yield json.dumps({**system, "messages": turns}, ensure_ascii=False)


def said(output: Mapping[str, Scalar]) -> str:
    """An output as a model would say it."""
    value: Any = output[""] if set(output) == {""} else dict(output)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
