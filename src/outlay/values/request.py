"""What goes to a model and what comes back, in no provider's dialect."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from outlay.values.caching import CacheMode, CachePlan
from outlay.values.message import DIGEST_SIZE, Message
from outlay.values.reuse import Reuse
from outlay.values.settings import ModelSettings
from outlay.values.transcript import Transcript
from outlay.values.usage import Usage

#: How requests go out: each at once, or many in a batch at half the price and within a day.
Lane: TypeAlias = Literal["", "live", "batch"]
StopKind: TypeAlias = Literal["end", "tool", "length", "refusal", "pause"]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool as the model sees it. `schema` is its JSON schema as text, keys in a fixed order."""

    name: str
    description: str
    schema: str


@dataclass(frozen=True, slots=True)
class OutputSpec:
    """The structured output asked for. `schema` is JSON text whose root is an object.

    `wrapped`: the wanted value is not an object itself and stands under the key `value`.
    """

    name: str
    schema: str
    wrapped: bool = False


class Prelude:
    """The part of a request that stays the same from turn to turn: instructions, tools, output schema.

    Hashed once, and encoded once per dialect: `wire` caches what an adapter makes of it.
    """

    __slots__ = ("_wire", "digest", "output", "system", "tools")

    def __init__(
        self, system: tuple[str, ...] = (), tools: tuple[ToolSpec, ...] = (), output: OutputSpec | None = None
    ) -> None:
        self.system = system
        self.tools = tools
        self.output = output
        self._wire: dict[str, bytes] = {}
        h = hashlib.blake2b(digest_size=DIGEST_SIZE)
        schema = () if output is None else (output.schema,)
        # the numbers of texts and of tools first, or an instruction could read like a tool
        h.update(b"%d %d " % (len(system), len(tools)))
        for text in (*system, *(t for tool in tools for t in (tool.name, tool.description, tool.schema)), *schema):
            h.update(str(len(text)).encode() + b":" + text.encode(errors="surrogatepass"))
        self.digest = h.digest()

    def wire(self, dialect: str, encode: Callable[[Prelude], bytes]) -> bytes:
        found = self._wire.get(dialect)
        if found is None:
            found = self._wire[dialect] = encode(self)
        return found


@dataclass(frozen=True, slots=True)
class ContextEdit:
    """The provider is to clear the contents of all tool results but the last `keep` before the model reads them."""

    keep: int


@dataclass(frozen=True, slots=True, eq=False)
class ModelRequest:
    """One request to a model.

    `max_output_tokens` includes thinking. `output_type` is the Python type behind `prelude.output`, for models
    that are a function of yours; providers see only the schema. `clipped`: a budget lowered `max_output_tokens`.
    `turns_left`: how many more requests may follow in this conversation. `cache` is what the agent asks of the prompt
    cache, `cache_plan` what the runtime decided for this attempt. `reuse` allows a stored answer. Where `transcript` is
    a shortened conversation, `whole` is the head of the whole one, which the call is known by. `edit` is for models
    that edit contexts (protocols/context_editing.py). `logprobs` asks how likely each token was, of models that say so
    (protocols/logprobs.py). `lane` is how it goes out, empty for the way of the whole run.
    """

    agent: str
    path: str
    prelude: Prelude
    transcript: Transcript
    max_output_tokens: int
    settings: ModelSettings = field(default_factory=ModelSettings)
    output_type: object = str
    clipped: bool = False
    turns_left: int = 0
    cache: CacheMode = "auto"
    cache_plan: CachePlan | None = None
    reuse: Reuse | None = None
    whole: bytes | None = None
    edit: ContextEdit | None = None
    lane: Lane = ""
    logprobs: bool = False

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation, oldest first."""
        return self.transcript.messages

    @property
    def text(self) -> str:
        """The text of the last user message."""
        for link in self.transcript.links():
            if link.message is not None and link.message.role == "user":
                return link.message.text
        return ""

    @property
    def tools(self) -> tuple[ToolSpec, ...]:
        return self.prelude.tools

    @property
    def system(self) -> tuple[str, ...]:
        return self.prelude.system


@dataclass(frozen=True, slots=True)
class RateLimitFacts:
    """What the provider said of its limits: what is left of them, seconds until they are whole again, and what they are
    (of `tokens_limit`: of the input tokens, where the provider counts those by themselves)."""

    requests_left: int | None = None
    tokens_left: int | None = None
    input_tokens_left: int | None = None
    output_tokens_left: int | None = None
    requests_reset: float | None = None
    tokens_reset: float | None = None
    requests_limit: int | None = None
    tokens_limit: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class ModelResponse:
    """One answer of a model.

    `usage` is None where the provider did not report it: unknown, not zero. `model` is the version that answered.
    `first_token` is in seconds from sending, None where the answer was not streamed.
    """

    message: Message
    stop: StopKind
    usage: Usage | None
    model: str = ""
    request_id: str = ""
    first_token: float | None = None
    #: Works out `limits`, for who asks: nobody does while no permits are in force.
    limits_of: Callable[[], RateLimitFacts | None] | None = None
    #: Provider conditions that change the price, such as `service_tier`; see models.prices.
    tier: str = ""
    #: Why the provider stopped, in its own word.
    raw_stop: str = ""

    @property
    def limits(self) -> RateLimitFacts | None:
        """What the provider said of its limits, as of the moment when the answer was there; None if nothing."""
        return None if self.limits_of is None else self.limits_of()
