"""Writer and critic: a program counts words and looks up citations before an editor gives an opinion (Refine).

Offline the writer is a program that shortens and cites only when told to, the editor one that dislikes "very".
"""

import json

from outlay import Agent, run_sync
from outlay.checkers import citations, length
from outlay.patterns import Critique, Refine

SMALL, LARGE = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
FACTS = [
    ("The lighthouse was lit in 1871 and is very tall", "archive"),
    ("its keeper walked 199 steps twice a night", "diary"),
    ("since 1964 a time switch does it", "council"),
]


def write(request):
    said = " ".join(message.text for message in request.messages if message.role == "user")
    facts = [text.replace("very ", "") if "very" in said.partition("task")[2] else text for text, _ in FACTS]
    sources = [f" [{source}]" if "cites no source" in said else "" for _, source in FACTS]
    draft = ". ".join(text[0].upper() + text[1:] + source for text, source in zip(facts, sources, strict=True)) + "."
    return draft if "shorten" in said else f"{draft} All in all, a building with a story, and well worth a visit."


def edit(request):
    draft = json.loads(request.text)["draft"]
    return Critique("very" not in draft, "task for the writer: do without `very`", score=1 / (1 + draft.count("very")))


writer = Agent("writer", LARGE, instructions="Write a plaque. Cite as [source].", history=True, offline=write)
editor = Agent("editor", SMALL, instructions="Is it fit for bronze?", output_type=Critique, offline=edit)
flow = Refine(writer, [length(max_words=28), citations(["archive", "diary", "council"]), editor], max_rounds=5)

if __name__ == "__main__":
    result = run_sync(flow, "A plaque for the lighthouse.", models="offline")
    for message in result.transcript:  # the writer's conversation: drafts, and what was wrong with them
        print(f"{'>' if message.role == 'user' else ' '} {message.text}\n")
    print(result.facts["refine"], result.bill, sep="\n\n")
