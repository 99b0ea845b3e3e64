"""Artifacts: written once, known by their content, with author and source."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.errors import ConfigError, Conflict
from outlay.protocols.store import Store
from outlay.sharing import State, names
from outlay.sharing.artifacts import Artifacts
from outlay.stores import MemoryStore

BAD_NAMES = [
    "",
    "..",
    "../up.md",
    "a/../b",
    "a/./b",
    "./a",
    "/etc/passwd",
    "//host/share",
    "a//b",
    "a/",
    "C:\\x",
    "C:x",
    "a\\b",
    "a\0b",
    "a\nb",
    "\x1b[31mred",
    "\u202egnp.exe",
    "half\ud800",
    "e\u0301",  # two characters where NFC has one
    "x" * 201,
    "/".join(["x" * 100] * 6),
    "con",
    "doc/NUL.txt",
    "COM1.tar.gz",
    "lpt\u00b9",
    "aux .md",
    "dot.",
    "space ",
    " space",
    "wild*",
    "pipe|",
    "q?",
    'quo"te',
    "<tag>",
]


@pytest.fixture
def artifacts(store: Store) -> Artifacts:
    return State(store, "team").artifacts


@pytest.mark.parametrize(
    ("content", "data", "type"),
    [
        ("# Plan\nÄ", "# Plan\nÄ".encode(), "text/plain"),
        (b"\xff\x00", b"\xff\x00", "application/octet-stream"),
        ({"a": (1, None)}, b'{"a": [1, null]}', "application/json"),
        ("", b"", "text/plain"),
    ],
)
async def test_text_bytes_and_values_are_kept_with_their_type(
    artifacts: Artifacts, content: Any, data: bytes, type: str
):
    put = await artifacts.put("docs/plan", content)
    assert (put.name, put.version, put.type, put.size) == ("docs/plan", 1, type, len(data))
    assert await artifacts.get("docs/plan") == put
    assert await artifacts.read("docs/plan") == data


async def test_a_declared_type_is_part_of_what_an_artifact_is(artifacts: Artifacts):
    plain, markdown = await artifacts.put("a", "x"), await artifacts.put("b", "x", type="text/markdown", source="a")
    assert (markdown.type, markdown.source) == ("text/markdown", "a")
    assert plain.digest != markdown.digest
    assert plain.digest == (await artifacts.put("c", "x")).digest
    with pytest.raises(Conflict):
        await artifacts.put("a", "x", type="text/markdown")


async def test_an_artifact_is_written_once(artifacts: Artifacts):
    """The same content is what is there; another one is refused, with the ways to go on."""
    first = await artifacts.put("plan", "one")
    assert await artifacts.put("plan", "one", source="elsewhere") == first
    with pytest.raises(Conflict, match="another content") as caught:
        await artifacts.put("plan", "two")
    assert (caught.value.theirs, caught.value.mine.size) == (first, 3)
    assert "version=2" in caught.value.hint
    assert await artifacts.text("plan") == "one"


async def test_a_source_is_text(artifacts: Artifacts):
    with pytest.raises(ConfigError, match="surrogate"):
        await artifacts.put("plan", "x", source="half \ud800")
    assert await artifacts.get("plan") is None


async def test_versions_follow_one_another_and_stay(artifacts: Artifacts):
    await artifacts.put("plan", "one")
    second = await artifacts.put("plan", "two", version=2)
    assert await artifacts.get("plan") == second
    assert [await artifacts.text("plan", n) for n in (1, 2)] == ["one", "two"]
    with pytest.raises(ConfigError, match="no version 3"):
        await artifacts.put("plan", "four", version=4)
    for version in (0, -1, True, "2", 10**8):
        with pytest.raises(ConfigError, match="is no version"):
            await artifacts.put("plan", "x", version=version)  # pyright: ignore[reportArgumentType]


async def test_of_two_writers_at_once_one_is_refused(artifacts: Artifacts):
    done = await asyncio.gather(*(artifacts.put("plan", text) for text in "ab"), return_exceptions=True)
    assert sum(isinstance(one, Conflict) for one in done) == 1
    assert await artifacts.text("plan") in ("a", "b")


async def test_artifacts_are_listed_by_name_with_their_newest_version(artifacts: Artifacts, store: Store):
    for name in ("docs/b", "docs/a", "doc", "docs%2Fc", "z"):
        await artifacts.put(name, name)
    await artifacts.put("docs/a", "new", version=2)
    await State(store, "other").artifacts.put("docs/other", "not mine")
    assert [(a.name, a.version) for a in await artifacts.list("docs")] == [
        ("docs%2Fc", 1),
        ("docs/a", 2),
        ("docs/b", 1),
    ]
    assert [a.name for a in await artifacts.list()] == ["doc", "docs%2Fc", "docs/a", "docs/b", "z"]


async def test_what_is_not_there_is_named_beside_what_is(artifacts: Artifacts):
    await artifacts.put("plan", "x")
    assert await artifacts.get("plam") is None
    with pytest.raises(ConfigError, match="no artifact 'plam'") as caught:
        await artifacts.read("plam")
    assert caught.value.hint == "the artifacts here are: plan"
    with pytest.raises(ConfigError, match="of version 2"):
        await artifacts.read("plan", 2)


async def test_a_damaged_content_is_not_handed_over():
    class Broken(MemoryStore):
        async def blobs(self, digests: Any) -> dict[bytes, bytes]:
            return dict.fromkeys(digests, b"other")

    artifacts = State(Broken(), "team").artifacts
    await artifacts.put("plan", "x")
    with pytest.raises(ConfigError, match="damaged"):
        await artifacts.read("plan")


@pytest.mark.parametrize(
    ("author", "agent"),
    [("crew/scout[3]/search#2", "search"), ("crew/scout[3]", "scout"), ("flow", "flow"), ("a/b#4", "b")],
)
async def test_an_author_who_does_not_put_it_is_named_by_path(author: str, agent: str):
    put = await State(MemoryStore(), "team").artifacts.put("plan", "x", author=author)
    assert (put.author, put.agent) == (author, agent)


@pytest.mark.parametrize("name", BAD_NAMES)
async def test_a_name_that_could_leave_a_folder_is_refused(name: str):
    artifacts = State(MemoryStore(), "team").artifacts
    for attempt in (artifacts.put(name, "x"), artifacts.get(name), artifacts.read(name)):
        with pytest.raises(ConfigError, match="is not allowed"):
            await attempt


@pytest.mark.parametrize(
    "name", ["a", "design/api.md", "Ä/ö ü.txt", ".env", "a..b", "x" * 200, "console.log", "-rf", "~"]
)
async def test_names_of_files_are_names(name: str):
    assert (await State(MemoryStore(), "team").artifacts.put(name, "x")).name == name


@given(st.text(st.sampled_from("aä./\\:*|? \0\n~-NULcom1\u202e\u0301\ud800"), max_size=10))
def test_a_name_that_is_allowed_is_one_path_below_its_folder(name: str):
    """Whatever else it is: no part is special, and joining it to a folder stays in the folder."""
    try:
        names.artifact(name)
    except ConfigError:
        return
    assert name.isprintable()
    assert all(part not in ("", ".", "..") for part in name.split("/"))
    assert not set(name) & set('\\:*?"<>|\0')


@pytest.mark.parametrize("type", ["", "a\nb", "x" * 201])
async def test_a_type_is_short_printable_text(type: str):
    with pytest.raises(ConfigError, match="is no type"):
        await State(MemoryStore(), "team").artifacts.put("a", "x", type=type)
