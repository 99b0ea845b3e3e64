"""The reliability cliff: chains of 1 to 40 steps on the real runtime, beside p^N; then one gate and one retry a step.

    python examples/cliff.py [--runs 40] [--p 0.97] [--seed 1] [--svg cliff.svg]

Each step passes a text on, whole with chance p, else cut in half (`outlay.testing.Faults`, under virtual time). Without
a gate the damage is noticed at the end, when all steps are paid; with one a step the chain stops there; with one retry
the step is done again, and paid again. Every chain is a run of its own, so p can be fitted from all of them together.
"""

import argparse
from decimal import Decimal
from pathlib import Path

from outlay import Agent, run_sync
from outlay.evals import Chain, fit_chain, wilson
from outlay.patterns import Pipeline
from outlay.testing import Faults, ScriptedModel, virtual_time

LONGEST = 40
TEXT = "All is well at the lighthouse, and this is the end of the message."


def whole(text: str) -> str | None:
    return None if text.endswith("message.") else "it is cut off"


def chain(model, steps, retries):
    """`retries`: None for no gate, else how often a refused step is done again."""
    gate = {} if retries is None else {"verify": [whole], "output_retries": retries}
    return Pipeline(*(Agent(f"step{i}", model, **gate) for i in range(steps)), name="chain")


def measure(p, steps, retries, runs, seed):
    """How many chains of so many steps ended well, and what all of them cost in US dollars."""
    successes, cost = 0, Decimal(0)
    for number in range(runs):
        passing_on = ScriptedModel(lambda request: request.messages[0].text, price=(1, 5))
        unreliable = Faults(f"{seed}:{retries}:{steps}:{number}", quality=p, latency=(0.2, 2)).wrap(passing_on)
        with virtual_time():  # a loop of its own: nothing that one chain learns of the provider helps the next
            result = run_sync(chain(unreliable, steps, retries), TEXT)
        successes += result.output is not None and whole(result.output) is None
        cost += result.bill.at_least
    return Chain(steps, successes, runs), cost / runs


def design(p, retries, runs, seed, lengths):
    return [measure(p, steps, retries, runs, seed) for steps in lengths]


def table(p, plain, gated, retried):
    lines = [
        f"{'steps':>5}{'p^N':>9}{'measured':>10}{'95 % interval':>17}{'a run':>10}   "
        f"{'one gate':>9}{'a run':>10}   {'one retry':>9}{'a run':>10}{'a point gained':>16}"
    ]
    for (bare, cost), (gate, gate_cost), (retry, retry_cost) in zip(plain, gated, retried, strict=True):
        share = wilson(bare.successes, bare.runs)
        points = 100 * (retry.successes / retry.runs - share.value)  # over the bare chain
        price = f"${(retry_cost - cost) / Decimal(points):.6f}" if points > 0 else "no gain"
        lines.append(
            f"{bare.steps:>5}{p**bare.steps:>9.1%}{share.value:>10.1%}{f'{share.low:.1%} – {share.high:.1%}':>17}"
            f"{f'${cost:.5f}':>10}   {gate.successes / gate.runs:>9.1%}{f'${gate_cost:.5f}':>10}   "
            f"{retry.successes / retry.runs:>9.1%}{f'${retry_cost:.5f}':>10}{price:>16}"
        )
    return "\n".join(lines)


def fits(p, plain, retried):
    found, again = (fit_chain([chain for chain, _ in design]) for design in (plain, retried))
    return (
        f"fitted p {found.value:.4f} ({found.low:.4f} – {found.high:.4f}), true {p:.4f}\n"
        f"with one retry {again.value:.5f} ({again.low:.5f} – {again.high:.5f}), 1-(1-p)^2 is {1 - (1 - p) ** 2:.5f}"
    )


def svg(p, plain, retried):
    """p^N as a line, what was measured as dots: bare chains, and those with a retry a step."""

    def x(steps):
        return 40 + steps * 14

    def y(share):
        return 230 - 200 * share

    line = " ".join(f"{x(n)},{y(p**n):.1f}" for n in range(1, LONGEST + 1))
    dots = [
        f'<circle cx="{x(c.steps)}" cy="{y(c.successes / c.runs):.1f}" r="3" fill="{colour}"/>'
        for found, colour in ((plain, "#4a90d9"), (retried, "#d98c4a"))
        for c, _ in found
    ]
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 270" font-family="system-ui, sans-serif" '
        f'font-size="12" fill="#808080"><title>success of chains of 1 to {LONGEST} steps</title>'
        f'<polyline points="{line}" fill="none" stroke="#d9534a"/>{"".join(dots)}'
        f'<text x="40" y="258">1 to {LONGEST} steps: p^N (line), measured (blue), with one retry a step (orange)</text>'
        "</svg>\n"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Measure the reliability cliff.")
    parser.add_argument("--runs", type=int, default=40, help="chains of each length and design")
    parser.add_argument("--p", type=float, default=0.97, help="chance that a step is right")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--svg", type=Path)
    given = parser.parse_args()
    lengths = range(1, LONGEST + 1)
    plain, gated, retried = (design(given.p, retries, given.runs, given.seed, lengths) for retries in (None, 0, 1))
    print(table(given.p, plain, gated, retried), fits(given.p, plain, retried), sep="\n\n")
    if given.svg is not None:
        given.svg.write_text(svg(given.p, plain, retried), "utf-8")
