"""Messages between agents and processes: topics, inboxes, consumer groups; at least once, in order per key.

    async with open_bus("bus.db") as bus:
        await bus.publish("orders", {"item": "lamp"}, key="customer-1")
        async for message in bus.consume("orders", group="billing"):
            async with message:
                ...

A path is a SQLite file for the processes of one machine, `nats://…` a NATS server with JetStream for many machines.
"""

from outlay.bus.opening import open_bus
from outlay.protocols.bus import Bus, BusLimits, Consumer, DeadLetter, Headers, Message

__all__ = ["Bus", "BusLimits", "Consumer", "DeadLetter", "Headers", "Message", "open_bus"]
