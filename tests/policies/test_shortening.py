"""A shortened conversation is one that providers take: calls keep their results, and it begins with the user."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from misshapen import misshapen
from outlay.policies.shortening import cleared, cut_of, replaced
from outlay.values.content import Text, ToolCall, ToolResult
from outlay.values.label import TRUSTED, untrusted
from outlay.values.message import Message, user
from outlay.values.transcript import EMPTY, Transcript

LONG = "x" * 400


@st.composite
def conversations(draw: st.DrawFn) -> Transcript:
    """Questions, turns with none to three calls, results long, short and failed, corrections, paused answers."""
    ids = count()
    said: list[Message] = [user("the task")]
    for turn in range(draw(st.integers(0, 12))):
        kind = draw(st.sampled_from(["calls", "calls", "answer", "pause"]))
        if kind == "pause":
            said += [Message("assistant", (Text("one moment"),)), Message("assistant", (Text(f"now {turn}"),))]
            said.append(user("go on"))
        elif kind == "answer":
            said += [Message("assistant", (Text(f"answer {turn}"),)), user(f"question {turn}")]
        else:
            asked = [ToolCall(f"id{next(ids)}", draw(st.sampled_from(["read", "grep"])), "{}") for _ in "ab"]
            asked = asked[: draw(st.integers(1, 2))]
            contents = st.sampled_from([LONG, "short", ""])
            results = [ToolResult(c.id, c.name, draw(contents), draw(st.booleans())) for c in asked]
            said.append(Message("assistant", (Text(f"turn {turn}"), *asked)))
            said.append(Message("tool", tuple(results), untrusted("read") if draw(st.booleans()) else TRUSTED))
    return EMPTY.append(*said)


def calls_in(transcript: Transcript) -> list[ToolCall]:
    return [call for message in transcript for call in message.tool_calls]


def size(transcript: Transcript) -> int:
    return sum(len(message.canonical) for message in transcript)


@given(conversations(), st.integers(1, 5), st.sets(st.sampled_from(["read", "grep"])))
def test_clearing_takes_contents_and_nothing_else(said: Transcript, keep: int, kept: set[str]) -> None:
    """Every call stays with its arguments and its one result; what failed and what must stay is as it was."""
    less = cleared(said, keep, kept)
    assert misshapen(less.messages) is None
    assert calls_in(less) == calls_in(said)
    assert len(less) == len(said)
    assert size(less) <= size(said)
    assert [m.label for m in less] == [m.label for m in said]
    for before, after in zip(said, less, strict=True):
        for old, new in zip(before.tool_results, after.tool_results, strict=True):
            assert (old.call_id, old.name, old.is_error) == (new.call_id, new.name, new.is_error)
            assert old == new or (not old.is_error and old.name not in kept and old.content == LONG)


@given(conversations(), st.integers(1, 5))
def test_the_last_turns_and_what_stands_before_the_first_change_are_the_same(said: Transcript, keep: int) -> None:
    """The prefix is the very same links, which a provider's cache knows; the tail has not been read yet."""
    less = cleared(said, keep)
    first = said.first_difference(less)
    if first is None:
        assert less is said
        return
    old, new = list(said.links())[::-1], list(less.links())[::-1]
    assert all(a is b for a, b in zip(old[:first], new[:first], strict=True))
    turns = [i for i, m in enumerate(said) if m.role == "assistant" and said.messages[i - 1].role != "assistant"]
    assert all(a is b for a, b in zip(said.messages[turns[-keep] :], less.messages[turns[-keep] :], strict=True))


@given(conversations(), st.integers(1, 5))
def test_what_was_cleared_is_not_cleared_again(said: Transcript, keep: int) -> None:
    """A stub is final: the second time there is nothing to do."""
    once = cleared(said, keep)
    assert cleared(once, keep) is once


@given(conversations(), st.integers(1, 5))
def test_a_cut_is_between_turns(said: Transcript, keep: int) -> None:
    """The checkpoint is a user's message, the answer after it keeps its calls, and no pair is torn."""
    cut = cut_of(said, keep)
    if cut is None:
        return
    less = replaced(said, cut, user("checkpoint"))
    assert misshapen(less.messages) is None
    assert less.messages[1].role == "assistant"
    assert all(a is b for a, b in zip(less.messages[1:], said.messages[cut:], strict=True))


@given(conversations(), st.integers(1, 5))
def test_a_checkpoint_is_trusted_no_further_than_what_it_covers(said: Transcript, keep: int) -> None:
    """SEMANTICS 6: its label is the join of all the labels."""
    cut = cut_of(said, keep)
    if cut is None:
        return
    joined = TRUSTED
    for message in said.messages[:cut]:
        joined = joined.join(message.label)
    assert replaced(said, cut, user("checkpoint")).messages[0].label == joined


def test_misshapen_conversations_are_named() -> None:
    """What the law above is checked with can fail."""
    asked = Message("assistant", (ToolCall("1", "read", "{}"),))
    given_ = Message("tool", (ToolResult("1", "read", "text"),))
    assert misshapen([user("q"), asked, given_]) is None
    assert misshapen([asked, given_]) == "it begins with assistant"
    assert misshapen([user("q"), asked]) == "the last calls have no results"
    assert misshapen([user("q"), given_]) == "message 2: the results are not those of the calls before it"
    assert misshapen([user("q"), asked, user("and?"), given_]) is not None
