"""The texts of calls, from the messages that a store keeps once each."""

from analysis.events_of import Log
from outlay.analysis.contents import Contents
from outlay.analysis.trace import trace
from outlay.events import Event
from outlay.values.content import Image, Text, ToolCall, ToolResult
from outlay.values.message import Message, user
from outlay.values.transcript import EMPTY, Transcript


def kept(transcript: Transcript) -> dict[bytes, bytes]:
    """As the runtime stores a conversation: each message under the head after it, behind the head before it."""
    found: dict[bytes, bytes] = {}
    for link in transcript.links():
        assert link.parent is not None
        assert link.message is not None
        found[link.head] = link.parent.head + link.message.canonical
    return found


ASKED = EMPTY.append(user("Where is my card?"))
CALLED = ASKED.append(Message("assistant", (Text("I look."), ToolCall("1", "search", '{"q":"card"}'))))
GIVEN = CALLED.append(Message("tool", (ToolResult("1", "search", "in the post"),)))
SAID = GIVEN.append(Message("assistant", (Text("In the post."),)))


def two_turns() -> list[Event]:
    log = Log()
    for before, after in ((ASKED, CALLED), (GIVEN, SAID)):
        log.start("reply", key=str(before.length), head=before.head.hex())
        log.finish("reply", key=str(before.length), head=after.head.hex())
    return log.events


def read(events: list[Event], store: dict[bytes, bytes]) -> Contents:
    contents = Contents(events)
    while digests := contents.missing():
        contents.add(digests, {digest: store[digest] for digest in digests if digest in store})
    return contents


def test_a_call_has_the_conversation_before_it_and_the_answer_after_it():
    contents = read(two_turns(), kept(SAID))
    first, second = trace(two_turns(), inputs=contents.inputs, outputs=contents.outputs)
    assert first.input == "user: Where is my card?"
    assert first.output == 'assistant: I look.\n[calls search {"q":"card"}]'
    assert second.input == f"{first.input}\n\n{first.output}\n\ntool: [search gave: in the post]"
    assert second.output == "assistant: In the post."


def test_what_is_no_longer_stored_is_said_to_be_gone():
    store = kept(SAID)
    del store[ASKED.head], store[SAID.head]
    contents = read(two_turns(), store)
    first, second = trace(two_turns(), inputs=contents.inputs, outputs=contents.outputs)
    assert (first.input, second.output) == (None, None)
    assert second.input is not None
    assert second.input.startswith("(earlier messages are no longer in the store)\n\nassistant: I look.")


def test_pictures_are_named_and_not_shown():
    seen = EMPTY.append(Message("user", (Image(url="http://x/y.png"),)))
    log = Log()
    log.start("reply", head=seen.head.hex())
    assert read(log.events, kept(seen)).inputs == {seen.head.hex(): "user: [image]"}


def test_without_calls_nothing_asks_for_summary():
    assert Contents([]).missing() == []
