"""The emulator in a process of its own, for benches that hold bills against what a provider charged.

python -m bench.provider SECONDS    prints its port; answers take about so long; prints what it billed on stdin's end
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
from dataclasses import asdict
from random import Random

#: Requests in a thousand that are refused as overloaded.
OVERLOADED = 5


async def main(seconds: float) -> None:
    from outlay.emulator import Emulator, Faults, Latency

    def drawn(random: Random) -> float:
        return seconds * random.uniform(0.5, 1.5)

    faults = Faults(rates={529: OVERLOADED / 1000})
    settings = {"latency": Latency(drawn), "behaviour": "A few words.", "faults": faults, "keep_requests": 1}
    async with Emulator(**settings) as emulator:  # type: ignore[arg-type]
        print(emulator.port, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        billed = {model: asdict(usage) for model, usage in emulator.billed().items()}
    print(json.dumps(billed), flush=True)


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(16_384, hard), hard))
    asyncio.run(main(float(sys.argv[1])))
