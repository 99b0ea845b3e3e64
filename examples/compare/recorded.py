"""Comparisons on material that nobody here wrote: GSM8K as real models solved it, and Banking77's customer messages.

    python examples/compare/recorded.py [FOLDER]

FOLDER is that of the data, `../shared/data` beside the repository if not given. GSM8K: the models' recorded solutions
are replayed word for word, at list prices and four characters a token; nothing is asked anew. Banking77: the
classifiers are programs learned from the training messages, each at the list price of the model it stands for.
"""

import asyncio
import csv
import math
import random
import re
import sys
from collections import Counter, defaultdict
from pathlib import Path

from outlay import Agent, node
from outlay.evals import Case, Dataset, Terms, compare, report
from outlay.patterns import Cascade
from outlay.routing.answers import answer_shape
from outlay.routing.tables import read_table
from outlay.testing import ScriptedModel

SMALL, MIDDLE = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"
#: US dollars per million tokens of input and of output, as the recordings state them.
PRICES = {"gpt-4-1106-preview": (10, 30), "mistralai/Mixtral-8x7B-Instruct-v0.1": ("0.24", "0.24")}


# ── GSM8K ─────────────────────────────────────────────────────────────────────────────────────────────────


def solutions(table):
    """The questions as cases, with the answer that the benchmark gives, and each model's solutions by question."""
    cases, recorded = {}, defaultdict(dict)
    for _, row in read_table(table, ("query_id", "query", "model", "response", "ground_truth")):
        answer = re.search(r"A: *(-?[\d,.]+)\s*$", row["ground_truth"])
        cases[row["query_id"]] = Case(row["query_id"], row["query"], answer[1].rstrip("."))
        recorded[row["model"]][row["query"]] = row["response"]
    return list(cases.values()), recorded


def replayed(recorded, model):
    """A model that answers as it did."""
    return ScriptedModel(
        lambda request: recorded[model][request.text] or "(no answer)", name=model, price=PRICES[model]
    )


def consistent(solution, question):
    """A gate without a model: the sums are right, there is a number, and nothing was doubted."""
    shape = answer_shape(question, solution)
    bad = [sign for sign in ("a wrong sum", "no number", "negative", "doubts", "final is no result") if shape[sign]]
    return ", ".join(bad) or None


def gsm8k(table, sample=789, seed=0):
    """GPT-4 alone, and Mixtral first with GPT-4 for what does not hold together."""
    cases, recorded = solutions(table)
    cases = random.Random(seed).sample(cases, min(sample, len(cases)))
    questions = {recorded["mistralai/Mixtral-8x7B-Instruct-v0.1"][case.input]: case.input for case in cases}
    large, small = (
        Agent(name, replayed(recorded, model), instructions="Solve it.", max_output_tokens=2_048)
        for name, model in (("gpt4", "gpt-4-1106-preview"), ("mixtral", "mistralai/Mixtral-8x7B-Instruct-v0.1"))
    )
    tiers = Cascade([small, large], lambda output: consistent(output, questions.get(output, "")), name="tiers")
    dataset = Dataset(tuple(cases), table.name)
    return large, tiers, dataset, Terms(checkers=["numeric"], budget="0.10")


# ── Banking77 ─────────────────────────────────────────────────────────────────────────────────────────────


def words(text):
    return re.findall(r"\w+", text.lower())


def trigrams(text):
    line = f" {' '.join(words(text))} "
    return [line[i : i + 3] for i in range(len(line) - 2)]


def learned(messages, features):
    """A naive Bayes classifier: features of a text are what it goes by."""
    counts, totals, labels = defaultdict(Counter), Counter(), Counter()
    for text, label in messages:
        counts[label].update(features(text))
        labels[label] += 1
    totals = {label: sum(counts[label].values()) for label in labels}
    known = len({feature for of_label in counts.values() for feature in of_label})

    def score(text, label):
        of_label, total = counts[label], totals[label] + 0.1 * known
        return math.log(labels[label]) + sum(math.log((of_label[f] + 0.1) / total) for f in features(text))

    return lambda text: max(labels, key=lambda label: score(text, label))


def nearest(messages):
    """The label of the most similar message (shared words, rare ones count more)."""
    seen = Counter(word for text, _ in messages for word in set(words(text)))
    known = [(set(words(text)), label) for text, label in messages]

    def overlap(ours, theirs):
        return sum(1 / seen[word] for word in ours & theirs) / math.sqrt(len(theirs) or 1)

    return lambda text: max(known, key=lambda message: overlap(set(words(text)), message[0]))[1]


def banking(folder, sample=300, seed=0):
    """One classifier, and a panel of three that differ: what two of them say, else what the first does."""
    train, test = (_messages(folder / name) for name in ("train.csv", "test.csv"))
    chance = random.Random(seed)
    test, train = chance.sample(test, sample), chance.sample(train, 3_000)
    by_words, by_trigrams, by_message = learned(train, words), learned(train, trigrams), nearest(train)
    ask = "Which of the 77 intents is this message of? Answer with its name."
    members = [
        Agent(name, SMALL, instructions=ask, offline=lambda request, classify=classify: classify(request.text))
        for name, classify in (("words", by_words), ("trigrams", by_trigrams), ("messages", by_message))
    ]

    @node(name="panel", children=members)
    async def panel(ctx, message):
        said = await ctx.gather(*(ctx.run(member, message) for member in members))
        label, votes = Counter(said).most_common(1)[0]
        return label if votes > 1 else said[0]

    cases = tuple(Case(str(number), text, label) for number, (text, label) in enumerate(test))
    return members[0], panel, Dataset(cases, "banking77"), Terms(checkers=["exact"], budget="0.01", models="offline")


def _messages(file):
    with file.open(encoding="utf-8", newline="") as opened:
        return [(row["text"], row["category"]) for row in csv.DictReader(opened)]


async def main(data):
    table, folder = data / "routing/gsm8k_six_models.parquet", data / "banking77"
    for name, needs, make in (("GSM8K", table, gsm8k), ("Banking77", folder, banking)):
        if not needs.exists():
            print(f"{name}: skipped, there is no {needs}; give the folder of the data as argument")
            continue
        a, b, dataset, terms = make(needs)
        print(f"{name}\n\n{report(await compare(a, b, dataset, terms))}\n")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[2].parent / "shared/data"))
