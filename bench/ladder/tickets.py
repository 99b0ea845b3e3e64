"""Customer messages sorted into 77 intents: Banking77's, real texts with real labels.

The emulated models: the strong one is right in 97 of 100, by the text's hash; the cheap one says what the nearest of
3,000 labelled messages says, which is right in some 86 of 100, and calls the distance to another label its confidence.
What calibrates the rungs is labelled, and none of it is among the tickets.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import create_model

from bench.ladder.measured import Meter
from bench.ladder.models import CHEAP, model_for
from bench.ladder.rungs import TICKETS, Setting
from outlay import Agent, run_many
from outlay.emulator import EmulatedReply, EmulatedRequest
from outlay.routing import CalibratedGate, calibrate
from outlay.routing.distil import Example, distil
from outlay.routing.distil.examples import read_examples, settle
from outlay.routing.distil.training import spread
from outlay.routing.similar import SimilarAnswers, calibrate_similar, local_embedder

DATA = Path(__file__).parents[3] / "shared" / "data" / "banking77" / "train.csv"
_AT_ONCE = 32
_KNOWN = 3_000
_DAY = 86_400


class Tickets:
    """`n` tickets, and what the rungs learn from: made when first asked for."""

    name = TICKETS

    def __init__(self, n: int, path: Path = DATA) -> None:
        examples = spread(settle(read_examples(path)).examples, 0)
        self.tickets, self._labelled = examples[:n], examples[5_000:]
        self._known, self._fresh = self._labelled[:_KNOWN], self._labelled[_KNOWN:]
        self._labels = sorted({str(example.output[""]) for example in examples})
        self._truth = {example.text: str(example.output[""]) for example in examples}

    async def play(self, setting: Setting, meter: Meter) -> None:
        agent = Agent(
            "clerk",
            model_for(setting, self._gate(setting), [self._student] if setting.student else ()),
            instructions=self._instructions,
            output_type=self._type,
            max_output_tokens=64,
            cache="auto" if setting.prompt_cache else "off",
            cache_answers=_DAY if setting.answers else None,
            cache_similar=self._similar if setting.answers == "similar" else None,
        )
        rows = [(ticket.text, ticket.text) for ticket in self.tickets]
        pace: Any = {"lane": "batch"} if setting.batch else {"concurrency": _AT_ONCE}
        async for text, result in run_many(agent, rows, on_event=meter, **pace):
            output: Any = result.output
            meter.check(output is not None and output.label == self._truth[text])

    def behaviour(self, request: EmulatedRequest) -> EmulatedReply:
        text = request.text
        label, confidence = self._cheap[text] if request.model == CHEAP else (self._strong(text), 0.9)
        return EmulatedReply(json.dumps({"label": label, "confidence": confidence}))

    def _gate(self, setting: Setting) -> Any:
        if not setting.cascade:
            return _passes  # a student declines by itself
        scores = [self._cheap[example.text][1] for example in self._fresh]
        right = [float(self._cheap[example.text][0] == self._truth[example.text]) for example in self._fresh]
        calibration = calibrate(scores, right, target=0.03)
        return CalibratedGate(lambda output: output.confidence, calibration, tier=int(setting.student))

    def _strong(self, text: str) -> str:
        truth, hashed = self._truth[text], zlib.crc32(text.encode())
        return truth if hashed % 100 < 97 else self._labels[hashed % len(self._labels)]

    @cached_property
    def _cheap(self) -> dict[str, tuple[str, float]]:
        """By text: the nearest known message's label, and how much nearer it is than any of another label."""
        asked = [example.text for example in (*self.tickets, *self._fresh)]
        embed = local_embedder().embed
        known: Any = np.asarray(embed([example.text for example in self._known]))
        labels = np.array([self._truth[example.text] for example in self._known])
        found: dict[str, tuple[str, float]] = {}
        vectors: Any = np.asarray(embed(asked))
        for text, vector in zip(asked, vectors, strict=True):
            similarity: Any = np.einsum("ij,j->i", known, vector)
            best = int(similarity.argmax())
            other = float(similarity[labels != labels[best]].max())
            found[text] = str(labels[best]), round(min(max(2 * (float(similarity[best]) - other), 0.0), 1.0), 1)
        return found

    @cached_property
    def _similar(self) -> SimilarAnswers:
        return calibrate_similar(self._labelled)

    @cached_property
    def _student(self) -> Any:
        examples = [Example(e.text, {"label": e.output[""], "confidence": 1.0}) for e in self._labelled]
        return distil(examples, "clerk", teacher="labels")

    @cached_property
    def _type(self) -> Any:
        label: Any = Literal[tuple(self._labels)]  # out of data: no checker can know it
        return create_model("Ticket", label=(label, ...), confidence=(float, ...))

    @cached_property
    def _instructions(self) -> str:
        examples: dict[str, list[str]] = {label: [] for label in self._labels}
        for example in self._known:
            if len(found := examples[self._truth[example.text]]) < 3:
                found.append(example.text)
        intents = "\n".join(f"{label}: for example {' | '.join(texts)}" for label, texts in examples.items())
        return f"Sort a customer's message into one of these intents, and say how sure you are.\n{intents}"


def _passes(output: Any) -> None:
    """A gate that lets everything through."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Why there are no tickets."""

    why: str


def tickets(n: int) -> Tickets | Missing:
    """The tickets, where their texts are at hand."""
    if not DATA.exists():
        return Missing("no Banking77 at ../shared/data/banking77/train.csv")
    return Tickets(n)


__all__: Sequence[str] = ["Missing", "Tickets", "tickets"]
