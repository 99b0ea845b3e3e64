"""Labels join when values join (SEMANTICS 7)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from outlay.values.label import TRUSTED, Integrity, Label, untrusted

names = st.frozensets(st.sampled_from(["web", "mail", "pii", "secret"]))
labels = st.just(TRUSTED) | st.builds(Label, st.sampled_from(Integrity), names, names)


@given(labels, labels)
def test_joining_is_commutative(a: Label, b: Label) -> None:
    """Which value came first does not matter."""
    assert a.join(b) == b.join(a)


@given(labels, labels, labels)
def test_joining_is_associative(a: Label, b: Label, c: Label) -> None:
    """How values were put together does not matter."""
    assert a.join(b).join(c) == a.join(b.join(c))


@given(labels)
def test_joining_is_idempotent(a: Label) -> None:
    """A value joined with itself is no worse."""
    assert a.join(a) == a
    assert a.join(Label(a.integrity, a.sources, a.tags)) == a


@given(labels, labels)
def test_joining_never_raises_trust_and_never_loses_a_tag(a: Label, b: Label) -> None:
    """The worse integrity wins; sources and tags are kept."""
    joined = a.join(b)
    assert joined.integrity == min(a.integrity, b.integrity)
    assert joined.sources >= a.sources | b.sources
    assert joined.tags >= a.tags | b.tags


@given(labels)
def test_trusted_is_neutral(a: Label) -> None:
    """What is trusted and carries nothing changes nothing."""
    assert a.join(TRUSTED) == TRUSTED.join(a) == a


def test_levels_are_ordered() -> None:
    """trusted > data > untrusted."""
    assert Integrity.TRUSTED > Integrity.DATA > Integrity.UNTRUSTED
    assert untrusted("web", "pii") == Label(Integrity.UNTRUSTED, frozenset({"web"}), frozenset({"pii"}))
