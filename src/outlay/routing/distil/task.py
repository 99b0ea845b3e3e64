"""Whether a task is narrow: answers made of fields, each with few values that come again and again."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from outlay.errors import ConfigError
from outlay.routing.distil.examples import Example, Scalar

#: Values of one field, and examples of each on average: with more, or fewer, nothing can be learned of most of them.
_MOST_VALUES = 200
_LEAST_EXAMPLES = 5
#: A number that says how sure the model was is no answer to learn: the student says how sure it is itself.
CONFIDENCE = "confidence"


@dataclass(frozen=True, slots=True)
class Task:
    """`fields` by name, each with its values by their JSON text, in order. `says_confidence`: the answers have a field
    `confidence`, which is the student's own to fill."""

    fields: Mapping[str, Mapping[str, Scalar]]
    says_confidence: bool = False

    def classes(self, field: str, examples: Sequence[Example]) -> list[str]:
        return [as_class(example.output[field]) for example in examples]

    def matches(self, one: Mapping[str, Scalar], other: Mapping[str, Scalar]) -> bool:
        """Are two answers the same, as far as this is the model's to say?"""
        return all(as_class(one.get(name)) == as_class(other.get(name)) for name in self.fields)


def task_of(examples: Sequence[Example]) -> Task:
    """The task behind examples. Raises ConfigError where it is not one that a student can learn: no closed set of
    values, answers of several shapes, or the same answer always."""
    if not examples:
        raise ConfigError("there are no examples to learn from", hint="record more runs, or give a table")
    shapes = Counter(tuple(sorted(example.output)) for example in examples)
    if len(shapes) > 1:
        shown = "; ".join(", ".join(shape) or "nothing" for shape, _ in shapes.most_common(3))
        raise ConfigError(f"the answers have {len(shapes)} different sets of fields: {shown}")
    (names,) = shapes
    numbers = all(isinstance(example.output.get(CONFIDENCE), int | float) for example in examples)
    says = len(names) > 1 and CONFIDENCE in names and numbers
    fields = {name: _values(name, examples) for name in names if not (says and name == CONFIDENCE)}
    if all(len(values) == 1 for values in fields.values()):
        raise ConfigError("every answer is the same: there is nothing to learn", hint="write that answer into the flow")
    return Task(fields, says)


def as_class(value: Scalar) -> str:
    return json.dumps(value, ensure_ascii=False)


def _values(name: str, examples: Sequence[Example]) -> dict[str, Scalar]:
    found = {as_class(example.output[name]): example.output[name] for example in examples}
    what = f"the field {name}" if name else "the answer"
    if len(found) > _MOST_VALUES or len(found) * _LEAST_EXAMPLES > len(examples):
        raise ConfigError(
            f"{what} has {len(found):,} different values in {len(examples):,} examples: that is no closed set",
            hint="a student repeats what it has seen often: narrow the output type, or record more runs",
        )
    return dict(sorted(found.items()))
