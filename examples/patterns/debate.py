"""A debate: three estimators answer on their own, then read one another, until nobody changes its mind or a judge is
satisfied. Which further round changed what is in the facts.

Offline an estimator is a program with a made-up guess and a stubbornness: it moves towards the median of the others.
"""

import json
import re
from statistics import median

from outlay import Agent, run_sync
from outlay.patterns import Debate, Judgement

SMALL, LARGE = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
GUESSES = {"baker": (140, 0.5), "mason": (200, 0.5), "pilot": (620, 0.2)}


def estimate(request):
    answers = [int(text) for text in re.findall(r"answered: (\d+)", request.text)]
    if not answers:
        return str(GUESSES[request.agent][0])
    own = int(next(m.text for m in reversed(request.messages) if m.role == "assistant"))
    stubborn = GUESSES[request.agent][1]
    return str(round(own * stubborn + median(answers) * (1 - stubborn)))


def weigh(request):
    last = sorted(int(answer) for answer in json.loads(request.text)["rounds"][-1].values())
    return Judgement(last[-1] <= 1.25 * last[0], f"{median(last)} sweets (from {last[0]} to {last[-1]})")


estimators = [
    Agent(name, SMALL, instructions="Answer with a number only.", max_output_tokens=20, offline=estimate)
    for name in GUESSES
]
judge = Agent(
    "judge",
    LARGE,
    instructions="Done if they nearly agree.",
    output_type=Judgement,
    max_output_tokens=80,
    offline=weigh,
)
flow = Debate(estimators, judge, max_rounds=3)

if __name__ == "__main__":
    result = run_sync(flow, "How many sweets are in the jar in the bakery's window?", models="offline")
    facts = result.facts["debate"]
    for change in facts["changes"]:
        moves = ", ".join(f"{who} {move['from']} → {move['to']}" for who, move in change["changed"].items())
        print(f"round {change['round']}: {moves}")
    print(f"{result.output}; ended by {facts['ended']} after {facts['rounds']} rounds\n\n{result.bill}")
