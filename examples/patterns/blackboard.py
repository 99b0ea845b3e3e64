"""A blackboard: four specialists who never speak to each other work on what stands on a common board.

Each declares what it reads and may write, and fires when what it reads has changed; nobody wrote down the order.
The task is a Caesar cipher. Plain functions do it, so this runs offline as it is; agents may stand in their places.
"""

from collections import Counter
from string import ascii_lowercase as abc

from outlay import run_sync
from outlay.patterns import Blackboard, Specialist

COMMON = {"the", "and", "a", "at", "is", "in", "to", "of", "we", "meet", "be", "noon", "harbour", "old", "seven"}


def shift(text, by):
    return text.translate(str.maketrans(abc, abc[by:] + abc[:by]))


def counter(board):
    """The letters of the text, the most frequent ones first."""
    return "".join(letter for letter, _ in Counter(filter(str.isalpha, board["input"])).most_common())


def guesser(board):
    """The next shift to try: the most frequent letters may stand for e, t or a."""
    shifts = list(dict.fromkeys((abc.index(p) - abc.index(c)) % 26 for p in "eta" for c in board["letters"][:3]))
    tried = board["verdict"]["shift"]
    return shifts[shifts.index(tried) + 1 if tried in shifts else 0]


def decoder(board):
    return {"attempt": {"shift": board["guess"], "text": shift(board["input"], board["guess"])}}


def reader(board):
    """How much of an attempt are words."""
    words = board["attempt"]["text"].split()
    return {"verdict": {"shift": board["attempt"]["shift"], "known": sum(w in COMMON for w in words) / len(words)}}


flow = Blackboard(
    [
        Specialist(counter, ["input"], {"letters": str}),
        Specialist(guesser, ["letters", "verdict"], {"guess": int}),
        Specialist(decoder, ["input", "guess"], {"attempt": dict}),
        Specialist(reader, ["attempt"], ["verdict"]),
    ],
    board={"verdict": {"shift": None, "known": 0.0}},
    until=lambda board: board["verdict"]["known"] > 0.5 and f"{board['verdict']['known']:.0%} of the words are known",
)

if __name__ == "__main__":
    result = run_sync(flow, "oh bccb hvoh qoh goh wb o vofpcif")
    print(f"{result.output['input']}\n{result.output['attempt']['text']}\n")
    facts = result.facts["blackboard"]
    print(*(f"{author:8} wrote {name} (version {version})" for name, version, author in facts["history"]), sep="\n")
    print(f"\nended by {facts['ended']}: {facts['why']}, after {facts['steps']} runs of specialists")
