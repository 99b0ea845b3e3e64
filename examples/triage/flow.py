"""Triage of a bank's customer messages: router → knowledge agent → reply agent, or a human with the reason.

    outlay map examples/triage/flow.py:triage --input examples/triage/messages.jsonl --output answers.jsonl

A human gets what is urgent, what the router is less than 70 % sure of, and what an agent failed at. A known
question that the router is sure of is answered from its article without the knowledge agent. Without a key
the agents' offline stand-ins run (triage_standins.py): simple programs, named as such in every reply.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

from triage_checks import citation_fault, cited, passage_fault
from triage_knowledge import library
from triage_known import MIN_CONFIDENCE, known_question
from triage_prompts import KNOWLEDGE, NO_ANSWER, REPLY, ROUTER, brief_prompt, quote
from triage_standins import look_up, route, write
from triage_types import Answer, Brief, Findings, Intent, Why

from outlay import Agent, RunContext, node, tool
from outlay.checkers import length
from outlay.patterns import Pipeline, Router

THRESHOLD = 0.7
MAX_WORDS = 200


class Models(NamedTuple):
    """The two sizes of model that the flow needs."""

    small: str
    """Sorts and searches."""
    large: str
    """Writes to the customer."""


ANTHROPIC = Models(small="anthropic:claude-haiku-4-5", large="anthropic:claude-sonnet-4-6")
OPENAI = Models(small="openai:gpt-5.4-mini", large="openai:gpt-5.4")


def choose_models(environment: Mapping[str, str]) -> Models:
    """Anthropic's, unless the only key that is set is OpenAI's."""
    only_openai = environment.get("OPENAI_API_KEY") and not environment.get("ANTHROPIC_API_KEY")
    return OPENAI if only_openai else ANTHROPIC


MODELS = choose_models(os.environ)


class NothingFound(Exception):
    """No article answers the message."""


@tool
def search_docs(query: str) -> list[dict[str, str]]:
    """Passages of the bank's help articles that match a few words, best first, each with its source and
    text."""
    return [passage.model_dump() for passage in library().search(query, limit=4)]


def copied_from_articles(findings: Findings) -> str | None:
    """Every passage that the knowledge agent hands on is really in our articles."""
    return passage_fault(findings.passages, library())


def cites_what_was_found(ctx: RunContext, text: str) -> str | None:
    """A reply cites passages of its brief and nothing else; a refusal to answer cites nothing."""
    if text.strip() == NO_ANSWER:
        return None
    return citation_fault(text, {passage.source for passage in ctx.input.passages})


router = Agent(
    "router",
    MODELS.small,
    description="Labels a message and says how sure it is.",
    instructions=ROUTER,
    prompt=quote,
    output_type=Intent,
    max_output_tokens=64,
    offline=route,
)

knowledge = Agent(
    "knowledge",
    MODELS.small,
    description="Finds the passages of the help articles that answer a message.",
    instructions=KNOWLEDGE,
    prompt=quote,
    tools=[search_docs],
    output_type=Findings,
    verify=[copied_from_articles],
    max_turns=6,
    max_output_tokens=700,
    offline=look_up,
)

reply = Agent(
    "reply",
    MODELS.large,
    description="Answers the customer from the passages, with citations.",
    instructions=REPLY,
    prompt=brief_prompt,
    verify=[length(max_words=MAX_WORDS), cites_what_was_found],
    max_turns=4,
    max_output_tokens=400,
    offline=write,
)


@node(children=(knowledge,))
async def find(ctx: RunContext, message: str) -> Brief:
    """The passages for a message: a known question's article, or what the knowledge agent finds."""
    if known := _sure_known(ctx, message):
        return Brief(message=message, passages=library().article(known))
    findings = await ctx.run(knowledge, message)
    if not findings.passages:
        raise NothingFound("no help article answers this message")
    return Brief(message=message, passages=findings.passages)


@node
async def to_customer(ctx: RunContext, text: str) -> Answer:
    """The reply as it leaves, with the articles that it cites."""
    if text.strip() == NO_ANSWER:
        raise NothingFound("the passages that were found do not answer this message")
    return Answer(
        to="customer",
        text=text,
        label=ctx.route.label,
        confidence=ctx.route.confidence,
        sources=cited(text),
        known=_sure_known(ctx, ctx.origin) is not None,
    )


@node
async def to_human(ctx: RunContext, message: str) -> Answer:
    """The hand-over: what the flow thought, and why a person must decide."""
    label, confidence = ctx.route.label, ctx.route.confidence
    return Answer(
        to="human",
        text=f"to a human: {ctx.route.reason}",
        label=label,
        confidence=confidence,
        why=why(label, confidence),
        reason=ctx.route.reason,
    )


def why(label: str | None, confidence: float | None) -> Why:
    """The hand-over's reason as one of three words that can be counted; a confident, calm label means a
    failure."""
    if label is None or confidence is None:
        return "failed"
    if label == "urgent":
        return "urgent"
    return "low confidence" if confidence < THRESHOLD else "failed"


def _sure_known(ctx: RunContext, message: str) -> str | None:
    """The article of a known question, if the router is sure of what the message is about."""
    if (ctx.route.confidence or 0.0) < MIN_CONFIDENCE:
        return None
    known = known_question(message)
    return known.article if known else None


answer = Pipeline(find, reply, to_customer, name="answer")

triage = Router(
    router,
    {"billing": answer, "technical": answer, "general": answer},
    default=to_human,
    threshold=THRESHOLD,
    escalate=["urgent"],
    name="triage",
)
