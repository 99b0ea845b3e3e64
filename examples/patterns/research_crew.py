"""A research crew: a planner splits the question, scouts look at the same time, one agent reconciles what they found.

Scouts make claims with a source, so contradictions are found by comparing them, not by a model's opinion. Offline the
"agents" are small programs: a scout looks its subject up in the made-up notes below and takes 0.3 s for it.
"""

import asyncio
import json

from outlay import Agent, run_sync
from outlay.events import NodeStarted
from outlay.patterns import Claim, Plan, Subtask, Supervisor

SMALL, LARGE = "anthropic:claude-haiku-4-5", "anthropic:claude-opus-4-5"
NOTES = {
    "demand": [Claim("crossings a day", 1_450, 0.8, "census.txt"), Claim("peak", "Saturday", 0.9, "diary.txt")],
    "boats": [Claim("seats a boat", 120, 0.9, "yard.txt"), Claim("crossings a day", 900, 0.5, "yard.txt")],
    "harbour": [Claim("berths free", 2, 0.9, "harbour.txt")],
    "money": [Claim("fare", "4.20", 0.7, "council.txt")],
}


async def look(request):
    await asyncio.sleep(0.3)
    return NOTES[json.loads(request.text)["task"]]


def merge(request):
    found = json.loads(request.text)
    lines = [f"- {c['subject']}: {c['value']} [{c['source']}]" for claims in found["results"].values() for c in claims]
    for clash in found["contradictions"]:
        sides = " or ".join(f"{c['value']} ({c['source']}, {c['confidence']:.0%} sure)" for c in clash["claims"])
        lines.append(f"! {clash['subject']}: {sides}")
    return "\n".join(lines)


def crew(scouts, one_by_one=False):
    """The crew with this model for its scouts; `one_by_one` makes each subtask wait for the one before."""
    chain = [None, *NOTES] if one_by_one else [None] * len(NOTES)
    plan = Plan([Subtask(s, "scout", s, [needs] if needs else []) for s, needs in zip(NOTES, chain, strict=False)])
    planner = Agent("planner", LARGE, instructions="Split it.", output_type=Plan, offline=lambda request: plan)
    scout = Agent("scout", scouts, instructions="Cite all.", output_type=list[Claim], offline=look, description="Looks")
    reconcile = Agent("reconcile", LARGE, instructions="Name both sides of a contradiction.", offline=merge)
    return Supervisor(planner, [scout], reconcile, max_subtasks=12, name="crew")


flow = crew(SMALL)

if __name__ == "__main__":
    question = "Is a second ferry worth it?"
    gathered, serial = (run_sync(f, question, models="offline") for f in (flow, crew(SMALL, one_by_one=True)))
    large = run_sync(crew(LARGE), question, models="offline")
    print(gathered.output, gathered.bill, sep="\n\n")
    for event in gathered.events:
        if isinstance(event, NodeStarted) and event.name == "scout":
            print(f"{event.path:24} starts at {event.time - gathered.events[0].time:.2f} s")
    print(f"one after the other {serial.seconds:.2f} s, gathered {gathered.seconds:.2f} s")
    print(f"small scouts ${gathered.bill.total:.4f}, large scouts ${large.bill.total:.4f}")
