"""Is the single agent failing, and at what? Most of what it fails at is mended without a second agent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from outlay.advice.answer import Answer

TOPIC = "single agent"


@dataclass(frozen=True, slots=True)
class Remedy:
    """`at` what it fails, how that `shows`, the smallest thing that helps, in code, and when that is the wrong one."""

    at: str
    shows: str
    remedy: str
    line: str
    unless: str
    #: More agents than one.
    several: bool = False


REMEDIES: tuple[Remedy, ...] = (
    Remedy(
        "capability",
        "it lacks a fact, a calculation or an action",
        "a tool",
        "Agent(…, tools=[search])",
        "it has the tool and does not use it well: first its description and its output, then a stronger model",
    ),
    Remedy(
        "context",
        "it loses the thread in what is long: documents, tool results, conversations",
        "compaction of its conversation, or one sub-agent that reads and gives back what matters",
        "Agent(…, compaction=Compaction()), or tools=[reader], where reader = Agent('reader', …, output_type=Facts)",
        "nothing is lost and only the bill is long: then a prompt cache mends that",
    ),
    Remedy(
        "opinion",
        "its answers read well and are wrong, and a second look would have seen it",
        "a verifier: a program first, then a critic of another family, then a debate where answers can be argued about",
        "Agent(…, verify=[checker]), then Refine(agent, [checker, critic]), then Debate([a, b], judge)",
        "the second look makes the same mistake: then what is missing is a fact, which is a tool",
    ),
    Remedy(
        "streams",
        "the work has streams that do not need one another, and it does them one after the other, or forgets some",
        "a supervisor over workers, or a fan-out where the parts are known beforehand",
        "Supervisor(planner, [worker], synthesizer), or FanOut(worker, split=…, merge=…)",
        "the streams build on one another, or all of them fit into one call: then one agent does them better",
        several=True,
    ),
)

#: How a run or a case ended, as stored runs and comparisons call it, and what that says the agent fails at. What is
#: not here (a wrong answer above all) needs somebody who reads ten of them.
SYMPTOMS: Mapping[str, str] = {
    "error: ContextTooLong": "context",
    "error: ToolError": "capability",
}
#: What is no failure of the agent: more agents would fail alike.
NOT_THE_AGENT: Mapping[str, str] = {
    "error: RateLimited": "the provider's limits: [limits] in outlay.toml, fallback=[…]",
    "error: Overloaded": "the provider: fallback=[…]",
    "error: ModelTimeout": "the provider: [timeouts] in outlay.toml, fallback=[…]",
    "error: AuthFailed": "the key",
    "error: ConfigError": "the set-up: outlay check",
    "error: UnpricedModel": "a missing price: outlay.toml",
    "error: OutputTruncated": "the output cap: max_output_tokens",
    "error: OutputInvalid": "the output type or its checks: output_retries, a stronger model",
    "stopped: budget": "the budget: outlay forecast says what it takes",
    "stopped: deadline": "the deadline: outlay forecast says what it takes",
}


def single_agent(failing: bool | None, at: str | None, *, source: str = "") -> Answer:
    """What to do about a single agent that fails, or does not; None is not known. `source` says how it is known."""
    measured = f" ({source})" if source else ""
    if failing is None:
        return Answer(
            TOPIC,
            "measure",
            "measure the single agent first",
            (f"whether it fails is not known{measured}, and every other design is judged by what it adds to it",),
            ("a data set of thirty cases and a checker: then this answer is yes or no",),
            ("outlay compare FILE:single FILE:other --dataset cases.jsonl --checker exact",),
        )
    if not failing:
        return Answer(
            TOPIC,
            "keep",
            "keep the single agent",
            (f"it does what it is for{measured}: a second one adds cost, waiting and ways to disagree",),
            ("it fails on cases that you have not measured yet", "a hard security boundary or another owner"),
        )
    found = next((one for one in REMEDIES if one.at == at), None)
    if found is None:
        return Answer(
            TOPIC,
            "diagnose",
            "find out at what it fails",
            (f"it fails{measured}, and the remedy depends on at what",),
            tuple(f"{one.shows}: {one.remedy}" for one in REMEDIES),
            ("read ten failed cases: outlay trace RUN",),
        )
    says = found.remedy if found.several else f"keep it a single agent, and give it {found.remedy}"
    return Answer(TOPIC, found.at, says, (f"it fails{measured}: {found.shows}",), (found.unless,), (found.line,))
