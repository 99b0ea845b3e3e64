"""What every store does with documents: versions, compare-and-set, all or nothing."""

import asyncio
import random
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from outlay.errors import Conflict
from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Store
from outlay.stores import open_store
from outlay.stores.changes import Held, decide
from stores.rows import put, row


async def test_a_document_comes_back_as_it_was_written(store: Store):
    """Whatever bytes its body holds, empty ones too, and whatever text its names are."""
    for body in (b"", b"\x00\xff", b"x" * 100_000):
        for name in ("k", "", "ключ 🔑/%_'"):
            await store.commit([put(name, body, collection=name)])
            found = await store.read(name, name)
            assert found is not None
            assert found.body == body
            assert (found.collection, found.key) == (name, name)


async def test_what_is_not_there_is_none(store: Store):
    assert await store.read("c", "k") is None
    assert await store.list("c") == []


async def test_the_version_begins_at_one_and_grows_by_one(store: Store):
    for version in (1, 2, 3):
        assert await store.commit([put("k", b"%d" % version)]) == (version,)
        assert await store.read("c", "k") == Document("c", "k", version, b"%d" % version)


async def test_a_collection_is_a_world_of_its_own(store: Store):
    await store.commit([put("k", b"1", collection="c"), put("k", b"2", collection="d")])
    await store.commit([put("k", b"3", collection="d")])
    assert await store.read("c", "k") == Document("c", "k", 1, b"1")
    assert await store.list("d") == [Document("d", "k", 2, b"3")]


async def test_a_change_of_another_version_is_a_conflict_with_both_values(store: Store):
    await store.commit([put("k", b"1")])
    await store.commit([put("k", b"2", 1)])
    mine = put("k", b"3", 1)
    with pytest.raises(
        Conflict, match=r"'k' of 'c' was changed.*version 2 is there, version 1 .*\n.*read it"
    ) as caught:
        await store.commit([mine])
    assert caught.value.mine == mine
    assert caught.value.theirs == await store.read("c", "k") == Document("c", "k", 2, b"2")


async def test_expecting_none_makes_it_once(store: Store):
    assert await store.commit([put("k", b"1", 0)]) == (1,)
    with pytest.raises(Conflict) as caught:
        await store.commit([put("k", b"2", 0)])
    assert caught.value.theirs == Document("c", "k", 1, b"1")


async def test_expecting_a_version_of_what_is_not_there_is_a_conflict(store: Store):
    with pytest.raises(Conflict, match="there is none, version 1 was expected") as caught:
        await store.commit([put("k", b"2", 1)])
    assert caught.value.theirs is None


async def test_a_deleted_document_is_gone_but_its_version_goes_on(store: Store):
    """A version never comes twice, so that what was meant for the old one cannot hit the new one."""
    assert await store.commit([put("k", b"1")]) == (1,)
    assert await store.commit([put("k", None, 1)]) == (0,)
    assert await store.read("c", "k") is None
    assert await store.list("c") == []
    assert await store.commit([put("k", b"1", 0)]) == (3,)
    with pytest.raises(Conflict):
        await store.commit([put("k", None, 1)])


async def test_deleting_what_is_not_there_leaves_no_trace(store: Store):
    assert await store.commit([put("k", None), put("k", None, 0)]) == (0, 0)
    assert await store.commit([put("k", b"1", 0)]) == (1,)


async def test_a_commit_is_all_or_nothing(store: Store):
    await store.commit([put("there", b"1")])
    with pytest.raises(Conflict) as caught:
        await store.commit([put("a", b"1"), put("there", None, 1), put("there", b"2", 1), put("b", b"1")])
    assert caught.value.mine == put("there", b"2", 1)
    assert caught.value.theirs is None
    assert await store.list("c") == [Document("c", "there", 1, b"1")]


async def test_a_change_sees_those_before_it_in_its_commit(store: Store):
    changes = [put("k", b"1", 0), put("k", b"2", 1), put("k", None, 2), put("k", b"4", 0)]
    assert await store.commit(changes) == (1, 2, 0, 4)
    assert await store.read("c", "k") == Document("c", "k", 4, b"4")


async def test_documents_are_listed_by_the_bytes_of_their_keys(store: Store):
    keys = ["b", "a", "a/1", "a/10", "a/2", "a%", "A", "", "é", "\uffff", "\U0001f511", "a/\U0010ffff", "a/\U0010ffffx"]
    await store.commit([put(key, key.encode()) for key in keys])
    assert [d.key for d in await store.list("c")] == sorted(keys, key=str.encode)
    assert [d.key for d in await store.list("c", "a/")] == ["a/1", "a/10", "a/2", "a/\U0010ffff", "a/\U0010ffffx"]
    assert [d.key for d in await store.list("c", "a/\U0010ffff")] == ["a/\U0010ffff", "a/\U0010ffffx"]
    assert [d.key for d in await store.list("c", "a%")] == ["a%"]
    assert await store.list("c", "z") == []


async def test_names_may_be_long(store: Store):
    """As long as an index can hold, whatever they are made of."""
    dice = random.Random(1)
    for name in ("".join(chr(dice.randrange(33, 127)) for _ in range(1_000)), "é" * 500):
        assert await store.commit([put(name, b"", collection=name)]) == (1,)
        assert [document.key for document in await store.list(name, name[:400])] == [name]


@pytest.mark.parametrize("name", ["a\0b", "\ud800", "a" * 1_001, "é" * 501])
async def test_names_that_not_every_store_can_keep_are_refused(store: Store, name: str):
    for change in (put(name, b""), put("k", b"", collection=name)):
        with pytest.raises(ValueError, match="text of at most 1,000 bytes without NUL or lone surrogates"):
            await store.commit([change])
    assert await store.commit([put("k", b"")]) == (1,)


async def test_a_refused_commit_does_not_fail_its_neighbours(store: Store):
    """100 at once for one document, 10 for others: one of the 100 wins, all others of them know."""
    rivals = [store.commit([put("one", b"%d" % i, 0), put(f"mine/{i}", b"")]) for i in range(100)]
    others = [store.commit([put(f"other/{i}", b"", 0)]) for i in range(10)]
    results = await asyncio.gather(*rivals, *others, return_exceptions=True)
    winner, *more = [i for i, result in enumerate(results[:100]) if result == (1, 1)]
    assert not more
    assert sum(isinstance(result, Conflict) for result in results) == 99
    assert results[100:] == [(1,)] * 10
    assert await store.read("c", "one") == Document("c", "one", 1, b"%d" % winner)
    assert [d.key for d in await store.list("c", "mine/")] == [f"mine/{winner}"]


async def test_commits_keep_their_order(store: Store):
    versions = await asyncio.gather(*[store.commit([put("k", b"%d" % i)]) for i in range(1_200)])
    assert versions == [(i,) for i in range(1, 1_201)]


async def test_a_commit_makes_everything_before_it_durable(store: Store):
    store.append([row("a", i) for i in range(1_000)])
    store.keep([(b"1", b"one")])
    await store.commit([])
    assert len(await store.events("a")) == 1_000
    assert await store.blobs([b"1"]) == {b"1": b"one"}


async def test_a_cancelled_commit_harms_nobody(store: Store):
    task = asyncio.create_task(store.commit([put("k", b"1")]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await store.commit([put("j", b"1")]) == (1,)


names = st.sampled_from(["a", "b", "a/x"])
some_changes = st.lists(
    st.builds(
        Change,
        collection=st.sampled_from(["c", "d"]),
        key=names,
        body=st.none() | st.binary(max_size=3),
        expect=st.none() | st.integers(0, 4),
    ),
    max_size=4,
)


class Model:
    """Documents as the plainest thing that could be right: a dictionary that is copied for each commit."""

    def __init__(self) -> None:
        self.there: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.counts: dict[tuple[str, str], int] = {}

    def commit(self, changes: Sequence[Change]) -> tuple[int, ...] | None:
        there, counts, versions = dict(self.there), dict(self.counts), list[int]()
        for change in changes:
            place = (change.collection, change.key)
            if change.expect not in (None, there.get(place, (0, b""))[0]):
                return None
            if change.body is None:
                if there.pop(place, None):
                    counts[place] += 1
                versions.append(0)
            else:
                counts[place] = counts.get(place, 0) + 1
                there[place] = counts[place], change.body
                versions.append(counts[place])
        self.there, self.counts = there, counts
        return tuple(versions)

    def list(self, collection: str) -> list[Document]:
        return [Document(c, k, *held) for (c, k), held in sorted(self.there.items()) if c == collection]


@given(st.lists(some_changes, max_size=8))
def test_the_decision_is_that_of_a_plain_dictionary(commits: list[list[Change]]):
    model, held = Model(), dict[tuple[str, str], Held]()
    for changes in commits:
        try:
            new, versions = decide(changes, held)
        except Conflict:
            assert model.commit(changes) is None
        else:
            assert model.commit(changes) == versions
            held |= new
        there = {place: (now.version, now.body) for place, now in held.items() if now.body is not None}
        assert there == model.there


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commits=st.lists(some_changes, min_size=1, max_size=8), together=st.booleans())
def test_a_store_is_a_plain_dictionary(store_factory, commits: list[list[Change]], together: bool):
    """One after the other or all at once, which is one transaction and the same order."""

    async def check() -> None:
        async with store_factory() as store:
            model = Model()
            if together:
                results = await asyncio.gather(*map(store.commit, commits), return_exceptions=True)
            else:
                results = [(await asyncio.gather(store.commit(c), return_exceptions=True))[0] for c in commits]
            for changes, result in zip(commits, results, strict=True):
                expected = model.commit(changes)
                assert isinstance(result, Conflict) if expected is None else result == expected
            for collection in ("c", "d"):
                assert await store.list(collection) == model.list(collection)

    asyncio.run(check())


def test_two_processes_lose_no_update(address: str):
    """Both add 1 to one document 500 times, by compare-and-set, and do get in each other's way."""
    child = [sys.executable, str(Path(__file__).with_name("child.py")), "count", address, "500"]
    both = [subprocess.Popen(child, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for process in both:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in both:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    conflicts = [int(process.communicate()[0]) for process in both]

    async def counted() -> Document | None:
        async with open_store(address) as store:
            return await store.read("count", "one")

    assert asyncio.run(counted()) == Document("count", "one", 1_000, b"1000")
    assert sum(conflicts) > 0
