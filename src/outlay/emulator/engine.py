"""The emulated provider behind the protocols: asks the behaviour, consults the cache, counts, and bills.

It knows nothing of HTTP. Live requests and batch entries both go through it, so they cost and behave the
same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from outlay.emulator.answer import Answer, BilledUsage, Call, compose
from outlay.emulator.behaviour import Behaviour, default_reply, say
from outlay.emulator.cache import CachePlan, PromptCache
from outlay.emulator.exchange import EmulatedReply, EmulatedRequest
from outlay.emulator.faults import Fault
from outlay.emulator.ids import Ids
from outlay.emulator.ledger import Ledger, Record
from outlay.emulator.limits import Limiter
from outlay.emulator.models import facts
from outlay.emulator.problems import ErrorAnswer, Problem, invalid

_ANSWER_IDS = {"/v1/messages": "msg_01", "/v1/responses": "resp_", "/v1/chat/completions": "chatcmpl-"}


@dataclass(frozen=True, slots=True)
class Made:
    """An answer that exists on the provider's side; it is not delivered, cached or billed yet."""

    call: Call
    answer: Answer
    plan: CachePlan


class Engine:
    """Makes answers. `models`: those that exist; empty for any."""

    def __init__(
        self,
        behaviour: Behaviour | None,
        models: frozenset[str],
        seed: int,
        clock: Callable[[], float],
        ids: Ids,
        ledger: Ledger,
        limiter: Limiter,
    ) -> None:
        self._behaviour = behaviour
        self._models = models
        self._seed = seed
        self._ids = ids
        self._ledger = ledger
        self._limiter = limiter
        self._cache = PromptCache(clock)
        self._asked = 0

    def reset(self) -> None:
        """Forget the caches; a script begins again."""
        self._cache.clear()
        self._asked = 0

    def check(self, call: Call) -> None:
        """Refuse an unknown model, and a prompt that does not fit its context window."""
        request = call.request
        if self._models and request.model not in self._models:
            raise Problem(_unknown_model(request))
        tokens, window = call.prompt.tokens, facts(request.model).context_window
        if request.provider == "anthropic" and tokens > window:
            raise invalid(f"prompt is too long: {tokens} tokens > {window} maximum")

    def plan(self, call: Call, key: str) -> CachePlan:
        """Where the prompt's tokens come from. `key`: the API key, as caches are not shared."""
        request = call.request
        known = facts(request.model)
        scope = f"{request.provider}:{key}:{request.model}"
        if known.cache_breakpoints:
            return self._cache.look_up(scope, call.prompt, known.cache_minimum)
        return self._cache.look_up_steps(scope, call.prompt, known.cache_minimum, call.cache_ttl)

    async def ask(self, call: Call) -> EmulatedReply | Fault:
        """What the behaviour says."""
        request = replace(call.request, index=self._asked)
        self._asked += 1
        return await say(self._behaviour, request, self._seed)

    def stand_in(self, call: Call) -> EmulatedReply:
        """The default reply, for a behaviour that only said what goes wrong with it."""
        return default_reply(call.request, self._seed)

    def make(self, call: Call, reply: EmulatedReply, plan: CachePlan) -> Made:
        """The answer that the reply becomes."""
        if call.request.tool_choice == "none" and reply.tool_calls:
            raise invalid("emulator: the behaviour called a tool although tool_choice is none.")
        prefix = "toolu_01" if call.request.provider == "anthropic" else "call_"
        if reply.tool_calls:
            calls = (tool if tool.id else replace(tool, id=self._ids.draw(prefix)) for tool in reply.tool_calls)
            reply = replace(reply, tool_calls=tuple(calls))
        answer_id = self._ids.draw(_ANSWER_IDS[call.request.endpoint])
        return Made(call, compose(call, reply, plan, answer_id), plan)

    def begin(self, made: Made) -> None:
        """The answer begins: from now on its prompt can be read from the cache."""
        self._cache.commit(made.plan)

    def bill(self, made: Made, record: Record | None, output_tokens: int | None = None) -> None:
        """Charge it; `output_tokens` if the answer ended before it was complete."""
        usage: BilledUsage = made.answer.usage
        if output_tokens is not None:
            output = min(output_tokens, usage.output_tokens)
            usage = replace(usage, output_tokens=output, reasoning_tokens=min(usage.reasoning_tokens, output))
        request = made.call.request
        self._ledger.bill(record, request.model, usage)
        self._limiter.charge_output(request.provider, request.model, usage.output_tokens)


def _unknown_model(request: EmulatedRequest) -> ErrorAnswer:
    if request.provider == "anthropic":
        return ErrorAnswer(404, f"model: {request.model}")
    code = "model_not_found"
    if request.endpoint == "/v1/responses":
        message = f"The requested model '{request.model}' does not exist."
        return ErrorAnswer(400, message, code=code, param="model")
    message = f"The model `{request.model}` does not exist or you do not have access to it."
    return ErrorAnswer(404, message, code=code)
