"""A router: a small model looks first, easy sums go to a small model, hard ones to a large one, doubt to a person.

Offline the classifier counts numbers and the answerers calculate; the large one writes down every step, as it is told.
"""

import ast
import operator
import re
from typing import Literal, NamedTuple

from outlay import Agent, RunContext, node, run_sync
from outlay.analysis.bill import Bill
from outlay.patterns import Router

SMALL, LARGE = "anthropic:claude-haiku-4-5", "anthropic:claude-opus-4-5"
SIGNS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}
QUESTIONS = ["What is 12 * 12?", "What is 7 + 5?", "What is (3 + 4) * (10 - 2) * 2?", "What is love?", "What is 9 - 3?"]


class Kind(NamedTuple):
    label: Literal["easy", "hard"]
    confidence: float


def classify(request):
    numbers = re.findall(r"\d+", request.text)
    return Kind("easy" if len(numbers) <= 2 else "hard", 0.95 if numbers else 0.4)


def calculate(request):
    steps = []

    def value(tree):
        if isinstance(tree, ast.Constant):
            return tree.value
        found = SIGNS[type(tree.op)](value(tree.left), value(tree.right))
        steps.append(f"Step {len(steps) + 1}: {ast.unparse(tree)} is {found}.")
        return found

    asked = re.search(r"[\d(][\d\s()+*-]*", request.text)
    answer = value(ast.parse(asked[0].strip(), mode="eval").body) if asked else "anybody's guess"
    return str(answer) if request.agent == "small" else "\n".join([*steps, f"So the answer is {answer}."])


@node
async def to_person(ctx: RunContext, question: str) -> str:
    return f"a person will look at it: {ctx.route.reason}"


look = Agent("look", SMALL, instructions="Easy or hard?", output_type=Kind, max_output_tokens=40, offline=classify)
small = Agent("small", SMALL, instructions="Calculate.", max_output_tokens=40, offline=calculate)
large = Agent("large", LARGE, instructions="Calculate, step by step.", offline=calculate)
flow = Router(look, {"easy": small, "hard": large}, default=to_person)

if __name__ == "__main__":
    for question, result in (both := [(q, run_sync(flow, q, models="offline")) for q in QUESTIONS]):
        print(f"{question:32} {result.facts['router']['route']:10} {result.output.splitlines()[-1]}")
    alone = Bill.merge(run_sync(large, question, models="offline").bill for question in QUESTIONS)
    print(Bill.merge(result.bill for _, result in both), f"all to the large model: ${alone.total:.4f}", sep="\n\n")
