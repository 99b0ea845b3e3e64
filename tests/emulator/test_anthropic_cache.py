"""Anthropic's prompt cache: marked prefixes, minimum lengths, life times, what is read and what is written."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest

from outlay.emulator import Faults

MODEL = "claude-sonnet-4-6"
MARK = {"cache_control": {"type": "ephemeral"}}
HOUR = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
LONG = "All the rules of the house. " * 200  # 1,400 tokens


def system(text: str = LONG, mark: dict[str, Any] = MARK) -> list[dict[str, Any]]:
    return [{"type": "text", "text": text, **mark}]


async def usage(c, **prompt: Any) -> tuple[int, int, int]:
    """Uncached, written and read tokens of one request."""
    prompt = {"model": MODEL, "messages": [{"role": "user", "content": "Hello?"}], **prompt}
    used = (await c.anthropic.messages.create(max_tokens=20, **prompt)).usage
    return used.input_tokens, used.cache_creation_input_tokens, used.cache_read_input_tokens


async def test_a_marked_prefix_is_written_once_and_then_read(connect, clock):
    """input_tokens is what comes after the last mark, in both cases."""
    c = await connect(clock=clock)
    assert await usage(c, system=system()) == (5, 1_400, 0)
    assert await usage(c, system=system()) == (5, 0, 1_400)
    assert c.emulator.billed()[MODEL].cache_read_tokens == 1_400


async def test_an_entry_lives_five_minutes_from_its_last_use(connect, clock):
    """Reading starts the life time again; then it ends."""
    c = await connect(clock=clock)
    await usage(c, system=system())
    for _ in range(3):
        clock.forward(299)
        assert (await usage(c, system=system()))[2] == 1_400
    clock.forward(300)
    assert await usage(c, system=system()) == (5, 1_400, 0)


async def test_an_entry_of_one_hour_lives_that_long_and_is_reported_apart(connect, clock):
    """The two life times have prices of their own, so usage tells them apart."""
    c = await connect(clock=clock)
    message = await c.anthropic.messages.create(
        model=MODEL,
        max_tokens=20,
        system=system(mark=HOUR),
        messages=[
            {
                "role": "user",
                "content": "Hello?",
            }
        ],
    )
    assert message.usage.cache_creation.ephemeral_1h_input_tokens == 1_400
    assert message.usage.cache_creation.ephemeral_5m_input_tokens == 0
    clock.forward(3_599)
    assert (await usage(c, system=system(mark=HOUR)))[2] == 1_400


async def test_both_life_times_in_one_request(connect, clock):
    """One hour must come first; the tokens up to its mark are written for an hour, the rest for five minutes."""
    c = await connect(clock=clock)
    turn = [{"role": "user", "content": [{"type": "text", "text": "x" * 4_000, **MARK}]}]
    message = await c.anthropic.messages.create(model=MODEL, max_tokens=20, system=system(mark=HOUR), messages=turn)
    written = message.usage.cache_creation
    assert (written.ephemeral_1h_input_tokens, written.ephemeral_5m_input_tokens) == (1_400, 1_003)
    turn = [{"role": "user", "content": [{"type": "text", "text": "x", **HOUR}]}]
    with pytest.raises(anthropic.BadRequestError, match="must not come after"):
        await c.anthropic.messages.create(model=MODEL, max_tokens=20, system=system(), messages=turn)


async def test_one_changed_byte_misses(connect, clock):
    """A prefix is found again only if it is the same to the byte."""
    c = await connect(clock=clock)
    await usage(c, system=system())
    assert await usage(c, system=system(LONG[:-1] + "!")) == (5, 1_400, 0)


async def test_tools_come_before_system_and_messages(connect, clock):
    """A changed tool loses everything after it; a changed message nothing before it."""
    c = await connect(clock=clock)
    tool = {"name": "clock", "description": "Tells the time.", "input_schema": {"type": "object"}}
    _, written, _ = await usage(c, tools=[tool], system=system())
    assert (await usage(c, tools=[tool], system=system(), messages=[{"role": "user", "content": "Bye."}]))[2] == written
    assert (await usage(c, tools=[tool | {"description": "Tells the hour."}], system=system()))[2] == 0


async def test_tool_choice_belongs_to_the_messages_and_not_to_the_system_prompt(connect, clock):
    """Changing it loses what was cached of the messages and keeps tools and system."""
    c = await connect(clock=clock)
    tool = {"name": "clock", "input_schema": {"type": "object"}, "description": LONG, **MARK}
    turn = [{"role": "user", "content": [{"type": "text", "text": LONG, **MARK}]}]
    _, written, _ = await usage(c, tools=[tool], messages=turn)
    _, again, read = await usage(c, tools=[tool], messages=turn, tool_choice={"type": "none"})
    assert 0 < again < written
    assert read + again == written


@pytest.mark.parametrize(
    ("model", "minimum"),
    [
        ("claude-sonnet-4-6", 1_024),
        ("claude-haiku-4-5", 4_096),
        ("claude-opus-4-6", 4_096),
        ("claude-3-5-haiku", 2_048),
    ],
)
async def test_a_prefix_below_the_models_minimum_is_silently_not_cached(connect, clock, model, minimum):
    """At the minimum it is; one token below, every token is plain input."""
    c = await connect(clock=clock)
    assert (await usage(c, model=model, system=system("x" * 4 * (minimum - 1))))[1:] == (0, 0)
    assert (await usage(c, model=model, system=system("y" * 4 * minimum)))[1] == minimum


async def test_automatic_caching_moves_its_mark_along_with_the_conversation(connect, clock):
    """A top-level cache_control marks the last block: each turn reads the one before and writes what is new."""
    c = await connect(clock=clock, behaviour="Indeed.")
    messages: list[Any] = [{"role": "user", "content": LONG}]
    _, first, _ = await usage(c, messages=messages, **MARK)
    messages += [{"role": "assistant", "content": "Indeed."}, {"role": "user", "content": "And then?"}]
    uncached, second, read = await usage(c, messages=messages, **MARK)
    assert (uncached, read) == (0, first)
    assert second == 11  # "Indeed." and "And then?", three tokens of framing each


async def test_four_marks_are_allowed_and_a_fifth_is_a_400(connect):
    """The automatic mark counts as one."""
    c = await connect()
    blocks = [{"type": "text", "text": f"part {n}", **MARK} for n in range(4)]
    ask: dict[str, Any] = {"model": MODEL, "max_tokens": 20, "system": blocks}
    await c.anthropic.messages.create(**ask, messages=[{"role": "user", "content": "Hello?"}])
    for more in (
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi", **MARK}]}]},
        {"messages": [{"role": "user", "content": "Hi"}], **MARK},
    ):
        with pytest.raises(anthropic.BadRequestError, match=r"A maximum of 4 blocks .* Found 5"):
            await c.anthropic.messages.create(**ask, **more)


async def test_a_mark_looks_back_twenty_blocks_and_no_further(connect, clock):
    """A prefix that was written is lost when more than twenty blocks have come since."""
    c = await connect(clock=clock)

    def turn(more: int) -> list[dict[str, Any]]:
        blocks: list[dict[str, Any]] = [{"type": "text", "text": LONG}]
        blocks += [{"type": "text", "text": f"more {n}"} for n in range(more)]
        return [{"role": "user", "content": [*blocks[:-1], blocks[-1] | MARK]}]

    _, written, _ = await usage(c, messages=turn(0))
    assert (await usage(c, messages=turn(19)))[2] == written
    c.emulator.reset()
    await usage(c, messages=turn(0))
    assert (await usage(c, messages=turn(20)))[2] == 0


async def test_models_and_keys_do_not_share_a_cache(connect, clock):
    """Another model, or another key, pays its own write."""
    c = await connect(clock=clock)
    await usage(c, system=system())
    assert (await usage(c, model="claude-opus-4-8", system=system()))[2] == 0
    c.anthropic = c.anthropic.with_options(api_key="another")
    assert (await usage(c, system=system()))[2] == 0


async def test_a_failed_request_writes_nothing(connect, clock):
    """An entry exists only once an answer has begun."""
    c = await connect(clock=clock, faults=Faults(at={1: 529}))
    with pytest.raises(anthropic.InternalServerError):
        await usage(c, system=system())
    assert (await usage(c, system=system()))[1] == 1_400
