"""Learned routing on recorded outcomes of real models, with a split of our own."""

import random
from pathlib import Path

import pytest

from outlay.routing import Learned, evaluate, read_outcomes, train

DATA = Path(__file__).parents[2].parent / "shared/data/routing"
CHEAP, STRONG = "mistralai/Mixtral-8x7B-Instruct-v0.1", "gpt-4-1106-preview"


def split(name):
    pytest.importorskip("arro3.io", reason="reading parquet needs pip install 'outlay[parquet]'")
    if not (DATA / name).exists():
        pytest.skip("no recorded outcomes at ../shared/data/routing")
    questions = sorted(read_outcomes(DATA / name), key=lambda question: question.id)
    random.Random("a split of our own").shuffle(questions)
    held = len(questions) * 2 // 5
    return questions[held:], questions[:held]


def test_a_router_from_200_labels_beats_random_on_mmlu(tmp_path):
    """Mixtral or GPT-4, before the call; bench/routing.py measures what 1,500 labels give."""
    seen, held = split("mmlu_routellm.parquet")
    train(seen[:1500], CHEAP, STRONG, labels=200).save(tmp_path / "router.json")
    found = evaluate(Learned.load(tmp_path / "router.json"), held[:1500])
    assert found["decides"] == "before"
    assert found["random_apgr"] + 0.03 < found["apgr"] < found["oracle_apgr"]
    assert found["calls_for_95"] < found["random"]["calls_for_95"]
    assert found["cost"]["always_cheap"] < found["cost"]["at_calls_for_95"] < found["cost"]["always_strong"]


def test_a_gate_on_gsm8k_reads_the_solution():
    """Mixtral's sums that do not add up are where GPT-4 is worth its price."""
    seen, held = split("gsm8k_six_models.parquet")
    gate = train(seen, CHEAP, STRONG)
    found = evaluate(gate, held)
    assert found["decides"] == "after"
    assert found["apgr"] > 0.7
    assert found["calls_for_95"] < found["random"]["calls_for_95"] - 15
