"""A single call, or a planner with executors? Bills to add up: a set on which a program can say who is right.

    outlay compare examples/compare/sums.py:single examples/compare/sums.py:planned \
        --dataset examples/compare/sums.csv --checker numeric --budget 0.05 --value 0.05

Offline the agents are programs: a call adds up to six amounts without a mistake and overlooks the others, whoever makes
it. The planner deals a bill out in pieces of five. What this shows is the arithmetic of a verdict, not a model's.
"""

import json
import re
from decimal import Decimal

from outlay import Agent
from outlay.patterns import Plan, Subtask, Supervisor

SMALL, MIDDLE = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
_AMOUNT = re.compile(r"\d+\.\d\d")
_AT_ONCE, _PIECE = 6, 5


def add(request):
    asked = json.loads(request.text)["task"] if request.text.startswith("{") else request.text
    return str(sum(map(Decimal, _AMOUNT.findall(asked)[:_AT_ONCE]), Decimal(0)))


def plan(request):
    amounts = _AMOUNT.findall(request.text)
    pieces = [amounts[start : start + _PIECE] for start in range(0, len(amounts), _PIECE)]
    return Plan([Subtask(f"piece{i}", "adder", f"Add {' '.join(piece)}") for i, piece in enumerate(pieces)])


def total(request):
    return str(sum(map(Decimal, json.loads(request.text)["results"].values()), Decimal(0)))


single = Agent("single", MIDDLE, instructions="Add it all up. Answer with the number.", offline=add)
planner = Agent("planner", MIDDLE, instructions="Deal the bill out.", output_type=Plan, offline=plan)
adder = Agent("adder", SMALL, instructions="Add. Answer with the number.", description="Adds amounts.", offline=add)
summing = Agent("total", SMALL, instructions="Add the results. Answer with the number.", offline=total)
planned = Supervisor(planner, [adder], summing, name="planned")
