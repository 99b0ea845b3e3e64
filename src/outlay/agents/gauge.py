"""How many tokens a conversation is and what they cost, as far as the answers so far tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from outlay.policies.compaction import Outlook
from outlay.values.message import Message
from outlay.values.price import MILLION, Price
from outlay.values.request import Prelude
from outlay.values.transcript import Transcript
from outlay.values.usage import Usage

#: Tokens of a character, before a provider has counted any: a rough figure for English.
_RATIO: Final = 0.25


@dataclass(slots=True)
class Gauge:
    """Measured where it can be: tokens by the provider's last count, prices by whether it read from its cache."""

    ratio: float = _RATIO
    #: Characters of instructions, tools and schema.
    prelude: int = 0
    #: Does the provider read the conversation from its cache? None before its first answer: then it is taken for
    #: granted where that is cheaper, because it is the case in which shortening saves least.
    cached: bool | None = None

    def measure(self, prelude: Prelude) -> None:
        texts = (*prelude.system, *(text for t in prelude.tools for text in (t.name, t.description, t.schema)))
        self.prelude = sum(map(len, texts)) + (0 if prelude.output is None else len(prelude.output.schema))

    def learn(self, read: Transcript, usage: Usage) -> None:
        """What the provider counted of a request in which it read this conversation."""
        length = self.prelude + characters(read)
        if usage.all_input_tokens and length:
            self.ratio = usage.all_input_tokens / length
        self.cached = bool(usage.cache_read_tokens or usage.cache_write_tokens)

    def tokens(self, length: int) -> int:
        """Of so many characters."""
        return round(length * self.ratio)

    def size(self, transcript: Transcript) -> int:
        """Input tokens of a request with this conversation."""
        return self.tokens(self.prelude + characters(transcript))

    def outlook(self, price: Price | None, size: int, turns: float) -> Outlook | None:
        """What is to come, None where no price is known."""
        if price is None:
            return None
        read, write = self._rates(price, size)
        return Outlook(turns, read, write)

    def call_costs(
        self, price: Price, transcript: Transcript, asking: int, output_tokens: int, *, same_prefix: bool
    ) -> float:
        """A call that reads the whole conversation and `asking` more tokens, in US dollars."""
        size = self.size(transcript)
        rates = price.rates_at(size)
        read, _ = self._rates(price, size) if same_prefix else (float(rates.input / MILLION), 0.0)
        return size * read + float((rates.input * asking + rates.output * output_tokens) / MILLION)

    def _rates(self, price: Price, size: int) -> tuple[float, float]:
        """A token that was sent before, and one that is new, in US dollars."""
        rates = price.rates_at(size)
        cached = rates.cache_read < rates.input if self.cached is None else self.cached
        if not cached:
            return float(rates.input / MILLION), float(rates.input / MILLION)
        return float(rates.cache_read / MILLION), float(rates.cache_write / MILLION)


def characters(transcript: Transcript) -> int:
    return transcript.total("characters", _length)


def _length(message: Message) -> int:
    return len(message.canonical)
