"""Random trees of all patterns, for the laws that hold for each of them: what they take, cost and may not pass."""

from __future__ import annotations

import re
import zlib
from itertools import count

from hypothesis import strategies as st

from outlay import Agent, Budget, Tool, node
from outlay.errors import Overloaded
from outlay.patterns import (
    Blackboard,
    Critique,
    Debate,
    Detached,
    FanOut,
    Gate,
    Judgement,
    Mesh,
    Pipeline,
    Plan,
    Refine,
    RoundRobin,
    Router,
    Specialist,
    Subtask,
    Supervisor,
    Vote,
)
from outlay.testing import Reply, ScriptedModel


def name_at(path):
    """The node's name at the end of a path, without its key and its number."""
    return re.sub(r"(\[.*\])?(#\d+)?$", "", path.rpartition("/")[2])


class Tree:
    """A drawn flow with the seconds that it takes, and the calls that it makes, where nothing fails.

    `caps` are its limits by the pattern's name: the fact that counts, how far it may go, and how often the pattern may
    run a member at most (one by name, or any). `budgets` are those of its nodes.
    """

    def __init__(self, flow, seconds, calls, caps=None, budgets=None):
        self.flow, self.seconds, self.calls = flow, seconds, calls
        self.caps, self.budgets = caps or {}, budgets or {}


#: No agent fails, none changes its mind, every critic is content.
CALM = ("none",)


class Builder:
    """Draws trees. Each agent answers after its latency, or fails in the way that was drawn for it.

    Unless the trees are calm, answers vary, nothing ends by itself (critics are never content, judges never satisfied,
    peers hand over for ever), and any node may be optional or, with `budgets`, have a budget of its own.
    """

    def __init__(self, draw, failures=CALM, budgets=False):
        self.draw, self.failures, self.calm, self.with_budgets = draw, failures, failures == CALM, budgets
        self.number, self.caps, self.budgets = count(), {}, {}

    def name(self, kind):
        return f"{kind}{next(self.number)}"

    def agent(self, answer=None, **options):
        latency = self.draw(st.integers(0, 9))
        fault = self.draw(st.sampled_from(self.failures))
        calm, tried = self.calm, set()

        def reply(request):
            talk = request.transcript.head
            if fault == "fails":
                return Overloaded("busy", retryable=False)
            if fault == "stumbles" and talk not in tried:
                tried.add(talk)
                return Overloaded("busy", retry_after=1)
            if fault == "refuses":
                return Reply("no", stop="refusal")
            if fault == "raises":
                return LookupError("lost")
            if fault == "loops" or (fault == "looks" and request.messages[-1].role != "tool"):
                return Reply(tool_calls=[("noop", {})])
            if fault == "breaks":
                return Reply(tool_calls=[("broken", {})])
            if answer is not None:
                return answer(request) if callable(answer) else answer
            return "ok" if calm else f"ok {'ABC'[zlib.crc32(talk + request.path.encode()) % 3]}"

        def broken() -> str:
            raise LookupError("no such thing")

        tools = [Tool("noop", lambda: "", "Does nothing."), Tool("broken", broken, "Always fails.")]
        model = ScriptedModel(reply, latency=latency, price=(1, 2))
        name = options.pop("name", "") or self.name("agent")
        return Tree(Agent(name, model, tools=tools, max_turns=3, max_output_tokens=200, **options), latency, 1)

    def options(self, kind, caps=None):
        """A name, and whatever else a node may have. `caps` are as in `Tree`."""
        name = self.name(kind)
        if caps is not None:
            self.caps[name] = caps
        if self.calm:
            return {"name": name}
        budget = None
        if self.with_budgets:
            some = [None, None, Budget(calls=2), Budget(usd="0.0005"), Budget(seconds=12)]
            self.budgets[name] = budget = self.draw(st.sampled_from(some))
        return {"name": name, "optional": self.draw(st.booleans()), "budget": budget}

    def tree(self, depth):
        kinds = ["agent", "pipeline", "fanout", "items", "router", "supervisor", "refine", "vote", "debate"]
        kinds += ["roundrobin", "mesh", "blackboard", "gate"]
        kinds += [] if self.calm else ["detached", "ping_pong", "clockwork"]
        kind = self.draw(st.sampled_from(kinds))
        if depth == 0 or kind == "agent":
            return self.agent(**self.options("agent"))
        return getattr(self, kind)(depth - 1)

    def opinion(self, content, kind):
        """A critic or a judge: content in calm trees, else as drawn."""
        calm = self.calm or self.draw(st.booleans())
        return self.agent(content(calm), output_type=kind)

    def trees(self, depth):
        return [self.tree(depth) for _ in range(self.draw(st.integers(1, 3)))]

    def pipeline(self, depth):
        parts = self.trees(depth)
        flow = Pipeline(*(p.flow for p in parts), **self.options("pipeline"))
        return Tree(flow, sum(p.seconds for p in parts), sum(p.calls for p in parts))

    def fanout(self, depth):
        parts = self.trees(depth)
        flow = FanOut([p.flow for p in parts], merge=self.join(), **self.options("fanout"))
        return Tree(flow, max(p.seconds for p in parts), sum(p.calls for p in parts))

    def items(self, depth):
        part, n = self.tree(depth), self.draw(st.integers(0, 3))
        flow = FanOut(part.flow, lambda x: [f"{i}" for i in range(n)], self.join(), **self.options("items"))
        return Tree(flow, part.seconds if n else 0, part.calls * n)

    def join(self):
        return node(name=self.name("join"))(lambda found: f"joined {len(found)}")

    def router(self, depth):
        classifier, a, b = self.agent("yes"), self.tree(depth), self.tree(depth)
        flow = Router(classifier.flow, {"yes": a.flow}, b.flow, **self.options("router"))
        return Tree(flow, classifier.seconds + a.seconds, classifier.calls + a.calls)

    def supervisor(self, depth):
        parts = self.trees(depth)
        chained = [self.draw(st.booleans()) for _ in parts]
        subtasks, ends = [], []
        for i, part in enumerate(parts):
            chain = i > 0 and chained[i]
            subtasks.append(Subtask(f"t{i}", part.flow.name, f"do {i}", [f"t{i - 1}"] if chain else []))
            ends.append((ends[-1] if chain else 0) + part.seconds)
        planner, last = self.agent(Plan(subtasks), output_type=Plan), self.agent()
        most = 1 if self.calm else self.draw(st.integers(1, 3))
        options = self.options("crew", ("rounds", most, planner.flow.name, 2 * most))
        flow = Supervisor(planner.flow, [p.flow for p in parts], last.flow, max_rounds=most, **options)
        seconds = planner.seconds + max(ends) + last.seconds
        return Tree(flow, seconds, sum(p.calls for p in parts) + 2)

    def refine(self, depth):
        part, critic, most = self.tree(depth), self.opinion(Critique, Critique), self.draw(st.integers(1, 3))
        flow = Refine(part.flow, critic.flow, most, **self.options("refine", ("rounds", most, part.flow.name, most)))
        return Tree(flow, part.seconds + critic.seconds, part.calls + critic.calls)

    def gate(self, depth):
        part, critic = self.tree(depth), self.opinion(Critique, Critique)
        gate = Gate(critic.flow, **self.options("gate"))
        flow = Pipeline(part.flow, gate, name=self.name("gated"))
        return Tree(flow, part.seconds + critic.seconds, part.calls + critic.calls)

    def detached(self, depth):
        part, beside = self.tree(depth), self.tree(depth)
        flow = Pipeline(Detached(beside.flow, **self.options("beside")), part.flow, name=self.name("pipeline"))
        return Tree(flow, part.seconds, part.calls)

    def vote(self, depth):
        part, n, early_stop = self.tree(depth), self.draw(st.integers(1, 4)), self.draw(st.booleans())
        flow = Vote(part.flow, n, str, early_stop, **self.options("vote", ("asked", n, part.flow.name, n)))
        return Tree(flow, part.seconds, part.calls * (n // 2 + 1 if early_stop else n))

    def debate(self, depth):
        parts = [self.agent(), *self.trees(depth)]
        judge, most = self.opinion(lambda done: Judgement(done, "ok"), Judgement), self.draw(st.integers(0, 2))
        options = self.options("debate", ("rounds", most, parts[0].flow.name, most + 1))
        flow = Debate([p.flow for p in parts], judge.flow, most, **options)
        return Tree(flow, max(p.seconds for p in parts) + judge.seconds, sum(p.calls for p in parts) + 1)

    def roundrobin(self, depth):
        parts = self.trees(depth)
        most = len(parts) if self.calm else self.draw(st.integers(1, 5))
        flow = RoundRobin([p.flow for p in parts], most, **self.options("talk", ("turns", most, "", most)))
        return Tree(flow, sum(p.seconds for p in parts), sum(p.calls for p in parts))

    def mesh(self, depth):
        peer = self.tree(depth)
        first = self.agent(Reply(tool_calls=[(f"handoff_to_{peer.flow.name}", {"task": "go on", "summary": "so far"})]))
        flow = Mesh({first.flow: [peer.flow]}, first.flow, 1, **self.options("mesh", ("handoffs", 1, "", 2)))
        return Tree(flow, first.seconds + peer.seconds, first.calls + peer.calls)

    def blackboard(self, depth):
        parts = self.trees(depth)
        specialists = [
            Specialist(
                Pipeline(p.flow, lambda output: type(output).__name__, name=f"expert{i}"), ["input"], {f"e{i}": str}
            )
            for i, p in enumerate(parts)
        ]
        flow = Blackboard(specialists, **self.options("board", ("steps", 20, "", 20)))
        return Tree(flow, max(p.seconds for p in parts), sum(p.calls for p in parts))

    # ── what never ends by itself ─────────────────────────────────────────────────────────────────────────

    def ping_pong(self, depth):
        """Two peers hand over to each other for as long as they may, each time with another task."""
        other = self.tree(depth)
        names = [self.name("peer"), self.name("peer")]

        def on(peer):
            def reply(request):
                tool = f"handoff_to_{peer}"
                if all(spec.name != tool for spec in request.tools):
                    return "ok"
                return Reply(tool_calls=[(tool, {"task": f"{request.text[-40:]}!", "summary": "so far"})])

            return reply

        a, b = (self.agent(on(peer)).flow.replace(name=name) for name, peer in (names, reversed(names)))
        most = self.draw(st.integers(1, 4))
        flow = Mesh({a: [b, other.flow], b: [a]}, a, most, **self.options("pingpong", ("handoffs", most, "", most + 1)))
        return Tree(flow, 0, 0)

    def clockwork(self, depth):
        """A specialist that reads what it writes, beside one that reads it, too."""
        part, most = self.tree(depth), self.draw(st.integers(1, 4))
        ticks = Specialist(node(name=self.name("tick"))(lambda board: board["n"] + 1), ["n"], {"n": int})
        reader = Specialist(Pipeline(part.flow, lambda output: "seen", name=self.name("reader")), ["n"], {"seen": str})
        flow = Blackboard([ticks, reader], {"n": 0}, max_steps=most, **self.options("clock", ("steps", most, "", most)))
        return Tree(flow, 0, 0)


@st.composite
def trees(draw, failures=CALM, budgets=False):
    """A tree of at most four levels."""
    builder = Builder(draw, tuple(failures), budgets)
    tree = builder.tree(draw(st.sampled_from([3, 2, 1, 0])))
    return Tree(tree.flow, tree.seconds, tree.calls, builder.caps, builder.budgets)
