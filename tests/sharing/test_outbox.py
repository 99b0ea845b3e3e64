"""The outbox: a message goes out if, and only if, the change that causes it is there."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from outlay import RunContext, node, run
from outlay.bus import BusLimits, Headers, open_bus
from outlay.errors import ConfigError, Conflict
from outlay.protocols.store import Store
from outlay.sharing import Outbox, Outgoing, State
from outlay.values.label import Labelled, untrusted

NONE = Headers()


class Bus:
    """What a relay needs of a bus; `down` topics raise."""

    def __init__(self, *down: str) -> None:
        self.down = set(down)
        self.news = asyncio.Event()
        self.sent: list[tuple[str, Any, str | None, str]] = []

    async def publish(
        self, topic: str, body: Any, *, key: str | None = None, id: str | None = None, headers: Headers = NONE
    ) -> None:
        await asyncio.sleep(0)
        if topic in self.down:
            raise ConnectionError(f"{topic} is down")
        assert id
        self.sent.append((topic, body, key, id))
        self.news.set()

    async def has(self, body: Any) -> None:
        """Return when it was sent."""
        while body not in self.bodies:
            self.news.clear()
            await self.news.wait()

    @property
    def bodies(self) -> list[Any]:
        return [body for _, body, _, _ in self.sent]


def order(n: int, topic: str = "orders", key: str | None = None) -> Outgoing:
    return Outgoing(topic, {"n": n}, key)


async def test_a_change_and_its_messages_are_one_commit(store: Store):
    team, outbox, bus = State(store, "team"), Outbox(store), Bus()
    await team.set("order", 1, version=0, outbox=[order(1, key="k"), order(2)])
    with pytest.raises(Conflict):
        await team.set("order", 2, version=0, outbox=[order(3)])
    await team.update("order", lambda n: n + 1, outbox=[order(4)])
    await team.delete("order", version=2, outbox=[order(5)])
    done = await outbox.publish(bus)
    assert (done.sent, done.waiting) == (4, {})
    assert bus.bodies == [{"n": 1}, {"n": 2}, {"n": 4}, {"n": 5}]
    assert bus.sent[0][:3] == ("orders", {"n": 1}, "k")
    assert len({id for *_, id in bus.sent}) == 4
    assert await outbox.waiting() == []
    assert (await outbox.publish(bus)).sent == 0


async def test_messages_go_out_in_the_order_of_their_commits(store: Store):
    """More than one block of them, then from writers at once: each writer's in the order it wrote them."""
    team, bus = State(store, "team"), Bus()

    async def writer(name: str) -> None:
        for n in range(10):
            await team.update("count", lambda n: n + 1, default=0, outbox=[order(n, key=name)])

    for n in range(250):
        await team.overwrite("x", n, outbox=[order(n)])
    await asyncio.gather(*map(writer, "abc"))
    assert (await Outbox(store).publish(bus)).sent == 280
    assert [body["n"] for body in bus.bodies[:250]] == list(range(250))
    for name in "abc":
        assert [body["n"] for _, body, key, _ in bus.sent if key == name] == list(range(10))


async def test_a_refused_message_keeps_its_own_line_waiting_and_no_other(store: Store):
    """Order per topic and key holds; the rest goes out, and the next pass sends what waited."""
    team, outbox, bus = State(store, "team"), Outbox(store), Bus("mails")
    messages = [order(1, "mails", "a"), order(2, "orders", "a"), order(3, "mails", "a"), order(4, "mails", "b")]
    await team.overwrite("x", 1, outbox=messages)
    done = await outbox.publish(bus)
    assert done.sent == 1
    first, second, third = done.waiting.values()
    assert first == third == "ConnectionError: mails is down"
    assert second.startswith("behind ")
    await team.overwrite("x", 2, outbox=[order(5)])
    assert (await outbox.publish(bus)).sent == 1
    bus.down.clear()
    assert (await outbox.publish(bus)).sent == 3
    assert [body["n"] for body in bus.bodies] == [2, 5, 1, 3, 4]


async def test_a_message_keeps_the_id_it_was_given(store: Store):
    bus = Bus()
    await State(store, "team").overwrite("x", 1, outbox=[Outgoing("orders", 1, id="order-1")])
    await Outbox(store).publish(bus)
    assert bus.sent == [("orders", 1, None, "order-1")]


async def test_relays_at_once_lose_nothing_and_repeat_under_one_id(store: Store):
    team, bus = State(store, "team"), Bus()
    for n in range(20):
        await team.overwrite("x", n, outbox=[order(n)])
    await asyncio.gather(*(Outbox(store).publish(bus) for _ in range(3)))
    once = {id: body["n"] for _, body, _, id in bus.sent}
    assert list(once.values()) == list(range(20))
    assert await Outbox(store).waiting() == []


async def test_a_relay_goes_on_until_it_is_cancelled(store: Store, caplog: pytest.LogCaptureFixture):
    """It sends what comes later, and tells once of what the bus refuses."""
    team, bus = State(store, "team"), Bus("mails")
    await team.overwrite("x", 1, outbox=[order(1, "mails")])
    with caplog.at_level(logging.WARNING, "outlay"):
        relay = asyncio.create_task(Outbox(store).relay(bus, every=0.001))
        await team.overwrite("x", 2, outbox=[order(2)])
        await bus.has({"n": 2})
        bus.down.clear()
        await bus.has({"n": 1})
        relay.cancel()
        with pytest.raises(asyncio.CancelledError):
            await relay
    assert [record.getMessage().endswith("mails is down") for record in caplog.records] == [True]


@pytest.mark.parametrize(
    "message", [Outgoing("", 1), Outgoing("t\0", 1), Outgoing("t", object()), Outgoing("t", "x" * 2**20)]
)
async def test_what_cannot_be_sent_is_refused_before_anything_is_written(store: Store, message: Outgoing):
    team = State(store, "team")
    with pytest.raises(ConfigError):
        await team.overwrite("x", 1, outbox=[order(1), message])
    assert (await team.get("x")).version == 0
    assert await Outbox(store).waiting() == []


# ── on a real bus ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_repeat_is_one_message_on_the_bus(store: Store, tmp_path: Path):
    """Two relays at once send everything twice; a consumer gets everything once, in order."""
    team = State(store, "team")
    async with open_bus(tmp_path / "bus.db") as bus:
        await bus.subscribe("orders", "billing")
        for n in range(5):
            await team.overwrite("x", n, outbox=[order(n, key="k")])
        await asyncio.gather(Outbox(store).publish(bus), Outbox(store).publish(bus))
        found: list[int] = []
        async with bus.consume("orders", group="billing") as messages:
            async for message in messages:
                async with message:
                    found.append(message.body["n"])
                if found[-1] == 4:
                    break
        assert found == [0, 1, 2, 3, 4]


async def test_sender_and_label_travel_with_a_message(store: Store, tmp_path: Path):
    @node
    async def clerk(ctx: RunContext, text: str) -> None:
        await ctx.state.overwrite("order", text, outbox=[Outgoing("orders", text)])

    assert (await run(clerk, Labelled("lamp", untrusted("web", "pii")), store=store)).error is None
    async with open_bus(tmp_path / "bus.db") as bus:
        assert (await Outbox(store).publish(bus)).sent == 1
        async with bus.consume("orders") as messages, await anext(messages) as message:
            assert (message.body, message.headers) == ("lamp", Headers("clerk", untrusted("web", "pii")))


async def test_a_message_that_the_bus_never_takes_can_be_dropped(store: Store, tmp_path: Path):
    await State(store, "team").overwrite("x", 1, outbox=[Outgoing("t", "x" * 1_000, id="big"), Outgoing("t", "small")])
    outbox = Outbox(store)
    async with open_bus(tmp_path / "bus.db", limits=BusLimits(max_bytes=500)) as bus:
        done = await outbox.publish(bus)
        assert done.sent == 0
        assert done.waiting["big"].startswith("MessageTooLarge")
        assert await outbox.drop("big")
        assert not await outbox.drop("big")
        assert (await outbox.publish(bus)).sent == 1
