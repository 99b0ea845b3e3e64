"""A router learned from a table: what it learns, what it refuses, and how it stands in a flow."""

import json
import random

import pytest

from outlay import Agent, run_sync
from outlay.errors import ConfigError
from outlay.patterns import Cascade, Router
from outlay.routing import Learned, LearnedGate, LearnedRouter, Outcome, Question, evaluate, train
from outlay.testing import ScriptedModel

TOPICS = {"tax law clauses": 0.1, "rare organic chemistry": 0.2, "everyday cooking hints": 0.95, "simple spelling": 0.9}


def table(n, seed=0, answers=False):
    """Questions of four topics, of which the small model knows two; it says so where it does not."""
    rng = random.Random(seed)
    questions = []
    for i in range(n):
        topic = rng.choice(sorted(TOPICS))
        knows = rng.random() < TOPICS[topic]
        said = ("It is clear." if knows else "I cannot tell, perhaps.") if answers else ""
        outcomes = {
            "small": Outcome(float(knows), said, 0.001),
            "large": Outcome(float(rng.random() < 0.95), cost=0.02),
        }
        questions.append(Question(f"{seed}-{i}", f"A question of {topic}: number {seed} {i}", outcomes))
    return questions


def test_it_learns_where_the_strong_model_is_worth_its_price():
    found = evaluate(train(table(300), "small", "large"), table(400, seed=1))
    assert found["apgr"] > 0.7
    assert found["random_apgr"] == 0.5 < found["apgr"] < found["oracle_apgr"]
    assert found["calls_for_95"] < 60 < found["random"]["calls_for_95"]
    assert found["at_threshold"]["quality"] > found["at_threshold"]["quality_of_random"]


def test_a_gate_reads_the_answer_and_pays_for_it_each_time():
    """It knows more than a router, and its price has every cheap call in it."""
    gate = train(table(300, answers=True), "small", "large")
    held = table(400, seed=1, answers=True)
    found = evaluate(gate, held)
    assert (gate.decides, found["decides"]) == ("after", "after")
    assert found["apgr"] > evaluate(train(table(300), "small", "large"), held)["apgr"]
    share = found["calls_for_95"] / 100
    assert found["cost"]["at_calls_for_95"] == pytest.approx(0.001 + share * 0.02, abs=1e-4)
    assert found["accepted"]["accepted_and_wrong"] <= 0.05


def test_only_as_many_labels_are_read_as_asked_for():
    """Of the others the texts count: labels that nobody gave cannot change what is learned."""
    questions = table(200)
    learned = train(questions, "small", "large", labels=60, seed=4)
    assert (learned.labels, len(learned.trained_on)) == (60, 60)
    wrong = {m: Outcome(0.5) for m in ("small", "large")}
    unlabelled = [q if q.mark in learned.trained_on else Question(q.id, q.query, wrong) for q in questions]
    assert train(unlabelled, "small", "large", labels=60, seed=4).cheap_right == learned.cheap_right


def test_a_question_that_stands_there_twice_does_not_calibrate_the_fit_that_knows_it():
    """Labels by chance, each of 200 texts under two ids: whoever had the twin in the fit would seem sure, and right."""
    rng = random.Random(0)
    texts = [" ".join(f"w{rng.randrange(4_000)}" for _ in range(12)) for _ in range(200)]
    marks = [(float(rng.random() < 0.5), float(rng.random() < 0.5)) for _ in texts]
    rows = [
        Question(f"{copy}-{i}", text.upper() if copy else text, {"small": Outcome(small), "large": Outcome(large)})
        for copy in (0, 1)
        for i, (text, (small, large)) in enumerate(zip(texts, marks, strict=True))
    ]
    learned = train(rows, "small", "large")
    assert learned.calibration is not None
    assert learned.calibration.accepted < 0.15


def test_questions_that_it_was_trained_on_are_refused():
    """Also under another id, with other spacing; `unseen` leaves them out."""
    learned = train(table(100), "small", "large")
    leaked = table(100)[0]
    leaked = Question("another id", leaked.query.upper() + " ", leaked.outcomes)
    with pytest.raises(ConfigError, match="1 of 51 questions were trained on, such as 'another id'"):
        evaluate(learned, [*table(50, seed=1), leaked])
    found = evaluate(learned, [*table(50, seed=1), leaked], unseen=True)
    assert (found["questions"], found["left_out"]) == (50, 1)
    with pytest.raises(ConfigError, match="no question is left"):
        evaluate(learned, table(100), unseen=True)


def one_class(model):
    return [Question(q.id, q.query, {**q.outcomes, model: Outcome(1.0)}) for q in table(50)]


@pytest.mark.parametrize(
    ("questions", "options", "says"),
    [
        (one_class("small"), {}, "small is marked 1 on each of the 50 questions: nothing to learn"),
        (one_class("large"), {}, "large is marked 1 on each"),
        (
            [Question(q.id, q.query, dict.fromkeys(("small", "large"), q.outcomes["small"])) for q in table(50)],
            {},
            "right on the same questions",
        ),
        (table(10), {}, "10 labelled questions are too few"),
        (table(50), {"labels": 51}, "51 labels asked for, the table has 50"),
        (table(50), {"decides": "after"}, "50 of 50 questions have no response of small"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(questions, options, says):
    with pytest.raises(ConfigError, match=says):
        train(questions, "small", "large", **options)


def test_the_file_is_plain_json_without_a_word_of_the_table(tmp_path):
    learned = train(table(200, answers=True), "small", "large")
    learned.save(tmp_path / "gate.json")
    text = (tmp_path / "gate.json").read_text()
    assert json.loads(text)["schema"] == "outlay.router/1"
    assert not any(word in text for word in ("chemistry", "cooking", "perhaps"))


def test_what_is_loaded_decides_as_what_was_saved(tmp_path):
    learned = train(table(200, answers=True), "small", "large")
    learned.save(tmp_path / "gate.json")
    again = Learned.load(tmp_path / "gate.json")
    for question in table(20, seed=2, answers=True):
        said = question.outcomes["small"].response
        assert again.gain(question.query, said) == pytest.approx(learned.gain(question.query, said), abs=1e-4)
    assert (again.calibration, again.trained_on) == (learned.calibration, learned.trained_on)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "no router of this version"),
        ('{"schema": "outlay.router/9"}', "no router of this version"),
        ('{"schema": "outlay.router/1"}', "is damaged"),
    ],
)
def test_a_file_that_is_no_router_is_refused(tmp_path, content, says):
    (tmp_path / "r.json").write_text(content)
    with pytest.raises(ConfigError, match=says):
        Learned.load(tmp_path / "r.json")


@pytest.fixture
def router_file(tmp_path):
    train(table(300), "small", "large").save(tmp_path / "router.json")
    return tmp_path / "router.json"


def test_a_trained_router_is_the_classifier_of_a_router(router_file):
    """A choice before the call: one model is asked, not both."""
    small, large = ScriptedModel(["from the small one"]), ScriptedModel(["from the large one"])
    agents = {"cheap": Agent("small", small), "strong": Agent("large", large)}
    flow = Router(LearnedRouter.load(router_file), agents, default=agents["strong"])
    assert run_sync(flow, "A question of simple spelling: number 7").unwrap() == "from the small one"
    result = run_sync(flow, "A question of tax law clauses: number 7")
    assert (result.unwrap(), len(small.calls)) == ("from the large one", 1)
    assert result.facts["router"]["label"] == "strong"


def test_a_share_of_strong_calls_can_be_asked_for(router_file):
    router = LearnedRouter.load(router_file)
    held = table(400, seed=3)
    for share in (0.0, 0.5, 1.0):  # two of the four topics are hard
        strong = sum(router.at_share(share)(question.query) == "strong" for question in held) / 400
        assert strong == pytest.approx(share, abs=0.12)
    with pytest.raises(ConfigError, match="between 0 and 1"):
        router.at_share(1.5)


def test_a_trained_gate_is_the_gate_of_a_cascade(tmp_path):
    train(table(300, answers=True), "small", "large").save(tmp_path / "gate.json")
    small = ScriptedModel(["It is clear.", "I cannot tell, perhaps."], name="small")
    large = ScriptedModel(["The large one knows."], name="large")
    agent = Agent("a", Cascade([small, large], LearnedGate.load(tmp_path / "gate.json")))
    assert run_sync(agent, "A question of simple spelling: number 7").unwrap() == "It is clear."
    assert run_sync(agent, "A question of tax law clauses: number 8").unwrap() == "The large one knows."


def test_a_router_is_no_gate_and_a_gate_is_no_router(tmp_path, router_file):
    train(table(300, answers=True), "small", "large").save(tmp_path / "gate.json")
    with pytest.raises(ConfigError, match="it is a gate, not a router"):
        LearnedRouter.load(tmp_path / "gate.json")
    with pytest.raises(ConfigError, match="it is a router, not a gate"):
        LearnedGate.load(router_file)
