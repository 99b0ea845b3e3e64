"""A support desk as a mesh: whoever cannot help hands the case over with a summary, or asks a colleague and goes on.

A peer gets the task and the summary, never the whole conversation. Offline the agents are programs that go by words
and call the tools that the mesh lends them: `handoff_to_PEER` and `ask_PEER`.
"""

import json

from outlay import Agent, run_sync
from outlay.analysis.bill import Bill
from outlay.patterns import Mesh
from outlay.testing import Reply

MODEL = "anthropic:claude-haiku-4-5"
WORDS = {"billing": ("charged", "refund", "invoice"), "tech": ("crash", "login", "error")}


def greet(request):
    peer = next((peer for peer, words in WORDS.items() if any(word in request.text for word in words)), None)
    if peer is None:
        return "Tell me more: is it about a payment, or does something not work?"
    return Reply(tool_calls=[(f"handoff_to_{peer}", {"task": request.text, "summary": "greeted, sorted by words"})])


def bill(request):
    task = json.loads(request.text)["task"]
    if "crash" in task and request.messages[-1].role != "tool":
        return Reply(tool_calls=[("ask_tech", {"question": "Was there a crash at checkout today?"})])
    known = request.messages[-1].parts[0].content if request.messages[-1].role == "tool" else "no incident is known"
    return f"You get your money back within five days ({known})."


def fix(request):
    asked = json.loads(request.text)["task"]
    return "yes, from 9:10 to 9:25" if asked.startswith("Was there") else "Sign out and in again; we look into it."


desk = Agent("desk", MODEL, instructions="Greet, then hand over.", offline=greet)
billing = Agent("billing", MODEL, instructions="Payments.", description="Payments and refunds.", offline=bill)
tech = Agent("tech", MODEL, instructions="Outages and bugs.", description="Whatever does not work.", offline=fix)
flow = Mesh({desk: [billing, tech], billing: [tech]}, start=desk, max_handoffs=3, name="support")

if __name__ == "__main__":
    bill = Bill()
    for message in ("I was charged twice after a crash", "login gives an error", "hello"):
        result = run_sync(flow, message, models="offline")
        facts = result.facts["support"]
        asked = "".join(f", {who} asked {peer}" for who, peer in facts["asked"])
        print(f"{message}\n  {' → '.join(facts['path'])}{asked}\n  {result.output}\n")
        bill += result.bill
    print(bill)
