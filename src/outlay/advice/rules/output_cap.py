"""Output caps far above what is ever written."""

from __future__ import annotations

import math
from collections.abc import Iterator

from outlay.advice.rule import Rule, Sight
from outlay.advice.survey import Survey

#: Far above: so many times what 99 of 100 answers need.
FAR = 4
#: Calls of which something can be said.
ENOUGH = 20
_ROUND = 50


def look(survey: Survey) -> Iterator[Sight]:
    for agent in survey.agents:
        said, fit = survey.expected.get(agent.name), survey.evidence.fits.get(agent.name)
        if said is not None:
            need, source = said, "it is expected to write"
        elif fit is not None and fit.events >= ENOUGH and fit.output_p99 is not None:
            stand_in = " of its stand-in" if fit.offline else ""
            need, source = fit.output_p99, f"99 of 100 of {fit.events:,} calls{stand_in} wrote at most"
        else:
            continue
        if agent.max_output_tokens > FAR * max(need, 1):
            cap = _ROUND * math.ceil(2 * max(need, 1) / _ROUND)
            what = f"max_output_tokens={agent.max_output_tokens:,}, and {source} {need:,.0f} tokens"
            if cap < agent.max_output_tokens:
                yield Sight((agent.name,), f"{agent.name}: {what}", f"{agent.name}: max_output_tokens={cap}")


RULE = Rule(
    "output-cap",
    "an output cap far above need",
    ("money", "latency"),
    "a budget reserves the whole cap before each call: fewer run at once, it ends sooner, and a runaway answer is paid",
    look,
)
