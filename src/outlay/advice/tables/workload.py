"""The shape of the work, and the knobs that pay for it."""

from __future__ import annotations

from dataclasses import dataclass

from outlay.advice.answer import Answer

TOPIC = "knobs"


@dataclass(frozen=True, slots=True)
class Knob:
    """An argument, as `Class(argument)` or `function(argument)`, and what it does for this shape."""

    knob: str
    does: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A shape of work, how to know it, its knobs (begin with the first), and what would make it another one."""

    id: str
    known_by: str
    knobs: tuple[Knob, ...]
    unless: str


SHAPES: tuple[Shape, ...] = (
    Shape(
        "interactive",
        "a person waits for each answer",
        (
            Knob("Budget(seconds)", "a deadline that reaches every call, and the best answer so far at its end"),
            Knob("FanOut(max_parallel)", "parts at the same time: the wait is that of the slowest"),
            Knob("ModelSettings(effort)", "less thinking where the question is easy"),
            Knob("Agent(fallback)", "another model while one does not answer"),
        ),
        "nobody waits for the single answer: then batch",
    ),
    Shape(
        "batch",
        "many independent inputs, and nobody waits for the single one",
        (
            Knob("run_many(lane)", "the providers' batch price, half of the list price"),
            Knob("run_many(concurrency)", "as many at once as the provider's limits carry"),
            Knob("run_many(budget)", "one limit for all rows; what is paid for is kept"),
            Knob("Agent(cache)", "one write of what all rows begin with, many reads"),
        ),
        "answers are needed within minutes: then interactive, with concurrency",
    ),
    Shape(
        "conversation",
        "many turns of one talk, each reading all before it",
        (
            Knob("Agent(compaction)", "shortened where that is cheaper than to read it all again"),
            Knob("run(session)", "the talk goes on over runs and processes"),
            Knob("Agent(cache)", "the beginning is read at a tenth of its price"),
            Knob("Tool(max_result_tokens)", "a long result is read by its beginning; the whole is an artifact"),
            Knob("Agent(max_input_tokens)", "a talk that has grown too long is refused before it is paid"),
        ),
        "turns do not need one another: then each is a run of its own",
    ),
    Shape(
        "shared-prefix",
        "many questions about one long text",
        (
            Knob("Agent(cache)", "the text stands first and is written once"),
            Knob("run_many(concurrency)", "the first writes, the others wait for it and read"),
            Knob("Agent(cache_answers)", "the same question is paid for once"),
        ),
        "each question has a text of its own: then there is nothing to share",
    ),
    Shape(
        "narrow",
        "a closed question many times a day: labels, fields, yes or no",
        (
            Knob("Agent(model)", "the smallest model that passes the checker; outlay compare says which"),
            Knob("Cascade(gate)", "a larger one for what does not pass"),
            Knob("Agent(output_type)", "a closed type: nothing to parse, nothing to read again"),
            Knob("Agent(max_output_tokens)", "a low cap: budgets reserve it whole"),
        ),
        "answers are prose: a small model is measured there, not assumed",
    ),
    Shape(
        "critical",
        "few runs, and a wrong answer costs more than all calls",
        (
            Knob("Agent(verify)", "a program that can say no"),
            Knob("Refine(critic)", "a second look of another family after the program's"),
            Knob("Vote(n)", "what most of n samples say, where answers are short"),
            Knob("Tool(requires_approval)", "a person says yes to what cannot be taken back"),
        ),
        "wrong answers are cheap to mend: then one call and a check",
    ),
    Shape(
        "bursty",
        "quiet for hours, then a thousand at once",
        (
            Knob("Budget(scope)", "a limit a day over all runs and processes"),
            Knob("Budget(fan_out)", "so many at the same time, the others wait"),
            Knob("Agent(fallback)", "another provider when one is full"),
            Knob("Agent(cheaper)", "a smaller model once most of the money is gone"),
        ),
        "the load is steady: then limits of the provider are enough",
    ),
    Shape(
        "open-ended",
        "nobody knows beforehand how much work it is",
        (
            Knob("Budget(usd)", "the only thing that ends it for certain"),
            Knob("Supervisor(max_subtasks)", "no plan is longer"),
            Knob("Budget(depth)", "nobody hands down further"),
            Knob("Agent(max_turns)", "no agent goes on longer"),
        ),
        "the steps are known: then a Pipeline, whose cost is known too",
    ),
)


def knobs(shape: str) -> Answer:
    """The knobs of a shape. Raises KeyError for one that there is not."""
    found = {one.id: one for one in SHAPES}[shape]
    return Answer(
        TOPIC,
        found.id,
        f"{found.id} work: {', '.join(knob.knob for knob in found.knobs)}",
        (found.known_by, *(f"{knob.knob}: {knob.does}" for knob in found.knobs)),
        (found.unless,),
    )
