"""A fan-out with a verification stage: readers take claims out of documents, a gate lets none pass without a quotable
source, and each claim of the summary still says which agent made it first and what it rests on.

Offline a reader is a program that copies numbers with their words; the made-up letter c.txt is misquoted on purpose.
"""

import re

from outlay import Agent, RunContext, node, run_sync
from outlay.patterns import Claim, FanOut, Gate, Pipeline

SMALL = "anthropic:claude-haiku-4-5"
DOCUMENTS = {
    "a.txt": "The bridge was opened in 1932. It carries 2 lanes.",
    "b.txt": "Repairs cost 41000 crowns.",
    "c.txt": "The arch is 84 metres wide.",
}


def extract(request):
    name = request.text
    found = re.findall(r"([A-Z][^.]*?) (\d+)", DOCUMENTS[name])
    return [Claim(words, int(number) + (name == "c.txt"), 0.9, name) for words, number in found]


def quoted(claims: list[list[Claim]]) -> str | None:
    """Each value stands in the source that its claim names."""
    wrong = [c for found in claims for c in found if str(c.value) not in DOCUMENTS.get(c.source, "")]
    return "; ".join(f"{c.by}: {c.source} does not say {c.value}" for c in wrong) or None


@node
async def summarise(ctx: RunContext, claims: list[list[Claim]]) -> list[Claim]:
    return [claim for found in claims for claim in found]


reader = Agent("reader", SMALL, instructions="Claims with source.", output_type=list[Claim], offline=extract)
flow = Pipeline(FanOut(reader), Gate(quoted), summarise, name="check")

if __name__ == "__main__":
    for names in (["a.txt", "b.txt"], ["a.txt", "c.txt"]):
        result = run_sync(flow, names, models="offline")
        for claim in result.output or ():
            print(f"{claim.subject} {claim.value}  [{claim.source}, {claim.by}]")
        if result.error:
            print(f"stopped at the gate: {result.error}")
            print(f"kept: {[part.path for part in result.partial]}, ${result.bill.total:.4f}")
