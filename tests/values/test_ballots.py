"""Ballots: the count of a vote, and when its rest cannot matter."""

from dataclasses import dataclass
from itertools import product
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from outlay.values.ballots import Ballots, Candidate, as_key

#: What each sample says; None is a sample that gives nothing.
SAMPLES = st.lists(st.sampled_from(["a", "b", None]), min_size=1, max_size=5)


def count(n: int, said: dict[int, str | None]) -> Ballots[str]:
    ballots = Ballots[str](n)
    for sample, key in said.items():
        ballots = ballots.spoil() if key is None else ballots.add(sample, key, f"{key} by {sample}")
    return ballots


def leader(ballots: Ballots[str]) -> object:
    return ballots.ranking[0].key if ballots.ranking else None


@given(SAMPLES, st.randoms(use_true_random=False))
def test_the_result_is_that_of_the_samples_whoever_comes_first(said, random):
    """Winner, margin and output do not depend on the order of arrival."""
    order = list(range(len(said)))
    random.shuffle(order)
    shuffled = count(len(said), {i: said[i] for i in order})
    plain = count(len(said), dict(enumerate(said)))
    assert (shuffled.winner, shuffled.margin, shuffled.ranking) == (plain.winner, plain.margin, plain.ranking)


@settings(max_examples=60)
@given(SAMPLES, st.integers(0, 5))
def test_decided_means_that_no_rest_can_change_the_winner_or_tie_with_it(said, seen):
    """Against every rest of the votes there is: decided exactly if the same key is alone in front in all of them."""
    seen = min(seen, len(said))
    ballots = count(len(said), dict(enumerate(said[:seen])))
    open_samples = range(seen, len(said))
    ends = [
        count(len(said), dict(enumerate(said[:seen])) | dict(zip(open_samples, rest, strict=True)))
        for rest in product(["a", "b", "new", None], repeat=len(open_samples))
    ]
    alone = {leader(end) for end in ends} == {leader(ballots)} and all(end.margin > 0 for end in ends)
    assert ballots.decided == (alone or not open_samples)


@given(SAMPLES, st.integers(0, 5))
def test_still_needed_is_the_least_number_of_ballots_that_can_decide(said, seen):
    """With fewer no answers could, with as many some can: asking for so many at once never asks for one too many."""
    seen = min(seen, len(said))
    ballots = count(len(said), dict(enumerate(said[:seen])))

    def can_decide(k: int) -> bool:
        for rest in product(["a", "b", "new"], repeat=k):
            more = dict(enumerate(said[:seen])) | {seen + i: key for i, key in enumerate(rest)}
            if count(len(said), more).decided:
                return True
        return False

    assert ballots.still_needed == next(k for k in range(len(said) - seen + 1) if can_decide(k))


def test_most_votes_win_and_the_output_is_the_first_with_the_winning_key():
    """First by sample number."""
    ballots = count(5, {3: "b", 4: "b", 1: "a", 2: "b"})
    assert (ballots.winner, ballots.margin, ballots.to_come) == ("b by 2", 2, 1)
    assert ballots.ranking == [Candidate("b", 3, 2), Candidate("a", 1, 1)]
    assert ballots.agreement == 0.75


def test_of_equals_the_lowest_sample_number_wins():
    """Whoever came in first: the result of a run must not hang on latency."""
    assert count(4, {2: "b", 3: "b", 0: "a", 1: "a"}).winner == "a by 0"


def test_without_a_ballot_there_is_no_winner():
    """Nothing leads by nothing."""
    ballots = Ballots[str](3)
    assert (ballots.winner, ballots.margin, ballots.agreement, ballots.decided) == (None, 0, 0.0, False)
    assert ballots.spoil().spoil().spoil().decided


def test_a_spoiled_ballot_brings_the_decision_nearer():
    """Two of three are enough where the third will not come; two of four are not."""
    assert not count(4, {0: "a", 1: "a"}).decided
    assert count(4, {0: "a", 1: "a", 2: None}).decided


class Model(BaseModel):
    x: int
    y: Any = None


@dataclass
class Data:
    x: int


def test_keys_that_python_cannot_hash_are_compared_by_their_json():
    """Lists, dicts in any order, pydantic models, dataclasses, sets, and tuples that hold one of them."""
    same = [
        ([1, [2]], [1, [2]]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        (Model(x=1, y={"p": 1, "q": 2}), Model(x=1, y={"q": 2, "p": 1})),
        (Data(1), Data(1)),
        ({"p", "q"}, {"q", "p"}),
        ((1, [2]), (1, [2])),
        (float("nan"), float("nan")),
    ]
    for one, other in same:
        assert as_key(one) == as_key(other)
        assert hash(as_key(one)) == hash(as_key(other))
    different = [[1, 2], [2, 1], {"a": 1}, {"a": 2}, Model(x=1), Model(x=2), Data(3), "a", 7, None]
    assert len({as_key(one) for one in different}) == len(different)


def test_a_key_that_python_can_hash_stays_what_it_is():
    """Equal numbers are one key, as in a dict."""
    assert as_key("x") == "x"
    assert as_key(1) == as_key(1.0)
    assert as_key(("a", 1)) == ("a", 1)
