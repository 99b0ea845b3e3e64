"""What learned routing gives on recorded outcomes, on splits of our own: `python -m bench routing`, some ten minutes.

Each seed draws 60 % of the questions to train on and measures on the others. Joint errors (accepted and wrong) are
those of 100 draws: of a calibration on 100 questions that its fit has not seen, and of all that `outlay router train
--labels 100` learns, of which a quarter is for the calibration.
"""

from __future__ import annotations

import random
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path

from outlay.routing import Question, calibrate, evaluate, read_outcomes, train

DATA = Path(__file__).parents[2] / "shared" / "data" / "routing"
CHEAP, STRONG = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"
FIGURES = ("apgr", "cpt50", "cpt80", "calls_for_95")


def halves(questions: Sequence[Question], seed: int) -> tuple[list[Question], list[Question]]:
    """60 % to train on, 40 % to measure on."""
    mixed = sorted(questions, key=lambda question: question.id)
    random.Random(f"split {seed}").shuffle(mixed)
    held = int(len(mixed) * 0.4)
    return mixed[held:], mixed[:held]


def figures(questions: Sequence[Question], labels: int | None, seeds: int) -> None:
    """APGR, CPT50, CPT80, calls for 95 %: mean and standard deviation over the seeds; the oracle's beside them."""
    rows: list[list[float]] = []
    for seed in range(seeds):
        seen, held = halves(questions, seed)
        found = evaluate(train(seen, CHEAP, STRONG, labels=labels, seed=seed), held)
        accepted = found["accepted"]
        rows.append(
            [
                *(found[name] for name in FIGURES),
                found["oracle_apgr"],
                found["random"]["calls_for_95"],
                accepted["share"],
                accepted["accepted_and_wrong"],
            ]
        )
    names = (*FIGURES, "oracle_apgr", "random_calls_for_95", "accepted", "accepted_and_wrong")
    for name, column in zip(names, zip(*rows, strict=True), strict=True):
        print(f"  {name:<22}{statistics.fmean(column):8.3f} ± {statistics.pstdev(column):.3f}")


def redraws(questions: Sequence[Question], labels: int, target: float, draws: int = 100) -> None:
    """P(accepted and wrong) with a calibration on `labels` fresh questions: mean over the draws, and how it varies."""
    seen, held = halves(questions, 0)
    learned = train(seen, CHEAP, STRONG)
    after = learned.decides == "after"
    scored = [
        (
            learned.confidence(q.query, q.outcomes[CHEAP].response if after else ""),
            q.outcomes[CHEAP].correct,
        )
        for q in held
    ]
    wrong: list[float] = []
    shares: list[float] = []
    for draw in range(draws):
        mixed = scored[:]
        random.Random(draw).shuffle(mixed)
        fresh, rest = mixed[:labels], mixed[labels:]
        calibration = calibrate([s for s, _ in fresh], [c for _, c in fresh], target=target)
        accepted = [c for s, c in rest if calibration.accepts(s)]
        wrong.append(sum(1 - c for c in accepted) / len(rest))
        shares.append(len(accepted) / len(rest))
    print(
        f"  {labels} labels, target {target:g}: accepted and wrong {statistics.fmean(wrong):.4f} on average of {draws} "
        f"draws (sd {statistics.stdev(wrong):.3f}), accepted {statistics.fmean(shares):.3f}"
    )


def few_labels(questions: Sequence[Question], labels: int, target: float, draws: int = 100) -> None:
    """P(accepted and wrong) of what is trained and calibrated on so few labels, each time on others."""
    wrong: list[float] = []
    shares: list[float] = []
    for draw in range(1_000, 1_000 + draws):
        seen, held = halves(questions, draw)
        accepted = evaluate(train(seen, CHEAP, STRONG, labels=labels, seed=draw, target=target), held)["accepted"]
        wrong.append(accepted["accepted_and_wrong"])
        shares.append(accepted["share"])
    print(
        f"  {labels} labels for all, target {target:g}: accepted and wrong {statistics.fmean(wrong):.4f} on average of "
        f"{draws} draws (sd {statistics.stdev(wrong):.3f}), accepted {statistics.fmean(shares):.3f}"
    )


def main() -> None:
    mmlu, gsm8k = (read_outcomes(DATA / f"{name}.parquet") for name in ("mmlu_routellm", "gsm8k_six_models"))
    for labels in (200, 1500, None):
        print(f"MMLU, router, {labels or 'all'} labels, 5 splits")
        figures(mmlu, labels, 5)
    print("GSM8K, gate after the cheap answer, all labels, 20 splits")
    figures(gsm8k, None, 20)
    for name, questions in (("MMLU", mmlu), ("GSM8K", gsm8k)):
        print(f"calibration, {name}", flush=True)
        redraws(questions, 100, 0.05)
        few_labels(questions, 100, 0.05)


def run() -> int:
    """Print the figures; 1 where there are no tables to print them of."""
    if not DATA.exists():
        print("no tables of outcomes at ../shared/data/routing", file=sys.stderr)
        return 1
    main()
    return 0


if __name__ == "__main__":
    sys.exit(run())
