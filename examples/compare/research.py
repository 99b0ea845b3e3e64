"""One research agent, or a crew of researcher, writer and critic? The same ten questions about a made-up town.

    outlay compare examples/compare/research.py:single examples/compare/research.py:crew \
        --dataset examples/compare/questions.jsonl --checker examples/compare/research.py:facts \
        --checker examples/compare/research.py:cited --checker length=90 --budget 0.05

Offline the agents are programs, and the figures are theirs, not a model's: whoever researches asks the search once and
copies what it gave; the critic names the part of a question (they are joined by "and") that nothing was said about,
and then the researcher asks for that. The single agent and the researcher are the same program.
"""

import json
import re

from outlay import Agent, tool
from outlay.checkers import citations
from outlay.patterns import Critique, Pipeline, Refine
from outlay.testing import Reply

SMALL, MIDDLE = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
NOTES = {
    "ferry-1": "The ferry crosses every 40 minutes from six in the morning.",
    "ferry-2": "A ferry ticket costs 4.20 and children under six ride free.",
    "museum-1": "The museum is closed on Mondays.",
    "museum-2": "Entry to the museum costs 7 and is free on the first Sunday.",
    "market-1": "The market is held on Wednesday and Saturday until two.",
    "market-2": "Fish is sold at the north end of the market.",
    "tower-1": "The tower has 199 steps and no lift.",
    "tower-2": "From the tower one sees the lighthouse on clear days.",
    "bus-1": "Bus 7 runs from the station to the harbour.",
    "bus-2": "The last bus leaves the harbour at 23:10.",
    "pool-1": "The pool opens in May and shuts in September.",
    "pool-2": "A day at the pool costs 5.50.",
    "library-1": "The library lends books to visitors for a deposit of 20.",
    "bikes-1": "Bikes are rented at the station for 12 a day.",
}
_COMMON = set(
    re.findall(r"\w+", "a an and are at can do does for from has how in is it of on one the to what when where")
)

cited = citations(list(NOTES))


def facts(output: str, expected: list[str]) -> str | None:
    """Every figure and name that an answer needs is in it."""
    missing = [fact for fact in expected if fact.lower() not in output.lower()]
    return f"it does not say {', '.join(missing)}" if missing else None


@tool
def search(query: str) -> str:
    """The two notes that fit a query best."""
    wanted = words(query)
    ranked = sorted(NOTES, key=lambda note: (-len(wanted & words(NOTES[note])), note))
    return "\n".join(f"[{note}] {NOTES[note]}" for note in ranked[:2] if wanted & words(NOTES[note]))


def words(text: str) -> set[str]:
    return {word.rstrip("s") for word in re.findall(r"\w+", text.lower())} - _COMMON


def research(request):
    """Ask the search once: for what was found missing, else for the question as it is."""
    given = request.messages[0].text
    if request.messages[-1].role == "user":
        asked = json.loads(given)["feedback"] if given.startswith("{") else given
        return Reply(tool_calls=[("search", {"query": asked})])
    found = request.messages[-1].parts[0].content
    before = json.loads(given)["draft"] + " " if given.startswith("{") else ""
    return before + " ".join(f"{text} [{note}]." for note, text in re.findall(r"\[([\w-]+)\] (.+)\.", found))


def write(request):
    return " ".join(dict.fromkeys(re.findall(r"[^\[\]]+ \[[\w-]+\]\.", request.text)))


def criticise(request):
    given = json.loads(request.text)
    for part in re.split(r",? and ", given["task"]):
        if len(words(part) & words(given["draft"])) * 2 < len(words(part)):
            return Critique(False, part)
    return Critique(True)


single = Agent(
    "single", SMALL, instructions="Research and answer. Cite notes as [id].", tools=[search], offline=research
)
researcher = single.replace(name="researcher", instructions="Collect what the question needs. Cite notes as [id].")
writer = Agent("writer", MIDDLE, instructions="Write the answer from these notes. Keep the [id].", offline=write)
critic = Agent("critic", SMALL, instructions="Which part is not answered?", output_type=Critique, offline=criticise)
crew = Refine(Pipeline(researcher, writer, name="desk"), critic, max_rounds=2, name="crew")
