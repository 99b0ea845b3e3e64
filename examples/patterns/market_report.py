"""A market report by a hierarchy: a chief leads two desks, and each desk is a supervisor with reporters of its own.

`Budget(depth=, fan_out=)` hold for the whole tree. Offline the agents are programs over made-up sales figures.
"""

import json

from outlay import Agent, Budget, run_sync
from outlay.patterns import Plan, Subtask, Supervisor

SMALL, LARGE = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
SALES = {"lamps": [120, 150, 180], "desks": [80, 78, 60], "kites": [30, 45, 90], "bells": [12, 12, 13]}
DESKS = {"home": ["lamps", "desks"], "leisure": ["kites", "bells"]}


def report(request):
    goods = json.loads(request.text)["task"]
    first, *_, last = SALES[goods]
    return f"{goods}: {last} sold, {last / first - 1:+.0%} in three years"


def gather(request):
    return "\n".join(json.loads(request.text)["results"].values())


def planner(name, plan):
    return Agent(name, LARGE, instructions="Who looks at what?", output_type=Plan, offline=lambda request: plan)


def desk(name, goods):
    """A supervisor that is the worker of another one: it gets that one's Task, and gives its own report."""
    reporter = Agent(f"{name}-reporter", SMALL, description="Reports on one kind of goods.", offline=report)
    plan = Plan([Subtask(one, reporter.name, one) for one in goods])
    head = Agent(f"{name}-head", SMALL, instructions="One paragraph.", offline=lambda r: f"[{name}]\n{gather(r)}")
    return Supervisor(
        planner(f"{name}-planner", plan), [reporter], head, name=name, description=f"Knows {name} goods.",
        budget=Budget(usd="0.10"),
    )  # fmt: skip


chief = planner("chief", Plan([Subtask(name, name, f"What sells in {name}?") for name in DESKS]))
editor = Agent("editor", LARGE, instructions="Headline, then the desks.", offline=lambda r: f"WHAT SELLS\n{gather(r)}")
flow = Supervisor(chief, [desk(name, goods) for name, goods in DESKS.items()], editor, name="report")

if __name__ == "__main__":
    result = run_sync(flow, "What sells this year?", budget=Budget(usd="0.50", depth=4, fan_out=4), models="offline")
    print(result.output, result.bill, sep="\n\n")
    flat = run_sync(flow, "What sells this year?", budget=Budget(depth=1), models="offline")
    print(f"\nwith depth=1: {flat.stop_reason}: {flat.error}")
