"""Log-probabilities on OpenAI's wires: who may ask for them, and what is said of each token.

A behaviour may give its own (`EmulatedReply.logprobs`); else the model is sure of every token, four characters each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from outlay.emulator.answer import Answer
from outlay.emulator.json import Json, rows
from outlay.emulator.openai_prompt import REASONING_MODEL
from outlay.emulator.problems import ErrorAnswer, Problem, invalid
from outlay.emulator.tokens import pieces

INCLUDED = "message.output_text.logprobs"
_ALWAYS_REASON = "o"
_MOST_ALTERNATIVES = 20


def asked_in_chat(body: Json) -> bool:
    return body.get("logprobs") is True


def asked_in_responses(body: Json) -> bool:
    return INCLUDED in rows(body.get("include"))


def check(body: Json, model: str, effort: object, *, asked: bool) -> None:
    """Refuse what a reasoning model does not give, and alternatives that are too many or to nothing."""
    most = body.get("top_logprobs")
    if most is not None and (not isinstance(most, int) or not 0 <= most <= _MOST_ALTERNATIVES):
        raise invalid(
            f"Invalid 'top_logprobs': expected a value between 0 and {_MOST_ALTERNATIVES}.", param="top_logprobs"
        )
    reasons = REASONING_MODEL.match(model) and (model.startswith(_ALWAYS_REASON) or effort not in (None, "none"))
    if asked and reasons:
        raise Problem(ErrorAnswer(403, "You are not allowed to request logprobs from this model"))


def entries(answer: Answer) -> list[Json]:
    """What is said of each token of the text."""
    return [
        {"token": token, "logprob": value, "bytes": list(token.encode()), "top_logprobs": []}
        for token, value in _tokens(answer)
    ]


def by_piece(answer: Answer, wanted: Sequence[str]) -> Iterator[list[Json]]:
    """The same for each piece of a stream: a token belongs to the piece in which it begins."""
    left, at, end = entries(answer), 0, 0
    for piece in wanted:
        end += len(piece)
        found: list[Json] = []
        while left and at < end:
            found.append(left.pop(0))
            at += len(found[-1]["token"])
        yield found


def _tokens(answer: Answer) -> Iterator[tuple[str, float]]:
    """Of the text as it was cut: what a cap leaves out was never said."""
    at = 0
    for token, value in answer.logprobs or [(piece, 0.0) for piece in pieces(answer.text, 1)]:
        if kept := answer.text[at : at + len(token)]:
            yield kept, value
        at += len(token)
