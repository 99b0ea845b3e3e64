"""The tables of `outlay advise`, each row of them, and the laws that hold over all rows."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import outlay
from outlay import patterns
from outlay.advice.tables.fine_tune import SIGNALS, fine_tune
from outlay.advice.tables.green_light import CRITERIA, criteria, green_light
from outlay.advice.tables.relation import CASES, FACETS, INVERSIONS, RELATIONS, relation
from outlay.advice.tables.shared_state import LADDER, NEEDS, smallest
from outlay.advice.tables.single_agent import NOT_THE_AGENT, REMEDIES, SYMPTOMS, single_agent
from outlay.advice.tables.which_pattern import TRAITS, which_pattern
from outlay.advice.tables.workload import SHAPES, knobs

YES, NO, UNKNOWN = True, False, None

# ── is the single agent failing, and at what ──────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("failing", "at", "outcome", "says"),
    [
        (UNKNOWN, None, "measure", "measure the single agent first"),
        (UNKNOWN, "context", "measure", "measure the single agent first"),
        (NO, None, "keep", "keep the single agent"),
        (NO, "streams", "keep", "keep the single agent"),
        (YES, None, "diagnose", "find out at what it fails"),
        (YES, "capability", "capability", "keep it a single agent, and give it a tool"),
        (
            YES,
            "context",
            "context",
            "keep it a single agent, and give it compaction of its conversation, or one sub-agent",
        ),
        (YES, "opinion", "opinion", "keep it a single agent, and give it a verifier: a program first"),
        (YES, "streams", "streams", "a supervisor over workers"),
    ],
)
def test_what_a_single_agent_needs(failing: bool | None, at: str | None, outcome: str, says: str):
    """Only one thing that it can fail at is mended by more agents."""
    found = single_agent(failing, at)
    assert found.id == outcome
    assert found.says.startswith(says)
    assert found.because
    assert found.unless


def test_only_streams_of_work_call_for_several_agents():
    """The other three are mended inside one."""
    assert [one.at for one in REMEDIES if one.several] == ["streams"]
    assert {one.at for one in REMEDIES} == {"capability", "context", "opinion", "streams"}


def test_no_failure_is_both_the_agents_and_not():
    """And what it says is in the table of remedies."""
    assert not set(SYMPTOMS) & set(NOT_THE_AGENT)
    assert set(SYMPTOMS.values()) <= {one.at for one in REMEDIES}


def test_every_kind_of_failure_is_one_that_runs_end_with():
    """A name that no error has would never be found."""
    for kind in (*SYMPTOMS, *NOT_THE_AGENT):
        how, _, name = kind.partition(": ")
        if how == "error":
            assert issubclass(getattr(outlay.errors, name), outlay.errors.OutlayError)
        else:
            assert name in ("budget", "deadline", "turn_limit")


# ── are several agents justified ──────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("parallelisable", "independent", "specialised", "boundary", "ownership", "light"),
    [
        (YES, YES, NO, "none", NO, "go"),
        (YES, NO, YES, "none", NO, "go"),
        (NO, YES, NO, "soft", NO, "go"),
        (YES, YES, UNKNOWN, None, UNKNOWN, "go"),
        (NO, NO, NO, "hard", NO, "go"),
        (NO, NO, NO, "none", YES, "go"),
        (YES, NO, NO, "none", NO, "stop"),
        (NO, NO, NO, "soft", NO, "stop"),
        (NO, NO, NO, "none", NO, "stop"),
        (YES, UNKNOWN, NO, "none", NO, "not known"),
        (NO, NO, NO, "none", UNKNOWN, "not known"),
        (UNKNOWN, UNKNOWN, UNKNOWN, None, UNKNOWN, "not known"),
    ],
)
def test_two_of_four_or_one_that_is_enough_alone(
    parallelisable: Any, independent: Any, specialised: Any, boundary: Any, ownership: Any, light: str
):
    """A hard boundary and separate ownership are enough alone."""
    found = green_light(
        criteria(
            parallelisable=parallelisable,
            independent=independent,
            specialised=specialised,
            boundary=boundary,
            ownership=ownership,
        )
    )
    assert found.id == light


def test_the_light_never_changes_its_mind_when_more_is_known():
    """Over every situation: what is decided with unknowns is decided the same whatever they turn out to be."""
    three = (YES, NO, UNKNOWN)
    for values in itertools.product(three, repeat=len(CRITERIA)):
        holds = dict(zip([one.id for one in CRITERIA], values, strict=True))
        light = green_light(holds).id
        known = [[value] if value is not None else [YES, NO] for value in values]
        outcomes = {green_light(dict(zip(holds, filled, strict=True))).id for filled in itertools.product(*known)}
        assert "not known" not in outcomes
        assert outcomes == ({light} if light != "not known" else {"go", "stop"})


# ── sub-agents or peers ───────────────────────────────────────────────────────────────────────────────────────


def own(*facets: str) -> dict[str, bool | None]:
    return {one.id: one.id in facets for one in FACETS}


@pytest.mark.parametrize("case", CASES, ids=[case.what for case in CASES])
def test_the_six_typical_cases(case: Any):
    """Each follows from its facets and the inversion test, by the rule and not by its name."""
    assert relation(own(*case.own), case.inversion).id == case.relation


def test_there_are_six_of_them_and_they_show_every_relation():
    """No outcome of the rule is without an example."""
    assert len(CASES) == 6
    assert {case.relation for case in CASES} == {one.id for one in RELATIONS}


@pytest.mark.parametrize(
    ("facets", "inversion", "outcome"),
    [
        ((), "one-way", "sub-agent"),
        ((), "either-way", "peers"),
        ((), "asks-back", "sub-agent that asks back"),
        ((), "neither", "siblings"),
        ((), None, "sub-agent"),
        (("ownership",), "one-way", "service"),
        (("security",), "either-way", "peers"),
        (("third-party",), "asks-back", "peers"),
        (("ownership",), "neither", "siblings"),
        (("third-party",), None, "service"),
        (("scaling",), "one-way", "sub-agent"),
        (("release",), "one-way", "sub-agent"),
        (("scaling", "release"), "one-way", "service"),
    ],
)
def test_facets_and_the_inversion_test(facets: tuple[str, ...], inversion: Any, outcome: str):
    """What scales or ships by itself alone is a matter of deployment."""
    assert relation(own(*facets), inversion).id == outcome


@given(st.sets(st.sampled_from([one.id for one in FACETS])), st.sampled_from([None, *(one.id for one in INVERSIONS)]))
def test_every_outcome_says_how_and_what_would_change_it(facets: set[str], inversion: Any):
    """Whatever is known."""
    found = relation(own(*facets), inversion)
    assert found.id in {one.id for one in RELATIONS}
    assert found.next
    assert found.because
    assert found.unless
    for change in found.unless:  # it names another outcome, and the rule gives it
        words = change.rpartition(": ")[2].rpartition("Then ")[2]
        assert words != found.id
        named = [one.id for one in FACETS if change.startswith(f"{one.id}: ")]
        if named:
            assert relation(own(*facets, *named), inversion).id == words


# ── knobs ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("shape", [one.id for one in SHAPES])
def test_every_knob_is_an_argument_that_there_is(shape: str):
    """Of a class or function that users import."""
    (found,) = [one for one in SHAPES if one.id == shape]
    for knob in found.knobs:
        name, _, argument = knob.knob.rstrip(")").partition("(")
        owner = getattr(outlay, name, None) or getattr(patterns, name)
        assert argument in inspect.signature(owner).parameters
    assert knobs(shape).unless == (found.unless,)


@pytest.mark.parametrize(
    ("shape", "first"),
    [
        ("interactive", "Budget(seconds)"),
        ("batch", "run_many(lane)"),
        ("conversation", "Agent(compaction)"),
        ("shared-prefix", "Agent(cache)"),
        ("narrow", "Agent(model)"),
        ("critical", "Agent(verify)"),
        ("bursty", "Budget(scope)"),
        ("open-ended", "Budget(usd)"),
    ],
)
def test_which_knob_comes_first(shape: str, first: str):
    """By the shape of the work."""
    assert knobs(shape).because[1].startswith(first)


# ── shared state ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("needs", "rung"),
    [
        ((), "nothing"),
        (("next-step",), "handoff"),
        (("same-input",), "input"),
        (("large",), "artifact"),
        (("facts",), "board"),
        (("same-entry", "order"), "board"),
        (("facts", "large"), "state"),
        (("across-runs",), "space"),
        (("wakes-others",), "bus"),
        (("next-step", "wakes-others"), "bus"),
    ],
)
def test_the_smallest_that_works(needs: tuple[str, ...], rung: str):
    """The first rung that covers all that is needed."""
    assert smallest(needs).id == rung


@given(st.sets(st.sampled_from([one.id for one in NEEDS])))
def test_nothing_smaller_would_do(needs: set[str]):
    """For any set of needs; and one need fewer is never dearer."""
    rungs = [rung.id for rung in LADDER]
    found = rungs.index(smallest(sorted(needs)).id)
    assert needs <= LADDER[found].covers
    assert not any(needs <= rung.covers for rung in LADDER[:found])
    for need in needs:
        assert rungs.index(smallest(sorted(needs - {need})).id) <= found


def test_what_is_no_need_is_refused():
    """It would be covered by nothing."""
    with pytest.raises(KeyError):
        smallest(["telepathy"])


# ── fine-tuning ───────────────────────────────────────────────────────────────────────────────────────────────


@given(st.fixed_dictionaries({one.id: st.sampled_from([YES, NO, UNKNOWN]) for one in SIGNALS}))
def test_yes_only_where_all_seven_hold(holds: Mapping[str, bool | None]):
    """Not known is no; the first that fails says what to do first."""
    found = fine_tune(holds)
    assert len(SIGNALS) == 7
    assert (found.id == "yes") == all(holds.values())
    if found.id == "no":
        firm = [one for one in SIGNALS if holds[one.id] is NO]
        loose = [one for one in SIGNALS if holds[one.id] is None]
        assert found.next == ((firm or loose)[0].first,)


@pytest.mark.parametrize("signal", [one.id for one in SIGNALS])
def test_each_signal_alone_can_say_no(signal: str):
    """Six of seven are not enough."""
    assert fine_tune({one.id: one.id != signal for one in SIGNALS}).id == "no"


# ── patterns ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_pattern_answers_one_question():
    """None is left out, none stands twice."""
    every = [name for name in patterns.__all__ if hasattr(getattr(patterns, name), "profile")]
    assert sorted(one.pattern for one in TRAITS) == sorted(every)


@pytest.mark.parametrize(
    ("traits", "pattern"),
    [
        ((), "none"),
        (("known-steps",), "Pipeline"),
        (("many-items",), "FanOut"),
        (("kinds-of-input",), "Router"),
        (("mostly-easy",), "Cascade"),
        (("must-pass",), "Gate"),
        (("can-be-mended",), "Refine"),
        (("short-answers",), "Vote"),
        (("arguable",), "Debate"),
        (("parts-unknown",), "Supervisor"),
        (("who-shows-late",), "Mesh"),
        (("builds-on",), "RoundRobin"),
        (("findings-trigger",), "Blackboard"),
        (("beside",), "Detached"),
        (("parts-unknown", "many-items"), "FanOut + Supervisor"),
    ],
)
def test_which_pattern_by_question(traits: tuple[str, ...], pattern: str):
    """The simpler one first, with what speaks against it."""
    found = which_pattern(traits)
    assert found.id == pattern
    assert found.unless
