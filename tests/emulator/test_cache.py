"""The prompt cache as an algorithm: against a slow model of it, over random conversations."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from outlay.emulator.cache import FIVE_MINUTES, ONE_HOUR, Prompt, PromptCache, Segment

MINIMUM = 6

segments = st.builds(
    Segment,
    st.sampled_from(["a" * 4, "b" * 4, "c" * 8, "d" * 17]),
    st.sampled_from([0.0, 0.0, 0.0, FIVE_MINUTES]),
)
prompts = st.lists(segments, min_size=1, max_size=30).map(lambda parts: Prompt(tuple(parts)))
steps = st.lists(st.tuples(prompts, st.sampled_from([0.0, 200.0, 301.0])), min_size=1, max_size=8)


class Model:
    """Every prefix as the tuple of its texts, with the time until which it lives."""

    def __init__(self) -> None:
        self.alive: dict[tuple[str, ...], float] = {}

    def read(self, prompt: Prompt, now: float) -> int:
        texts = tuple(segment.text for segment in prompt.segments)
        marks = [n for n, segment in enumerate(prompt.segments, 1) if segment.ttl and tokens(texts[:n]) >= MINIMUM]
        seen = [n for mark in marks for n in range(max(mark - 19, 1), mark + 1) if self.alive.get(texts[:n], 0) > now]
        found = max(seen, default=0)
        for n in [*marks, *([found] if found else [])]:
            self.alive[texts[:n]] = now + FIVE_MINUTES
        return tokens(texts[:found])


def tokens(texts: tuple[str, ...]) -> int:
    return sum(-(-len(text) // 4) for text in texts)


@settings(max_examples=100, deadline=None)
@given(steps)
def test_it_reads_what_the_model_reads_and_every_token_is_in_one_bucket(run: list[tuple[Prompt, float]]) -> None:
    """Whatever is asked in whatever order, with whatever pauses."""
    now = 0.0
    cache, model = PromptCache(lambda: now), Model()
    for prompt, pause in run:
        now += pause
        plan = cache.look_up("scope", prompt, MINIMUM)
        cache.commit(plan)
        assert plan.read == model.read(prompt, now)
        assert plan.uncached + plan.read + plan.write_5m + plan.write_1h == prompt.tokens
        assert min(plan.uncached, plan.read, plan.write_5m, plan.write_1h) >= 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text(max_size=300), max_size=6), st.lists(st.text(max_size=300), max_size=3))
def test_steps_never_read_past_the_first_difference(first: list[str], change: list[str]) -> None:
    """In steps of 128 tokens from the minimum on."""
    cache = PromptCache(lambda: 0.0)
    before = Prompt(tuple(Segment("x" * 2_048 + text) for text in first))
    after = Prompt((*before.segments[: len(first) // 2], *(Segment(text) for text in change)))
    cache.commit(cache.look_up_steps("scope", before, 1_024, 600.0))
    plan = cache.look_up_steps("scope", after, 1_024, 600.0)
    common = len(os.path.commonprefix([whole_tokens(before), whole_tokens(after)])) // 4  # noqa: RUF071 - as meant
    assert plan.read == (0 if common < 1_024 else common - common % 128)
    assert plan.uncached + plan.read == after.tokens


def whole_tokens(prompt: Prompt) -> str:
    """The prompt's text with each block filled up to whole tokens."""
    return "".join(segment.text + " " * (-len(segment.text) % 4) for segment in prompt.segments)


def test_a_longer_life_time_is_billed_apart_up_to_its_last_mark() -> None:
    """Tokens up to the last mark of one hour, then those up to the last mark at all."""
    prompt = Prompt((Segment("a" * 40, ONE_HOUR), Segment("b" * 40, FIVE_MINUTES), Segment("c" * 40)))
    plan = PromptCache(lambda: 0.0).look_up("scope", prompt, MINIMUM)
    assert (plan.write_1h, plan.write_5m, plan.uncached, plan.read) == (10, 10, 10, 0)
