"""Vote on GSM8K (self-consistency): samples are recorded solutions of several models, the key is the final number.

    python examples/patterns/vote.py TABLE [QUESTIONS]

TABLE (or $GSM8K_TABLE) is parquet with the columns query, model, response and correct; needs `pip install arro3-io`.
No model is called: sample i of a question is what the i-th model answered when the table was recorded.
"""

import asyncio
import os
import re
import sys
from collections import defaultdict

from outlay import Agent, run_many
from outlay.patterns import Vote


def recorded(path):
    """By question and model: the recorded solution, and whether it is correct."""
    from arro3.io import read_parquet

    columns = (read_parquet(path).read_all()[name].to_pylist() for name in ("query", "model", "response", "correct"))
    found = defaultdict(dict)
    for query, model, response, correct in zip(*columns, strict=True):
        found[query][model] = (response, bool(correct))
    return found


def final_number(solution):
    """`… that makes $1,050.00 in all.` is 1050.0."""
    return float(re.findall(r"-?\d[\d,]*(?:\.\d+)?", solution)[-1].replace(",", ""))


def vote(table, models):
    def answer(request):
        return table[request.text][models[int(re.search(r"\[(\d+)\]", request.path)[1])]][0]

    solver = Agent("solver", "openai-chat:recorded", max_output_tokens=2_000, offline=answer)
    return Vote(solver, len(models), final_number)


async def main(path, most):
    table = dict(list(recorded(path).items())[:most])
    for name in (names := list(next(iter(table.values())))):
        print(f"{sum(row[name][1] for row in table.values()) / len(table):6.1%}  {name} alone")
    for models in (names, [name for name in names if "gpt-4" not in name]):
        facts, right = [], 0
        async for query, result in run_many(vote(table, models), ((q, q) for q in table), models="offline"):
            right += dict(table[query].values()).get(result.output, False)
            facts.append(result.facts["vote"])
        saved, margin = (sum(fact[key] for fact in facts) / len(facts) for key in ("saved", "margin"))
        print(f"{right / len(table):6.1%}  vote of {len(models)}: {saved:.2f} calls saved, margin {margin:.2f} (means)")


if __name__ == "__main__":
    path = sys.argv[1] if sys.argv[1:] else os.environ.get("GSM8K_TABLE")
    most = int(sys.argv[2]) if sys.argv[2:] else None
    asyncio.run(main(path, most) if path else sys.exit("which table? vote.py TABLE [QUESTIONS]"))
