"""A process that maps rows by batch: `batch_child.py STORE MODEL ROWS`. It says when its batch is sent, and at the end
what came of the rows, a JSON document a line."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from outlay import Agent, Batching, Budget, open_store, run_many
from outlay.analysis.bill import Bill
from outlay.events import Decision, Event

BATCHING = Batching(quiet=5.0, poll=0.02, max_poll=0.1, settle=0.5)


def see(event: Event) -> None:
    if isinstance(event, Decision) and event.about == "batch":
        print(json.dumps({"batch": event.data}), flush=True)


async def main(store: str, model: str, rows: str) -> None:
    agent = Agent("clerk", model, max_output_tokens=100)
    outputs: dict[int, Any] = {}
    bills: list[Bill] = []
    async with open_store(store) as opened:
        results = run_many(
            agent,
            [(i, f"row {i}") for i in range(int(rows))],
            lane=BATCHING,
            store=opened,
            run_id="map-{}".format,
            budget=Budget(usd=1),
            on_event=see,
        )
        async for id, result in results:
            outputs[id] = result.output if result.error is None else repr(result.error)
            bills.append(result.bill)
    bill = Bill.merge(bills)
    facts = {
        "outputs": outputs,
        "total": str(bill.total),
        "in_doubt": str(bill.in_doubt),
        "doubtful": bill.doubtful,
        "calls": sum(line.calls for line in bill.lines),
        "retries": sum(line.retries for line in bill.lines),
    }
    print(json.dumps(facts), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
