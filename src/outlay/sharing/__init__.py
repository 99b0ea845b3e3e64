"""What agents share over a store, from outside a run: the same things that a run reaches as `ctx.state`.

    async with open_store(".outlay/outlay.db") as store:
        team = State(store, "team")
        await team.update("count", lambda n: n + 1, default=0)
        await Outbox(store).relay(bus)

For agents there are ready-made tools: `Agent(…, tools=[read_artifact, list_artifacts, write_artifact])`, and for short
notes from run to run `tools=[Memory("clerk")]`. `Stored(node, 3600)` keeps what a node answered.
"""

from outlay.sharing.memory import Memory
from outlay.sharing.outbox import Outbox, Publisher, Relayed
from outlay.sharing.state import State
from outlay.sharing.stored import Stored
from outlay.sharing.tools import list_artifacts, read_artifact, write_artifact
from outlay.values.shared import Artifact, Collected, Entry, LogRecord, Outgoing

__all__ = [
    "Artifact",
    "Collected",
    "Entry",
    "LogRecord",
    "Memory",
    "Outbox",
    "Outgoing",
    "Publisher",
    "Relayed",
    "State",
    "Stored",
    "list_artifacts",
    "read_artifact",
    "write_artifact",
]
