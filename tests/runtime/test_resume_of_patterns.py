"""Random trees of all patterns, cut off after a random event: the resumed run ends as the first one did."""

from __future__ import annotations

from typing import Any

from crash import crashed, go, journal
from hypothesis import given, settings
from hypothesis import strategies as st

from outlay import Result
from outlay.events import CallFinished, CallStarted
from outlay.stores.memory import MemoryStore
from pattern_trees import Tree, trees

#: Faults that are there again on another day: an answer after the crash is the one that would have been before it.
STEADY = ["none"] * 15 + ["fails", "refuses", "raises", "loops", "looks", "breaks"]


def missing(result: Result[Any]) -> set[str]:
    """What the result does without. How far detached work came is a matter of time."""
    return {part.path for part in result.skipped if "/beside" not in part.path}


@settings(max_examples=200)
@given(trees(STEADY), st.floats(0, 1))
def test_a_crash_after_any_event_changes_no_result_and_pays_for_no_finished_call_again(
    tree: Tree, moment: float
) -> None:
    """The same output, reason and missing parts; what had been answered is not asked again, and is billed once."""
    store = MemoryStore()
    whole = go(tree.flow, "go", store)
    events = journal(store)
    cut = 1 + int(moment * (len(events) - 2))
    left = crashed(store, cut)
    again = go(tree.flow, "go", left)
    assert again.stop_reason == whole.stop_reason
    assert again.output == whole.output
    assert missing(again) == missing(whole)
    assert type(again.error) is type(whole.error)
    done = {event.key for event in events[:cut] if isinstance(event, CallFinished)}
    resumed: list[Any] = journal(left)[cut:]
    assert not done & {event.key for event in resumed if isinstance(event, CallStarted)}
    answered = [event for event in journal(left) if isinstance(event, CallFinished)]
    assert len({event.key for event in answered}) == len(answered)
    assert again.bill.total == sum(event.cost for event in answered)
