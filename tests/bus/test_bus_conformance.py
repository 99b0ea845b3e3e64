"""What every bus does, whatever carries it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bus.conftest import Site
from outlay.bus import Bus, Consumer, Headers, Message
from outlay.errors import ConfigError, Conflict, MessageTooLarge
from outlay.sharing import Outbox, Outgoing, State
from outlay.stores import open_store
from outlay.values.label import TRUSTED, untrusted

#: Seconds in which nothing must arrive: some looks of either broker.
NOTHING = 0.06


@pytest.fixture
async def bus(site: Site) -> AsyncIterator[Bus]:
    async with site.open() as bus:
        yield bus


async def take(consumer: Consumer) -> Message:
    async with asyncio.timeout(5):
        return await anext(consumer)


async def take_body(consumer: Consumer) -> Any:
    """The next body, acknowledged."""
    message = await take(consumer)
    await message.ack()
    return message.body


async def nothing(consumer: Consumer) -> None:
    try:
        async with asyncio.timeout(NOTHING):
            message = await anext(consumer)
    except TimeoutError:
        return
    raise AssertionError(f"{message!r} came")


# ── what travels ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("body", [b"\x00\xff\n", {"a": [1, 2.5, None, "é\n"]}, "text", [], None], ids=repr)
async def test_a_body_comes_as_it_was_published(bus: Bus, body: Any):
    """Bytes as bytes, JSON as its value."""
    await bus.publish("orders", body)
    assert await take_body(bus.consume("orders")) == body


async def test_what_is_said_about_a_message_travels_with_it(bus: Bus):
    """Id, key, sender, label and headers arrive as they were, whatever characters they hold."""
    label = untrusted("web\r\n: page", "private")
    headers = Headers(sender="crew/scout[3]", label=label, extra={"trace": "a\nb", "ü": "ß"})
    assert await bus.publish("orders", 1, key="kunde ü\r\n", id="no 1\n", headers=headers) == "no 1\n"
    message = await take(bus.consume("orders"))
    assert (message.id, message.topic, message.key, message.attempt) == ("no 1\n", "orders", "kunde ü\r\n", 1)
    assert message.headers == headers
    assert message.published < message.leased_until


async def test_a_body_that_nobody_labelled_is_untrusted(bus: Bus):
    """What came over a bus is no authority unless its sender says so."""
    await bus.publish("orders", 1)
    await bus.publish("orders", 2, headers=Headers(label=TRUSTED))
    messages = bus.consume("orders")
    first, second = await take(messages), await take(messages)
    assert (first.headers.label, second.headers.label) == (untrusted("bus"), TRUSTED)


async def test_a_message_without_an_id_gets_one(bus: Bus):
    first, second = await bus.publish("orders", 1), await bus.publish("orders", 1)
    assert first != second
    assert (await take(bus.consume("orders"))).id == first


# ── groups ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_goes_to_one_member_of_each_group(bus: Bus):
    await bus.subscribe("orders", "billing")
    await bus.subscribe("orders", "audit")
    ids = [await bus.publish("orders", n) for n in range(4)]
    one, other = bus.consume("orders", group="billing"), bus.consume("orders", group="billing")
    members = [await take(one), await take(other), await take(one), await take(other)]
    assert sorted(message.id for message in members) == sorted(ids)
    await nothing(one)
    await nothing(other)
    audit = bus.consume("orders", group="audit")
    assert sorted([(await take(audit)).id for _ in ids]) == sorted(ids)


async def test_members_side_by_side_share_the_work(bus: Bus):
    """Each message once, however many ask at the same moment."""
    got: list[int] = []
    finished = asyncio.Event()

    async def member() -> None:
        async for message in bus.consume("orders"):
            got.append(message.body)
            await message.ack()
            if len(got) == 60:
                finished.set()

    async with asyncio.TaskGroup() as members:
        working = [members.create_task(member()) for _ in range(5)]
        for n in range(60):
            await bus.publish("orders", n, key=f"c-{n % 7}" if n % 2 else None)
        async with asyncio.timeout(5):
            await finished.wait()
        for task in working:
            task.cancel()
    assert sorted(got) == list(range(60))


async def test_the_first_group_gets_what_was_there_and_a_later_one_what_comes(bus: Bus):
    await bus.publish("orders", "before", key="c")
    await bus.subscribe("orders", "first")
    await bus.subscribe("orders", "second")
    await bus.publish("orders", "after", key="c")
    first, second = bus.consume("orders", group="first"), bus.consume("orders", group="second")
    assert [await take_body(first), await take_body(first)] == ["before", "after"]
    assert await take_body(second) == "after"
    await nothing(second)


async def test_a_topic_may_meet_its_first_group_at_any_moment(site: Site):
    """Whoever makes it first: nothing is lost, and nothing that is done is kept (it would fill the topic)."""
    async with site.open(high_water=2) as one, site.open(high_water=2) as other, asyncio.timeout(10):
        for n in range(6):
            messages = other.consume(f"orders-{n}")
            first = asyncio.create_task(take_body(messages))
            await asyncio.sleep(0.002 * n)
            await asyncio.gather(one.publish(f"orders-{n}", 0), other.subscribe(f"orders-{n}", "default"))
            assert await first == 0
            for m in range(1, 4):
                await one.publish(f"orders-{n}", m)
                assert await take_body(messages) == m


async def test_topics_are_apart(bus: Bus):
    await bus.publish("orders", "a")
    await bus.publish("orders.eu", "b")
    assert await take_body(bus.consume("orders.eu")) == "b"
    assert await take_body(bus.consume("orders")) == "a"


async def test_a_direct_message_waits_for_its_recipient(bus: Bus):
    """A recipient may be any path of an agent; a topic of the same name gets nothing."""
    await bus.send("crew/scout[3]", "for you", key="c")
    await bus.send("crew/scout[4]", "not for you")
    inbox = bus.inbox("crew/scout[3]")
    message = await take(inbox)
    assert (message.body, message.topic) == ("for you", "@crew/scout[3]")
    await nothing(inbox)
    await bus.send("scout", "hidden")
    await nothing(bus.consume("scout"))


async def test_another_process_is_heard(site: Site):
    """Two buses at one place, as two processes would have: what one publishes wakes the other."""
    async with site.open() as here, site.open() as there:
        messages = there.consume("orders")
        waiting = asyncio.create_task(take_body(messages))
        await asyncio.sleep(0.02)
        await here.publish("orders", "hello")
        assert await waiting == "hello"


async def test_a_message_outlives_its_bus(site: Site):
    async with site.open() as bus:
        await bus.publish("orders", "kept")
    async with site.open() as bus:
        assert await take_body(bus.consume("orders")) == "kept"


# ── once ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_id_published_twice_is_one_message(site: Site):
    """Also when the first is done, as long as the window lasts; ids of other topics do not count."""
    async with site.open(window=0.3) as bus:
        messages = bus.consume("orders")
        await bus.publish("orders", "first", id="a")
        await bus.publish("orders", "second", id="a")
        assert await take_body(messages) == "first"
        await bus.publish("orders", "third", id="a")
        await bus.publish("refunds", "other", id="a")
        await nothing(messages)
        assert await take_body(bus.consume("refunds")) == "other"
        await site.pass_time(0.5)
        await bus.publish("orders", "much later", id="a")
        assert await take_body(messages) == "much later"


async def test_an_outbox_that_sends_again_sends_nothing_new(bus: Bus):
    """A state change and its message are one commit; a relay that died after sending does no harm."""
    async with open_store() as store:
        await State(store, "team").set("order", 1, version=0, outbox=[Outgoing("orders", {"n": 1}, "c-1")])
        (waiting,) = await Outbox(store).waiting()
        await bus.publish(waiting.topic, waiting.body, key=waiting.key, id=waiting.id)
        assert (await Outbox(store).publish(bus)).sent == 1
    messages = bus.consume("orders")
    assert await take_body(messages) == {"n": 1}
    await nothing(messages)


# ── order ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_messages_of_a_key_come_one_after_the_other(bus: Bus):
    """The second waits for the acknowledgement of the first, whoever asks; other keys and none do not wait."""
    await bus.subscribe("orders", "default")
    for n in range(3):
        await bus.publish("orders", n, key="c-1")
    one, other = bus.consume("orders"), bus.consume("orders")
    first = await take(one)
    await nothing(one)
    await nothing(other)
    await bus.publish("orders", "loose")
    assert await take_body(other) == "loose"
    await first.ack()
    assert [await take_body(other), await take_body(one)] == [1, 2]


async def test_a_refused_message_comes_again_before_the_later_ones_of_its_key(site: Site):
    async with site.open() as bus:
        for n in range(3):
            await bus.publish("orders", n, key="c-1")
        messages = bus.consume("orders")
        first = await take(messages)
        await first.nack("not now", delay=0.2)
        await nothing(messages)
        await site.pass_time(0.3)
        again = await take(messages)
        assert (again.body, again.attempt) == (0, 2)
        await again.ack()
        assert [await take_body(messages), await take_body(messages)] == [1, 2]


async def test_each_group_has_its_own_order(bus: Bus):
    """A group that is stuck holds back nobody else."""
    for group in ("slow", "fast"):
        await bus.subscribe("orders", group)
    for n in range(3):
        await bus.publish("orders", n, key="c-1")
    await take(bus.consume("orders", group="slow"))
    fast = bus.consume("orders", group="fast")
    assert [await take_body(fast) for _ in range(3)] == [0, 1, 2]


# ── leases ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_what_is_not_acknowledged_in_time_comes_again(site: Site):
    """And the first one's late acknowledgement is refused: somebody else may have it."""
    async with site.open(visibility=0.4) as bus:
        await bus.publish("orders", "slow", key="c-1")
        messages = bus.consume("orders")
        first = await take(messages)
        await nothing(messages)
        await site.pass_time(0.45)
        again = await take(messages)
        assert (again.body, again.attempt) == ("slow", 2)
        with pytest.raises(Conflict, match=r"lease of 0.4 s is over.*\n.*\n  next: work on it inside"):
            await first.ack()
        await again.ack()
        await site.pass_time(0.45)
        await nothing(messages)


async def test_what_somebody_left_behind_is_found_by_a_busy_consumer(site: Site):
    """Although there is always something newer to do."""
    async with site.open(visibility=0.3) as bus, site.open(visibility=0.3) as other:
        await bus.publish("orders", "left", key="c-1")
        await take(other.consume("orders"))
        messages = bus.consume("orders")
        for n in range(3):
            await bus.publish("orders", n)
        await take_body(messages)
        await site.pass_time(0.35)
        async with asyncio.timeout(5):
            while (body := await take_body(messages)) != "left":
                await bus.publish("orders", body)


async def test_a_lease_can_be_extended(site: Site):
    async with site.open(visibility=0.4) as bus:
        await bus.publish("orders", "long", key="c-1")
        messages = bus.consume("orders")
        message = await take(messages)
        for _ in range(3):
            await site.pass_time(0.25)
            until = message.leased_until
            await message.extend()
            assert message.leased_until > until
        await nothing(messages)
        await message.ack()


async def test_a_message_is_settled_once(bus: Bus):
    await bus.publish("orders", 1)
    message = await take(bus.consume("orders"))
    await message.ack()
    with pytest.raises(Conflict, match="cannot be refused: it was acknowledged already"):
        await message.nack()


async def test_a_block_acknowledges_or_refuses_with_the_reason(site: Site):
    async with site.open(max_deliveries=1) as bus:
        messages = bus.consume("orders")
        await bus.publish("orders", "good")
        await bus.publish("orders", "bad")
        async with await take(messages):
            pass
        with pytest.raises(ZeroDivisionError):
            async with await take(messages):
                _ = 1 / 0
        await nothing(messages)
        (letter,) = await bus.dead_letters("orders")
        assert (letter.body, letter.reason) == ("bad", "ZeroDivisionError: division by zero")


async def test_a_block_keeps_its_lease(site: Site):
    """As long as it runs, however long that is."""
    async with site.open_in_real_time(visibility=0.2) as bus:
        await bus.publish("orders", "long")
        messages = bus.consume("orders")
        async with await take(messages):
            await asyncio.sleep(0.45)
        await nothing(messages)


async def test_a_block_that_settled_by_itself_is_left_alone(bus: Bus):
    await bus.publish("orders", 1)
    messages = bus.consume("orders")
    async with await take(messages) as message:
        await message.nack("another time", delay=0)
    assert (await take(messages)).attempt == 2


# ── dead letters ──────────────────────────────────────────────────────────────────────────────────────────


async def test_a_poisoned_message_becomes_a_dead_letter_and_its_key_goes_on(site: Site):
    """With the reason, the attempts and all that it was; until somebody forgets it."""
    async with site.open(max_deliveries=3) as bus:
        headers = Headers(sender="crew", label=untrusted("web"))
        await bus.publish("orders", {"poison": True}, key="c-1", id="p", headers=headers)
        await bus.publish("orders", "next", key="c-1")
        messages = bus.consume("orders", group="billing")
        for attempt in (1, 2, 3):
            message = await take(messages)
            assert message.attempt == attempt
            await message.nack(f"no {attempt}")
        assert await take_body(messages) == "next"
        (letter,) = await bus.dead_letters("orders")
        assert (letter.topic, letter.group, letter.id, letter.key) == ("orders", "billing", "p", "c-1")
        assert (letter.body, letter.headers) == ({"poison": True}, headers)
        assert (letter.attempts, letter.reason) == (3, "no 3")
        assert await bus.dead_letters("orders", group="audit") == []
        await bus.forget(letter)
        assert await bus.dead_letters("orders", group="billing") == []


async def test_a_message_that_kills_its_consumers_becomes_a_dead_letter(site: Site):
    """Nobody lives to say why; the reason says so."""
    async with site.open(max_deliveries=2, visibility=0.2) as bus:
        await bus.publish("orders", "deadly", key="c-1")
        await bus.publish("orders", "next", key="c-1")
        messages = bus.consume("orders")
        for _ in range(2):
            assert (await take(messages)).body == "deadly"
            await site.pass_time(0.25)
        assert await take_body(messages) == "next"
        (letter,) = await bus.dead_letters("orders")
        assert (letter.body, letter.reason) == ("deadly", "not acknowledged within 0.2 s, delivery 2 of 2")


async def test_a_message_can_be_rejected_at_once(bus: Bus):
    await bus.send("scout", "nonsense")
    messages = bus.inbox("scout")
    await (await take(messages)).reject("not a task")
    await nothing(messages)
    (letter,) = await bus.dead_letters("@scout")
    assert (letter.reason, letter.attempts) == ("not a task", 1)


async def test_dead_letters_come_oldest_first_up_to_the_limit(bus: Bus):
    messages = bus.consume("orders")
    for n in range(3):
        await bus.publish("orders", n)
        await (await take(messages)).reject("no")
    assert [letter.body for letter in await bus.dead_letters("orders", limit=2)] == [0, 1]
    assert await bus.dead_letters("refunds") == []


# ── back-pressure ─────────────────────────────────────────────────────────────────────────────────────────


async def test_publish_waits_above_the_high_water_mark(site: Site):
    """Until a message is done in every group. A known id changes nothing, so it need not wait."""
    async with site.open(high_water=2) as bus:
        await bus.publish("orders", 0, id="zero")
        await bus.publish("orders", 1)
        waiting = asyncio.create_task(bus.publish("orders", 2))
        await bus.publish("orders", 0, id="zero")
        await bus.publish("refunds", "another topic")
        messages = bus.consume("orders")
        first = await take(messages)
        await asyncio.sleep(NOTHING)
        assert not waiting.done()
        await first.ack()
        async with asyncio.timeout(5):
            await waiting
        assert sorted([await take_body(messages), await take_body(messages)]) == [1, 2]


async def test_a_consumer_takes_at_most_max_in_flight(site: Site):
    """What is settled or has run out makes room."""
    async with site.open(visibility=0.5) as bus:
        for n in range(5):
            await bus.publish("orders", n)
        messages = bus.consume("orders", max_in_flight=2)
        first, _ = await take(messages), await take(messages)
        await nothing(messages)
        await first.ack()
        await take(messages)
        await nothing(messages)
        await site.pass_time(0.6)
        await take(messages)


async def test_serve_handles_messages_side_by_side_and_outlives_their_failures(site: Site):
    """At most `max_in_flight` at once; one that raises is refused, in the end a dead letter with its reason."""
    async with site.open(max_deliveries=2) as bus:
        running = most = 0
        done: set[int] = set()
        finished = asyncio.Event()

        async def handle(message: Message) -> None:
            nonlocal running, most
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.005)
            running -= 1
            if message.body == 3:
                raise ValueError("three")
            done.add(message.body)
            if len(done) == 9:
                finished.set()

        for n in range(10):
            await bus.publish("orders", n)
        serving = asyncio.create_task(bus.serve("orders", handle, max_in_flight=3))
        async with asyncio.timeout(5):
            await finished.wait()
            while not (letters := await bus.dead_letters("orders")):  # noqa: ASYNC110  another task's doing
                await asyncio.sleep(0.01)
        assert most == 3
        assert [(letter.body, letter.reason) for letter in letters] == [(3, "ValueError: three")]
        await bus.close()
        await serving


# ── leaving ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_giving_up_waiting_loses_no_message(bus: Bus):
    """However late: a message that was claimed for somebody who left is there for the next."""
    messages = bus.consume("orders")
    for n in range(20):
        waiting = asyncio.create_task(take_body(messages))
        await asyncio.sleep(0.0007 * n)
        await bus.publish("orders", n)
        waiting.cancel()
        outcome = (await asyncio.gather(waiting, return_exceptions=True))[0]
        assert (await take_body(messages) if isinstance(outcome, asyncio.CancelledError) else outcome) == n


async def test_a_consumer_that_leaves_gives_back_what_it_did_not_take(bus: Bus):
    async with bus.consume("orders") as messages:
        await nothing(messages)
        await bus.publish("orders", 1)
        await asyncio.sleep(NOTHING)
    with pytest.raises(StopAsyncIteration):
        await take(messages)
    assert await take_body(bus.consume("orders")) == 1


async def test_closing_ends_who_waits_and_refuses_who_comes(site: Site):
    async with site.open() as bus:
        await bus.publish("orders", 1)
        messages = bus.consume("orders")
        message = await take(messages)
        left: list[Message] = []

        async def wait() -> None:
            async for other in messages:
                left.append(other)

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        await waiting
    assert left == []
    for call in (
        bus.publish("orders", 1),
        bus.send("scout", 1),
        bus.subscribe("orders", "late"),
        bus.dead_letters("orders"),
        message.ack(),
    ):
        with pytest.raises(ConfigError, match=r"the bus is closed\n  next: keep it open"):
            await call
    with pytest.raises(ConfigError, match="the bus is closed"):
        bus.consume("orders")
    await bus.close()


async def test_a_publisher_that_waits_for_room_is_told_of_the_end(site: Site):
    async with site.open(high_water=1) as bus:
        await bus.publish("orders", 0)
        waiting = asyncio.create_task(bus.publish("orders", 1))
        await asyncio.sleep(0.02)
    with pytest.raises(ConfigError, match="the bus is closed"):
        await waiting


# ── bad input ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_message_over_the_size_limit_is_refused(site: Site):
    """Nothing of it is published; the error says how large it was and what to do."""
    async with site.open(max_bytes=1_000) as bus:
        with pytest.raises(MessageTooLarge, match="takes 1,000") as raised:
            await bus.publish("orders", b"x" * 1_001)
        assert raised.value.size > 1_000
        assert raised.value.limit == 1_000
        assert "artifact" in raised.value.hint
        with pytest.raises(MessageTooLarge):
            await bus.publish("orders", b"", headers=Headers(extra={"large": "x" * 1_000}))
        await bus.publish("orders", b"x" * 800)
        messages = bus.consume("orders")
        assert await take_body(messages) == b"x" * 800
        await nothing(messages)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "@a", "a*", "x" * 65, "a\n", "ü"])
async def test_a_name_that_cannot_be_is_refused(bus: Bus, name: str):
    with pytest.raises(ConfigError, match="cannot be the name of a topic"):
        await bus.publish(name, 1)
    with pytest.raises(ConfigError, match="cannot be the name of a group"):
        bus.consume("orders", group=name)


@pytest.mark.parametrize("body", [object(), float("nan"), {1, 2}, "\ud800", {"a": b"bytes inside"}], ids=type)
async def test_a_body_that_is_neither_bytes_nor_json_is_refused(bus: Bus, body: Any):
    with pytest.raises(ConfigError, match="neither bytes nor JSON"):
        await bus.publish("orders", body)


async def test_keys_ids_and_recipients_have_text_and_an_end(bus: Bus):
    for wrong in ("", "x" * 513):
        with pytest.raises(ConfigError, match="must be text of 1 to 512 characters"):
            await bus.publish("orders", 1, key=wrong)
        with pytest.raises(ConfigError, match="must be text of 1 to 512 characters"):
            await bus.publish("orders", 1, id=wrong)
        with pytest.raises(ConfigError, match="must be text of 1 to 512 characters"):
            await bus.send(wrong, 1)


async def test_a_consumer_must_be_allowed_one_message(bus: Bus):
    with pytest.raises(ConfigError, match="max_in_flight must be at least 1, not 0"):
        bus.consume("orders", max_in_flight=0)
