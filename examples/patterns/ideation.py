"""An ideation round: three people at a table speak in turn, each building on what was said, until nothing new comes.

Offline each is a program with a few made-up ideas, who drops those that somebody else has had already.
"""

import json

from outlay import Agent, run_sync
from outlay.patterns import RoundRobin

IDEAS = {
    "dreamer": ["a library on a boat", "a library that visits schools", "books that ring when they are late"],
    "maker": ["lend tools beside books", "a library that visits schools", "a shelf for half-finished projects"],
    "sceptic": ["no fines: they cost more than they bring", "open on Sundays", "lend tools beside books"],
}


def speak(request):
    said = {turn["output"] for turn in json.loads(request.text)["turns"]}
    return next((idea for idea in IDEAS[request.agent] if idea not in said), "nothing to add")


def member(name, character):
    instructions = f"{character} Add one new idea in a line, or say `nothing to add`."
    return Agent(name, "anthropic:claude-haiku-4-5", instructions=instructions, max_output_tokens=60, offline=speak)


def dry(turns):
    """Nothing new in a whole round."""
    return len(turns) >= 3 and all(turn.output == "nothing to add" for turn in turns[-3:]) and "the well is dry"


flow = RoundRobin(
    [
        member("dreamer", "You think big."),
        member("maker", "You ask how it is built."),
        member("sceptic", "You ask who pays."),
    ],
    max_turns=15,
    stop=dry,
    name="ideation",
)

if __name__ == "__main__":
    result = run_sync(flow, "What could our town library do?", models="offline")
    for turn in result.unwrap():
        print(f"{turn.speaker:>8}: {turn.output}")
    facts = result.facts["ideation"]
    print(f"\nended by {facts['ended']} ({facts['why']}) after {facts['turns']} turns\n\n{result.bill}")
