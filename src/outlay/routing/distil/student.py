"""Student: a model of its own for one narrow task, in one JSON file, that answers for nothing or declines."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, cast

from outlay.errors import ConfigError
from outlay.protocols.prices import PriceBook
from outlay.protocols.transport import Transport
from outlay.routing.calibration import Calibration
from outlay.routing.distil.examples import Scalar
from outlay.routing.distil.export import said
from outlay.routing.distil.softmax import Softmax
from outlay.routing.distil.task import CONFIDENCE, Task
from outlay.routing.learned_file import LearnedFile
from outlay.routing.text import Weighting, grams
from outlay.values.content import Text
from outlay.values.label import TRUSTED
from outlay.values.message import Message
from outlay.values.price import Price
from outlay.values.request import ModelRequest, ModelResponse, Prelude
from outlay.values.settings import ModelSettings
from outlay.values.usage import Usage

FILE = LearnedFile("outlay.student/1", "student", "make one: outlay distill AGENT --out FILE")
_FREE = Price.per_million(0, 0)
log = logging.getLogger("outlay")


@dataclass(frozen=True, slots=True, eq=False)
class Student:
    """A model that is a file: `Cascade([Student.load("intent.json"), "anthropic:…"], …)`.

    It reads the last message of the user in a conversation that has just begun, answers where its calibration accepts
    the confidence, and otherwise declines, which sends a cascade on to the next tier. It makes no call and costs
    nothing. `retired` says why it no longer answers at all; `trained_on` are marks of the texts that it learned from.
    """

    #: In the batch lane, too: there is nobody to wait for (runtime/preflight.py).
    asked_at_once: ClassVar[bool] = True

    agent: str
    teacher: str
    task: Task
    reader: Weighting
    fields: Mapping[str, Softmax]
    calibration: Calibration
    trained_on: frozenset[str] = frozenset()
    retired: str = ""
    version: str = field(default="", kw_only=True)

    # ── what it knows ─────────────────────────────────────────────────────────────────────────────────────────

    def guess(self, text: str) -> tuple[dict[str, Scalar], float]:
        """The likeliest answer, and a score of it: the product of each field's probability."""
        features = self.reader(grams(text))
        answer: dict[str, Scalar] = {}
        score = 1.0
        for name, softmax in self.fields.items():
            chances = softmax(features)
            best = max(range(len(chances)), key=chances.__getitem__)
            answer[name] = self.task.fields[name][softmax.classes[best]]
            score *= chances[best]
        return answer, score

    def answer(self, text: str) -> dict[str, Scalar] | None:
        """The answer where it is sure enough, else None."""
        found, score = self.guess(text)
        if self.retired or not self.calibration.accepts(score):
            return None
        if self.task.says_confidence:
            found[CONFIDENCE] = round(self.calibration.confidence(score), 3)
        return found

    def retire(self, why: str) -> Student:
        """The same, answering nothing."""
        return replace(self, retired=why)

    # ── a model ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def id(self) -> str:
        return f"student:{self.agent}"

    @property
    def name(self) -> str:
        return self.agent

    @property
    def provider(self) -> str:
        return "student"

    @property
    def dialect(self) -> str:
        return "student"

    def check(self, prelude: Prelude, settings: ModelSettings, max_output_tokens: int) -> None:
        """Raises ConfigError for tools: it calls none."""
        if prelude.tools:
            raise ConfigError(f"{self.id} calls no tools", hint="put it under an agent without tools")

    def price(self, book: PriceBook) -> Price | None:
        return _FREE

    def bound(self, request: ModelRequest) -> int:
        return 0

    async def count(self, request: ModelRequest, transport: Transport) -> int | None:
        return 0

    async def send(
        self, request: ModelRequest, transport: Transport, on_text: Callable[[str], None] | None = None
    ) -> ModelResponse:
        """Never fails; a refusal where it is not sure, or the conversation is not new."""
        text = _asked(request)
        found = None if text is None else self.answer(text)
        words = "" if found is None else _as_said(found, request)
        if words and on_text is not None:
            on_text(words)
        return ModelResponse(
            Message("assistant", (Text(words),) if words else (), TRUSTED),
            "refusal" if found is None else "end",
            Usage(),
            model=self.version,
            raw_stop="retired" if self.retired else "unsure" if found is None else "",
        )

    # ── the file ──────────────────────────────────────────────────────────────────────────────────────────────

    def save(self, path: Path) -> None:
        """Write it as JSON: all of the new file or none of it. Of what it learned from, only the answers are in it."""
        FILE.write(path, self._document())

    @classmethod
    def load(cls, path: str | Path) -> Student:
        """Raises ConfigError for what is no student. One that was retired declines everything, and the log says so."""
        path = Path(path)
        document, mark = FILE.read(path)
        try:
            student = _student(document)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise FILE.damaged(path, error) from None
        if student.retired:
            log.warning("%s is retired and answers nothing: %s", student.id, student.retired)
        return replace(student, version=mark)

    def _document(self) -> dict[str, Any]:
        return {
            "agent": self.agent,
            "teacher": self.teacher,
            "retired": self.retired,
            "says_confidence": self.task.says_confidence,
            "values": {name: list(values.values()) for name, values in self.task.fields.items()},
            "idf": dict(self.reader.idf),
            "fields": {
                name: {
                    "classes": list(softmax.classes),
                    "bias": list(softmax.bias),
                    "weights": {gram: list(row) for gram, row in softmax.weights.items()},
                }
                for name, softmax in self.fields.items()
            },
            "calibration": self.calibration.as_dict(),
            "trained_on": sorted(self.trained_on),
        }


def _student(document: Mapping[str, Any]) -> Student:
    fields = {
        str(name): Softmax(
            [str(one) for one in part["classes"]],
            [_finite(x) for x in part["bias"]],
            {str(gram): [_finite(x) for x in row] for gram, row in part["weights"].items()},
        )
        for name, part in document["fields"].items()
    }
    values: dict[str, list[Scalar]] = document["values"]
    task = Task(
        {name: {json.dumps(v, ensure_ascii=False): v for v in given} for name, given in values.items()},
        bool(document["says_confidence"]),
    )
    for name, softmax in fields.items():
        sizes = {len(softmax.classes), len(softmax.bias), *map(len, softmax.weights.values())}
        if len(sizes) != 1 or not set(softmax.classes) <= set(task.fields[name]):
            raise ValueError(name)
    if set(fields) != set(task.fields):
        raise ValueError("fields")
    return Student(
        str(document["agent"]),
        str(document["teacher"]),
        task,
        Weighting({str(gram): _finite(x) for gram, x in document["idf"].items()}),
        fields,
        Calibration(**cast("dict[str, Any]", document["calibration"])),
        frozenset(map(str, document["trained_on"])),
        str(document["retired"]),
    )


def _finite(x: Any) -> float:
    if not math.isfinite(x):
        raise ValueError(x)
    return float(x)


def _asked(request: ModelRequest) -> str | None:
    """The one thing that was asked; None in a conversation that goes on, and for what is no text."""
    last = request.transcript.last
    if request.transcript.length != 1 or last is None or last.role != "user":
        return None
    return last.text if all(isinstance(part, Text) for part in last.parts) else None


def _as_said(answer: Mapping[str, Scalar], request: ModelRequest) -> str:
    output = request.prelude.output
    if output is not None and output.wrapped:
        return json.dumps({"value": answer[""] if set(answer) == {""} else dict(answer)}, ensure_ascii=False)
    return said(answer)
