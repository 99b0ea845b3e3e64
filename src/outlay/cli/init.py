"""`outlay init`: a small flow and its input, to start from."""

from __future__ import annotations

from pathlib import Path

import click

from outlay.cli.options import debug_option
from outlay.cli.problems import Problem

FLOW = '''"""Sort questions and answer them: a router, an agent that replies, a human for the rest.

    outlay run flow.py:desk --input "When do you open?"
    outlay map flow.py:desk --input questions.jsonl --output answers.jsonl --budget 0.10

Without a key the `offline=` functions stand in for the models. Set ANTHROPIC_API_KEY to run it live.
"""

from typing import Literal

from pydantic import BaseModel

from outlay import Agent, RunContext, node
from outlay.checkers import length
from outlay.patterns import Router


class Kind(BaseModel):
    label: Literal["question", "complaint"]
    confidence: float


def sort_offline(request) -> Kind:
    angry = any(word in request.text.lower() for word in ("angry", "broken", "late", "refund"))
    return Kind(label="complaint" if angry else "question", confidence=0.9)


def reply_offline(request) -> str:
    return f"An offline stand-in read: {request.text}"


router = Agent(
    "router",
    "anthropic:claude-haiku-4-5",
    instructions="Is this a question or a complaint? Say how sure you are, from 0 to 1.",
    output_type=Kind,
    max_output_tokens=64,
    offline=sort_offline,
)

reply = Agent(
    "reply",
    "anthropic:claude-sonnet-4-6",
    instructions="Answer in at most three sentences.",
    verify=[length(max_words=80)],
    max_output_tokens=300,
    offline=reply_offline,
)


@node
async def to_human(ctx: RunContext, message: str) -> str:
    """What a program should not answer."""
    return f"to a human: {ctx.route.reason}"


desk = Router(router, {"question": reply}, default=to_human, escalate=["complaint"], name="desk")
'''
QUESTIONS = """\
{"id": "q1", "text": "When do you open on Sundays?"}
{"id": "q2", "text": "Do you deliver to the islands?"}
{"id": "q3", "text": "My parcel is late and the lamp in it is broken."}
"""
FILES = {"flow.py": FLOW, "questions.jsonl": QUESTIONS}


@click.command("init")
@debug_option
def command() -> None:
    """Write flow.py and questions.jsonl into this folder. Files that are there stay as they are.

    The flow runs at once, without a key: `outlay run flow.py:desk --input "When do you open?"`.
    """
    there = [name for name in FILES if Path(name).exists()]
    if there:
        raise Problem(
            f"{' and '.join(there)} {'is' if len(there) == 1 else 'are'} here already: nothing was written",
            next="outlay init in another folder, or move what is here",
        )
    for name, text in FILES.items():
        try:
            with Path(name).open("x", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise Problem(f"cannot write {name}: {(error.strerror or str(error)).lower()}", code=1) from None
        click.echo(f"wrote {name}")
    click.echo(
        "\nnext: outlay run flow.py:desk --input 'When do you open?'"
        "\n      outlay map flow.py:desk --input questions.jsonl --output answers.jsonl --budget 0.10",
        err=True,
    )
