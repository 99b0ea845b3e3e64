"""A cascade: a small model reads every receipt, a large one only those whose items do not add up to the total.

The gate is a sum, so it is never wrong about what it lets through. Offline the small model overlooks every item after
the third, and the large one none.
"""

import re
from dataclasses import dataclass

from outlay import Agent, run_sync
from outlay.analysis.bill import Bill
from outlay.patterns import Cascade

SMALL, LARGE = "anthropic:claude-haiku-4-5", "anthropic:claude-opus-4-5"
RECEIPTS = ["tea 3, cake 4: 7", "lamp 40, bulb 6, cable 9: 55", "pen 2, ink 5, paper 4, glue 3: 14", "map 8: 8"]


@dataclass
class Receipt:
    items: dict[str, int]
    total: int


def adds_up(receipt: Receipt) -> str | None:
    found = sum(receipt.items.values())
    return None if found == receipt.total else f"the items add up to {found}, not {receipt.total}"


def read(request):
    items = re.findall(r"(\w+) (\d+)", request.text)
    seen = items[:3] if request.agent == "small" else items
    return Receipt({name: int(price) for name, price in seen}, int(request.text.split(":")[-1]))


def reader(name, model):
    return Agent(name, model, instructions="Items and total of the receipt.", output_type=Receipt, offline=read)


small, large = reader("small", SMALL), reader("large", LARGE)
flow = Cascade([small, large], adds_up)

if __name__ == "__main__":
    results = [run_sync(flow, receipt, models="offline") for receipt in RECEIPTS]
    for receipt, result in zip(RECEIPTS, results, strict=True):
        print(f"{receipt:36} {result.facts['cascade']['node']}")
    alone = Bill.merge(run_sync(large, receipt, models="offline").bill for receipt in RECEIPTS)
    print(Bill.merge(result.bill for result in results), f"all to the large model: ${alone.total:.4f}", sep="\n\n")
