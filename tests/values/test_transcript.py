"""The transcript: append-only, hash-chained, shared by its forks (SEMANTICS 6)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlay.values.content import File, Image, Part, ProviderBlock, Text, ToolCall, ToolResult
from outlay.values.label import untrusted
from outlay.values.message import Message, user
from outlay.values.request import OutputSpec, Prelude, ToolSpec
from outlay.values.transcript import EMPTY, Transcript

PNG = b"\x89PNG\r\n\x1a\n"
text = st.text(st.characters(codec="utf-8"), max_size=20)
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(Text, text),
    st.builds(ToolCall, text, text, text),
    st.builds(ToolResult, text, text, text, st.booleans()),
    st.builds(lambda data: Image(data=PNG + data), st.binary(max_size=8)),
    st.builds(lambda data: File(data=data), st.binary(max_size=8)),
)
messages = st.builds(Message, st.sampled_from(["user", "assistant", "tool"]), st.lists(parts, max_size=3).map(tuple))


def test_appending_leaves_the_past_as_it_was_and_shares_it() -> None:
    """Two continuations of one past hold the very same links: a fork copies nothing."""
    past = EMPTY.append(user("one"), user("two"))
    left, right = past.append(user("left")), past.append(user("right"))
    assert left.parent is past
    assert right.parent is past
    assert [m.text for m in past] == ["one", "two"]
    assert [m.text for m in left] == ["one", "two", "left"]
    assert left.head != right.head


def test_appending_costs_the_same_however_long_the_past_is() -> None:
    """One link and one message are hashed, not the whole conversation."""
    read: list[bytes] = []

    class Spy(Message):
        __slots__ = ()

        @property
        def canonical(self) -> bytes:
            read.append(b"")
            return super().canonical

    long = EMPTY.append(*(Spy("user", (Text(str(i)),)) for i in range(500)))
    read.clear()
    long.append(Spy("user", (Text("one more"),)))
    assert len(read) == 1


def test_a_long_conversation_is_no_problem() -> None:
    """Reading it back needs no recursion."""
    long = EMPTY.append(*(user(str(i)) for i in range(5_000)))
    assert len(long.messages) == len(long) == 5_000
    assert long.messages[-1] == long.last


@given(st.lists(messages, max_size=4), st.lists(messages, max_size=4))
def test_equal_heads_mean_equal_conversations(a: list[Message], b: list[Message]) -> None:
    """The head is a hash of all there is, in order, and of nothing else."""
    left, right = EMPTY.append(*a), EMPTY.append(*b)
    assert (left.head == right.head) == (a == b)
    assert (left.first_difference(right) is None) == (a[: len(b)] == b[: len(a)])


def test_the_first_difference_is_found() -> None:
    """It names the message that broke a cached prefix."""
    a = EMPTY.append(user("same"), user("old"), user("same"))
    b = EMPTY.append(user("same"), user("new"), user("same"))
    assert a.first_difference(b) == 1
    assert a.first_difference(a.append(user("more"))) is None


def test_provider_only_blocks_are_no_part_of_identity() -> None:
    """Signed thinking is an attachment: keys and forks do not depend on it, though the message does."""
    block = ProviderBlock("anthropic", "thinking", '{"signature": "x"}', "I think")
    plain, signed = Message("assistant", (Text("hi"),)), Message("assistant", (block, Text("hi")))
    assert plain.canonical == signed.canonical
    assert EMPTY.append(plain).head == EMPTY.append(signed).head
    assert plain != signed
    assert signed.thinking == "I think"


def test_labels_are_no_part_of_identity() -> None:
    """Who may see a message does not change which message it is."""
    assert user("x") == user("x", untrusted("web"))
    assert user("x").canonical == user("x", untrusted("web")).canonical


def test_roles_and_borders_between_parts_count() -> None:
    """Moving a border or changing who spoke makes another message."""
    variants = [
        Message("user", (Text("ab"),)),
        Message("user", (Text("a"), Text("b"))),
        Message("assistant", (Text("ab"),)),
        Message("user", (ToolResult("a", "b", "c"),)),
        Message("user", (ToolCall("a", "b", "c"),)),
        Message("user", (Text('["call","a","b","c"]'),)),
    ]
    assert len({EMPTY.append(m).head for m in variants}) == len(variants)


def test_text_that_is_no_unicode_does_not_break_a_conversation() -> None:
    """Half a surrogate pair, out of a broken file or a model, is carried and told apart, never an error."""
    heads = {EMPTY.append(user(t)).head for t in ("\ud800", "\udfff", "?", "\ufffd", "\\ud800")}
    assert len(heads) == 5


def test_a_message_is_encoded_once_per_dialect() -> None:
    """A request body is a join of cached bytes."""
    made: list[str] = []

    def encode(message: Message) -> bytes:
        made.append(message.text)
        return message.text.encode()

    talk = EMPTY.append(user("a"), user("b"))
    assert talk.wire("one", encode) == b"a,b"
    assert talk.append(user("c")).wire("one", encode) == b"a,b,c"
    assert made == ["a", "b", "c"]
    talk.wire("two", encode)
    assert made == ["a", "b", "c", "a", "b"]


def test_messages_that_a_dialect_leaves_out_leave_no_comma() -> None:
    """An empty encoding is no element of the list."""
    assert EMPTY.append(user("a"), user(""), user("b")).wire("x", lambda m: m.text.encode()) == b"a,b"


def test_a_transcript_says_how_long_it_is() -> None:
    """Its repr has no contents: they may be private."""
    talk = EMPTY.append(user("secret"))
    assert "secret" not in repr(talk)
    assert "1 messages" in repr(talk)
    assert (len(EMPTY), EMPTY.messages, EMPTY.last) == (0, (), None)
    assert isinstance(talk, Transcript)


# ── what messages are made of ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\0\0\0\0WEBP", "image/webp"),
    ],
)
def test_a_pictures_type_is_read_from_its_bytes(data: bytes, kind: str) -> None:
    """The name of a file is not to be trusted."""
    assert Image(data=data).media_type == kind
    assert Image(data=data, media_type="image/x").media_type == "image/x"


def test_pictures_and_files_come_from_one_place() -> None:
    """Exactly one of bytes, address and id; an unknown picture asks for its type."""
    for wrong in ({}, {"data": PNG, "url": "https://x"}):
        with pytest.raises(ValueError, match="either data= or url="):
            Image(**wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="media_type"):
        Image(data=b"BM")
    for wrong in ({}, {"data": b"", "file_id": "f"}):
        with pytest.raises(ValueError, match="exactly one"):
            File(**wrong)  # pyright: ignore[reportArgumentType]


def test_bytes_are_not_shown() -> None:
    """A repr must not print a megabyte."""
    assert "data" not in repr(Image(data=PNG))
    assert "data" not in repr(File(data=b"x"))


# ── the fixed part of a request ───────────────────────────────────────────────────────────────────────────


def test_the_prelude_is_told_apart_by_all_that_it_holds() -> None:
    """Instructions, tools and output schema each have their place in its digest."""
    tool = ToolSpec("a", "b", "c")
    variants = [
        Prelude(),
        Prelude(("a", "b", "c")),
        Prelude(("a", "bc")),
        Prelude(("abc",)),
        Prelude((), (tool,)),
        Prelude(("a",), (ToolSpec("b", "c", ""),)),
        Prelude((), (), OutputSpec("a", "{}")),
        Prelude(("{}",)),
    ]
    assert len({p.digest for p in variants}) == len(variants)
    assert Prelude(("a",), (tool,)).digest == Prelude(("a",), (ToolSpec("a", "b", "c"),)).digest


def test_a_total_is_not_counted_again_by_another_turn_of_the_same_past() -> None:
    counted: list[str] = []

    def length(message: Message) -> int:
        counted.append(message.text)
        return len(message.text)

    past = Transcript().append(user("one"), user("three"))
    assert past.append(user("first")).total("bytes", length) == 13
    counted.clear()
    assert past.append(user("second")).total("bytes", length) == 14
    assert set(counted) == {"second"}
