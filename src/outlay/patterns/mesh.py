"""Mesh: peers that hand the work over to one another, or ask one another and go on.

Handoffs as tools are those of OpenAI's Swarm (2024) and its Agents SDK; there the whole conversation travels along,
here a task and an artifact do.
"""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar, TypeVar, Unpack, cast, overload

from outlay.agents.agent import Agent
from outlay.agents.tool import Tool
from outlay.errors import ConfigError, OutputInvalid, Stopped, TurnLimit
from outlay.patterns.handoff_tools import ask_tool, check_names, handoff_tool
from outlay.patterns.pattern import NOT_A_FAILURE, Common, Pattern
from outlay.patterns.peers import member_of, peers_of
from outlay.patterns.profile import Consequence, Profile
from outlay.patterns.relay import Relay
from outlay.patterns.retold import retold, tokens_of
from outlay.protocols.context import RunContext
from outlay.protocols.node import In, Node, Out
from outlay.values.handoff import Handoff
from outlay.values.plan import Task
from outlay.values.transcript import Transcript
from outlay.values.usage import Usage

A = TypeVar("A")


@dataclass(frozen=True, eq=False)
class Mesh(Pattern[In, Out]):
    """`agents={a: [b, c]}` says who may hand off to whom, by node or by name; `start` gets the input, and whoever
    answers instead of handing off gives the output.

    An agent is lent two tools for each of its peers: `handoff_to_PEER` ends its turn, `ask_PEER` gives it the peer's
    answer. Any other node hands off by returning `Handoff(to, task, artifact)`. The peer gets
    `Task(goal, task, results)` in a fresh conversation, with the artifacts that travel with the work as results, by
    sender: never the sender's history, unless `history=True`, which is flagged with its tokens and price at each
    handoff. A peer that is asked answers; it cannot hand off.

    After `max_handoffs` an agent has no handoff tools any more and must answer; where that fails, or another node
    hands off once more, TurnLimit is raised with the best answer so far: the last artifact that was handed over. The
    same handoff (sender, peer and task, over the same last artifact) for the second time is a loop: it ends with the
    best so far, degraded, or as TurnLimit where there is none. A failed peer ends it with the best so far too, or is
    raised. `Result.facts` has the path of the work, who was asked, and how it ended: `answered`, `loop`,
    `max_handoffs`, `failed`, `skipped`, or the reason of a stop.
    """

    profile: ClassVar[Profile] = Profile(
        parallelism="none: one has the work; an agent may ask several peers at once",
        cost="one call a handoff and one a question, beside the answer",
        best_when="who is competent shows only during the work: support desks, escalation",
        worst_when="the order is known (a `Pipeline`) or one look tells (a `Router`)",
        ends="when somebody answers, after `max_handoffs`, or when the same handoff comes round again",
        failed_member=Consequence("goes on", "the last artifact handed over stands; without one it is raised"),
        at_budget=Consequence("best so far", "the last artifact handed over"),
        at_deadline=Consequence("best so far", "the last artifact handed over"),
    )

    agents: Mapping[Node[Any, Any], Sequence[Node[Any, Any]]]
    start: Node[In, Any]
    max_handoffs: int
    history: bool = field(default=False, kw_only=True)

    if typing.TYPE_CHECKING:

        @overload
        def __init__(
            self: Mesh[Any, A],
            agents: Mapping[Node[Any, A | Handoff[Any]], Sequence[Node[Any, A | Handoff[Any]] | str]],
            start: Node[Any, A | Handoff[Any]] | str,
            max_handoffs: int,
            *,
            history: bool = False,
            **common: Unpack[Common],
        ) -> None: ...
        @overload
        def __init__(
            self: Mesh[Any, Any],
            agents: Mapping[Any, Sequence[Any]],
            start: Any,
            max_handoffs: int,
            *,
            history: bool = False,
            **common: Unpack[Common],
        ) -> None: ...
        def __init__(self, *args: Any, **options: Any) -> None: ...

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "agents", MappingProxyType(peers_of(self.agents)))
        object.__setattr__(self, "start", member_of(self.start, tuple(self.members.values())))
        if self.max_handoffs < 1:
            raise ConfigError(
                f"Mesh: max_handoffs must be at least 1, not {self.max_handoffs}",
                hint="an agent that never hands off needs no Mesh",
            )
        self.tools  # noqa: B018 - a name that two tools would have is refused here

    @cached_property
    def members(self) -> Mapping[str, Node[Any, Any]]:
        """Everybody by name, senders before those whom only others name."""
        found = {node.name: node for node in self.agents}
        return found | {peer.name: peer for peers in self.agents.values() for peer in peers}

    @cached_property
    def tools(self) -> Mapping[Node[Any, Any], tuple[tuple[Tool, ...], tuple[Tool, ...]]]:
        """What each agent with peers is lent: the tools to ask, and the tools to hand off."""
        found: dict[Node[Any, Any], tuple[tuple[Tool, ...], tuple[Tool, ...]]] = {}
        for node, peers in self.agents.items():
            if isinstance(node, Agent):
                asks = tuple(ask_tool(peer) for peer in peers)
                handoffs = tuple(handoff_tool(node, peer) for peer in peers)
                check_names(node, (*asks, *handoffs))
                found[node] = asks, handoffs
        return found

    @property
    def children(self) -> tuple[Node[Any, Any], ...]:
        return tuple(self.members.values())

    async def run(self, ctx: RunContext[Any], input: In) -> Out:
        relay = Relay([self.start.name], self.max_handoffs)
        ctx.if_stopped(lambda: relay.best)
        try:
            return await self._pass_around(ctx, input, relay)
        except Stopped as stop:
            relay.ended = relay.ended or stop.reason
            raise stop.with_best(relay.best if stop.best is None else stop.best, ctx.path) from None
        finally:
            ended = relay.ended or "failed"
            ctx.report(
                ended=ended, path=list(relay.path), handoffs=relay.handoffs, asked=[list(pair) for pair in relay.asked]
            )

    async def _pass_around(self, ctx: RunContext[Any], goal: In, relay: Relay) -> Any:
        """Let one after the other work until somebody answers, or it goes on no longer."""
        node: Node[Any, Any] = self.start
        given: Any = goal
        past: Transcript | None = None
        while True:
            before = ctx.transcript_of(node)
            try:
                output = await ctx.child(node, given, transcript=past, tools=self._lent(node, relay))
                self._check(ctx, node, output)
            except NOT_A_FAILURE:
                raise
            except Exception as error:
                if relay.best is None:
                    raise
                ctx.skip(node.name, "the peer failed, the last artifact stands", error)
                return relay.best
            finally:
                talk = ctx.transcript_of(node)
                if talk is not None and talk is not before:
                    relay.asked.extend((node.name, peer) for peer in self._asked(node, talk))
            if not isinstance(output, Handoff):
                if output is given and node.optional:  # a task is no answer to itself
                    relay.ended = "skipped"
                    return goal if relay.best is None else relay.best
                relay.ended = "answered"
                return output
            handoff = cast("Handoff[Any]", output)
            relay.ended = relay.pass_on(handoff)
            if relay.ended == "max_handoffs":
                raise self._unanswered(ctx, relay, f"{node.name} wanted to hand over to {handoff.peer} once more")
            if relay.ended == "loop":
                why = f"{node.name} handed the same to {handoff.peer} before"
                if relay.best is None:
                    raise self._unanswered(ctx, relay, f"a loop: {why}")
                ctx.skip(handoff.peer, f"a loop: {why}; the last artifact stands")
                return relay.best
            sender, node = node, self.members[handoff.peer]
            given = Task(goal, handoff.task, dict(relay.artifacts))
            past = self._history(ctx, sender, node, talk)

    def _lent(self, node: Node[Any, Any], relay: Relay) -> tuple[Tool, ...]:
        asks, handoffs = self.tools.get(node, ((), ()))
        return (*asks, *handoffs) if relay.may_hand_off else asks

    def _check(self, ctx: RunContext[Any], node: Node[Any, Any], output: Any) -> None:
        """Raises OutputInvalid for a handoff to nobody, to the sender itself, or to somebody who is no peer of it."""
        peers = [peer.name for peer in self.agents.get(node, ())]
        if isinstance(output, Handoff) and output.peer not in peers:
            problem = "itself" if output.peer == node.name else f"{output.peer[:80]!r}, which is none of its peers"
            raise OutputInvalid(
                f"{node.name} handed off to {problem}",
                output=output.task,
                problem=problem,
                path=ctx.path,
                hint=f"the peers of {node.name} are: {', '.join(peers) or 'none'}",
            )

    def _asked(self, node: Node[Any, Any], talk: Transcript) -> Iterator[str]:
        """The peers that an agent asked in a conversation, in order."""
        asks, _ = self.tools.get(node, ((), ()))
        names = {tool.name: peer.name for tool, peer in zip(asks, self.agents.get(node, ()), strict=False)}
        for message in talk:
            yield from (names[called.name] for called in message.tool_calls if called.name in names)

    def _history(
        self, ctx: RunContext[Any], sender: Node[Any, Any], receiver: Node[Any, Any], talk: Transcript | None
    ) -> Transcript | None:
        """The sender's conversation for the receiver, where that is wanted, with a decision that names its price."""
        if not self.history or talk is None or not isinstance(receiver, Agent):
            return None
        past = retold(talk)
        tokens = tokens_of(past)
        price = ctx.price(ctx.model(receiver.name, receiver.models[0], receiver.offline))
        usd = None if price is None else str(price.cost(Usage(input_tokens=tokens)))
        ctx.decide(
            "history_passed", sender=sender.name, to=receiver.name, messages=len(past), tokens=tokens, usd_a_turn=usd
        )
        return past

    def _unanswered(self, ctx: RunContext[Any], relay: Relay, why: str) -> TurnLimit:
        return TurnLimit(
            f"nobody answered after {relay.handoffs} handoffs ({' → '.join(relay.path)}): {why}",
            turns=relay.max_handoffs,
            path=ctx.path,
            hint="raise max_handoffs, or say in the instructions who has to answer",
        )
