"""The levers that there are: each is a name, and what its settings do to a flow.

    models   =AGENT:MODEL|MODEL    another model; `CHEAP>STRONG` is a cascade that the agent's own checks gate
    cascade  =AGENT:MODEL          ask this model first, the agent's own where its checks refuse the answer
    cache    =AGENT:off|5m|1h      whether the provider is to keep the prompt's prefix
    retries  =AGENT:0..2           how often a refused answer is fed back (`output_retries`)
    rounds   =NODE:1..3            of a Refine, a Debate, or a Supervisor (`max_rounds`)
    samples  =VOTE:1|3|5           of a Vote (`n`)
    parallel =FANOUT:1|4|all       how many workers of a FanOut run at once (`max_parallel`)
    parallel =PIPELINE:all         its stages at once, each on the pipeline's input: where none reads another's output
    without  =STAGE|STAGE          a Pipeline without this stage; each is a lever of its own
    lane     =live|batch           the provider's batch lane, for all calls

`retries`, `rounds`, `samples`, `parallel` and `cache` without a name are set for every node that has them, together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from outlay.agents.agent import Agent
from outlay.agents.cascade import ModelCascade
from outlay.errors import ConfigError
from outlay.forecast.frontier.designs import Change, Choice, Lever
from outlay.models.naming import resolve
from outlay.patterns import Debate, FanOut, Pipeline, Refine, Supervisor, Vote
from outlay.protocols.node import Node
from outlay.runtime.preflight import walk

#: A range has at most so many steps: what is wider was mistyped.
MOST_STEPS = 100
_BETWEEN = ">"


@dataclass(frozen=True, slots=True)
class Kind:
    """A lever over one argument: of which nodes, and how its settings are read."""

    argument: str
    read: Callable[[str], Any]
    fits: Callable[[Node[Any, Any]], bool]
    of: str


def _number(text: str) -> int:
    if not text.isdigit():
        raise ConfigError(f"{text!r} is not a number", hint="write 3, or a range such as 1..3")
    return int(text)


def _at_once(text: str) -> int | None:
    return None if text == "all" else _number(text)


def _cache(text: str) -> str:
    if text not in ("auto", "off", "5m", "1h"):
        raise ConfigError(f"cache={text!r} is not understood", hint="use off, 5m, 1h or auto")
    return text


KINDS: Mapping[str, Kind] = {
    "retries": Kind("output_retries", _number, lambda node: isinstance(node, Agent) and _is_checked(node), "an agent"),
    "rounds": Kind("max_rounds", _number, lambda node: isinstance(node, Refine | Debate | Supervisor), "a loop"),
    "samples": Kind("n", _number, lambda node: isinstance(node, Vote), "a Vote"),
    "parallel": Kind("max_parallel", _at_once, lambda node: isinstance(node, FanOut), "a FanOut"),
    "cache": Kind("cache", _cache, lambda node: isinstance(node, Agent), "an agent"),
}
#: All that a space may name.
NAMES = ("models", "cascade", *KINDS, "without", "lane")


def lever(root: Node[Any, Any], kind: str, name: str, settings: Sequence[str]) -> list[Lever]:
    """The levers that `kind=name:settings` means in this flow. `name` is empty where none was given.

    Raises ConfigError for a node that is not there, or has no such lever.
    """
    if kind == "lane":
        return [_lane(settings)]
    if kind == "without":
        return [_without(root, stage) for stage in settings]
    if kind == "parallel" and (pipeline := _pipeline(root, name)) is not None:
        return [_at_once_lever(pipeline, settings)]
    if kind in ("models", "cascade"):
        return [_models(root, kind, name, settings)]
    return [_argument(root, kind, name, settings)]


def models_lever(agent: Agent[Any], settings: Iterable[Any]) -> Lever:
    """The agent's model as it is, and these: ids, models, or sequences of them, which are cascades."""
    choices = [Choice("as it is")]
    for setting in settings:
        model = _cascade(agent, cast("Sequence[Any]", setting)) if isinstance(setting, list | tuple) else setting
        if shown(model) == shown(agent.model):
            continue
        change = Change("agent", agent.name, "model", shown(agent.model), shown(model))
        choices.append(Choice(f"{agent.name} on {label(model)}", (change,), {agent.name: {"model": model}}))
    return Lever(f"model of {agent.name}", tuple(choices))


def argument_lever(nodes: Sequence[Node[Any, Any]], kind: str, values: Iterable[Any]) -> Lever:
    """One argument of these nodes, set together; a value that they all have already is no choice."""
    argument = KINDS[kind].argument
    choices = [Choice("as it is")]
    for value in values:
        changed = [node for node in nodes if getattr(node, argument) != value]
        if changed:
            changes = tuple(
                Change(_kind_of(node), node.name, argument, shown(getattr(node, argument)), shown(value))
                for node in changed
            )
            settings = {node.name: {argument: value} for node in changed}
            choices.append(Choice(f"{kind} {'all' if value is None else value}", changes, settings))
    whose = nodes[0].name if len(nodes) == 1 else "all"
    return Lever(f"{kind} of {whose}", tuple(choices))


def stage_lever(pipeline: Node[Any, Any], stage: Node[Any, Any]) -> Lever:
    """A pipeline with this stage, and without."""
    change = Change("pipeline", pipeline.name, "stages", f"… {stage.name} …", "without it")
    return Lever(
        f"stage {stage.name}", (Choice("as it is"), Choice(f"without {stage.name}", (change,), {}, _names(stage)))
    )


def _pipeline(root: Node[Any, Any], name: str) -> Pipeline[Any, Any] | None:
    return next((node for node in walk(root) if isinstance(node, Pipeline) and node.name == name), None)


def _at_once_lever(pipeline: Pipeline[Any, Any], settings: Sequence[str]) -> Lever:
    if unknown := [setting for setting in settings if setting not in ("1", "all")]:
        raise ConfigError(
            f"parallel={pipeline.name}:{unknown[0]} is not understood",
            hint=f"the stages of a pipeline run one after the other, or all at once: parallel={pipeline.name}:all",
        )
    stages = ", ".join(stage.name for stage in pipeline.stages)
    change = Change("pipeline", pipeline.name, "type", f"Pipeline({stages})", f"FanOut([{stages}])")
    choice = Choice(f"{pipeline.name} at once", (change,), at_once=frozenset((pipeline.name,)))
    return Lever(f"parallel of {pipeline.name}", (Choice("as it is"), choice))


def lane_lever() -> Lever:
    change = Change("command", "outlay map", "--lane", "live", "batch")
    return Lever("lane", (Choice("as it is"), Choice("in the batch lane", (change,), lane="batch")))


def _models(root: Node[Any, Any], kind: str, name: str, settings: Sequence[str]) -> Lever:
    agent = _named(root, name, lambda node: isinstance(node, Agent), "an agent", kind)
    assert isinstance(agent, Agent)
    found: list[Any] = []
    for setting in settings:
        tiers = setting.split(_BETWEEN)
        for tier in tiers:
            resolve(tier)
        own = agent.model
        if kind == "cascade":
            if isinstance(own, ModelCascade):
                raise ConfigError(f"the model of {name} is a cascade already", hint=f"models={name}:CHEAP>STRONG")
            found.append((*tiers, own))
        else:
            found.append(tuple(tiers) if len(tiers) > 1 else setting)
    return models_lever(agent, found)


def _cascade(agent: Agent[Any], tiers: Sequence[Any]) -> ModelCascade:
    if not agent.verify:
        raise ConfigError(
            f"a cascade for {agent.name} needs a gate, and the agent has no checks",
            hint=f"give {agent.name} verify=[…]: its checks say when the next model is asked",
        )
    return ModelCascade(tiers, list(agent.verify))


def _argument(root: Node[Any, Any], kind: str, name: str, settings: Sequence[str]) -> Lever:
    what = KINDS[kind]
    values = [what.read(value) for setting in settings for value in _spread(setting)]
    if name:
        return argument_lever([_named(root, name, what.fits, what.of, kind)], kind, values)
    nodes = [node for node in walk(root) if what.fits(node)]
    if not nodes:
        raise ConfigError(f"no node of this flow has {kind} to set", hint=f"leave {kind}= out")
    return argument_lever(nodes, kind, values)


def _without(root: Node[Any, Any], stage: str) -> Lever:
    for node in walk(root):
        if isinstance(node, Pipeline):
            for one in node.stages:
                if one.name == stage:
                    return stage_lever(node, one)
    stages = [one.name for node in walk(root) if isinstance(node, Pipeline) for one in node.stages]
    raise ConfigError(
        f"no pipeline of this flow has a stage named {stage!r}",
        hint=f"there are {', '.join(stages)}" if stages else "without= is for stages of a Pipeline",
    )


def _lane(settings: Sequence[str]) -> Lever:
    if unknown := [setting for setting in settings if setting not in ("live", "batch")]:
        raise ConfigError(f"lane={unknown[0]!r} is not understood", hint="lane=live|batch")
    return lane_lever()


def _named(
    root: Node[Any, Any], name: str, fits: Callable[[Node[Any, Any]], bool], of: str, kind: str
) -> Node[Any, Any]:
    found = [node for node in walk(root) if node.name == name]
    for node in found:
        if fits(node):
            return node
    usable = ", ".join(dict.fromkeys(node.name for node in walk(root) if fits(node)))
    problem = (
        f"{name} is {_article(found[0].type)}, not {of} with {kind} to set" if found else f"no node is named {name!r}"
    )
    raise ConfigError(problem, hint=f"{kind}= can be set for {usable}" if usable else f"leave {kind}= out")


def _article(word: str) -> str:
    return f"{'an' if word[0].lower() in 'aeiou' else 'a'} {word}"


def _spread(setting: str) -> list[str]:
    """`1..3` as 1, 2 and 3."""
    low, dots, high = setting.partition("..")
    if not dots:
        return [setting]
    first, last = _number(low), _number(high)
    if not first <= last < first + MOST_STEPS:
        raise ConfigError(f"the range {setting} is empty, or wider than {MOST_STEPS}", hint="write 1..3")
    return [str(value) for value in range(first, last + 1)]


def _is_checked(agent: Agent[Any]) -> bool:
    return bool(agent.verify) or agent.codec.spec is not None


def _kind_of(node: Node[Any, Any]) -> str:
    return node.type.lower()


def _names(node: Node[Any, Any]) -> frozenset[str]:
    return frozenset((node.name,))


def shown(value: Any) -> str:
    """A value of an argument as one would write it."""
    if isinstance(value, ModelCascade):
        return f"Cascade([{', '.join(map(shown, value.tiers))}], gate)"
    if hasattr(value, "id") and hasattr(value, "send"):
        return f'"{value.id}"'
    return f'"{value}"' if isinstance(value, str) else repr(value)


def label(model: Any) -> str:
    """A model in few words."""
    if isinstance(model, ModelCascade):
        return " then ".join(map(label, model.tiers))
    return (model if isinstance(model, str) else model.id).partition(":")[2] or str(getattr(model, "id", model))
