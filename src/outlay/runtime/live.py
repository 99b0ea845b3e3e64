"""One tiny call of a model, to see whether its provider answers: what it may cost at most is known before."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from outlay.agents.agent import Agent
from outlay.errors import BudgetExceeded, OutputTruncated, one_line
from outlay.events.records import CallFailed, CallFinished
from outlay.policies.ledger import Ask
from outlay.runtime.directory import Directory, default_prices
from outlay.runtime.run import run
from outlay.values.budget import Budget
from outlay.values.content import Text
from outlay.values.message import Message
from outlay.values.request import ModelRequest
from outlay.values.transcript import EMPTY

#: What is asked by default where a provider has a key: its cheapest model of the day.
CHEAPEST = {"ANTHROPIC_API_KEY": "anthropic:claude-haiku-4-5", "OPENAI_API_KEY": "openai:gpt-5.4-nano"}
_QUESTION = "Say ok."
#: A model that thinks may need more than a word; what breaks off here has answered all the same.
_CAP = 64
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Probe:
    """A call that is still to be made. `worst` is the most that it can cost in US dollars, None if unpriced."""

    model: str
    worst: Decimal | None

    @staticmethod
    def of(model: str) -> Probe:
        """Raises ConfigError for a model that does not exist, or whose key is missing."""
        agent, directory = _agent(model), Directory("live", default_prices())
        resolved = directory.model(agent.name, model)
        prelude = agent.prelude_of(())
        asked = EMPTY.append(Message("user", (Text(_QUESTION),)))
        request = ModelRequest(agent.name, agent.name, prelude, asked, _CAP, agent.settings)
        price = directory.price(resolved)
        return Probe(model, None if price is None else Ask(price, resolved.bound(request), _CAP).worst_usd(_CAP))


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of it. `returned` is the version that answered, `cost` in US dollars (None: unknown); `error` and
    `hint` are empty where all is well."""

    model: str
    seconds: float
    returned: str = ""
    cost: Decimal | None = None
    error: str = ""
    hint: str = ""


async def probe(one: Probe) -> Answered:
    """Make the call: once, without another attempt."""
    limit = Budget(usd=one.worst, calls=1, seconds=_PATIENCE, allow_unpriced=True)
    result = await run(_agent(one.model), _QUESTION, budget=limit, on_alert=())
    ended = [event for event in result.events if isinstance(event, CallFinished | CallFailed)]
    last = ended[-1] if ended else None
    if isinstance(last, CallFinished) and (result.error is None or isinstance(result.error, OutputTruncated)):
        return Answered(one.model, last.seconds, last.returned, last.cost)
    failed = next((event for event in ended if isinstance(event, CallFailed)), None)
    error = result.error
    if failed is not None and (error is None or isinstance(error, BudgetExceeded)):  # its second attempt was refused
        said = f"{failed.error}: {failed.message}"
    else:
        said = "no answer" if error is None else one_line(error)
    hint = "" if isinstance(error, BudgetExceeded) else str(getattr(error, "hint", ""))
    return Answered(one.model, 0.0 if last is None else last.seconds, error=said, hint=hint)


def _agent(model: str) -> Agent[str]:
    return Agent("doctor", model, max_output_tokens=_CAP, min_output_tokens=_CAP, max_turns=1, cache="off")
