"""Multi-agent LLM workflows that know what they cost.

    from outlay import Agent, Budget, run_sync

    reply = Agent("reply", "anthropic:claude-haiku-4-5", instructions="Answer in one sentence.")
    result = run_sync(reply, "Why is the sky blue?", budget=Budget(usd="0.01"))
    print(result.output, result.bill, sep="\\n")

Names are loaded on first use, so that `outlay --help` does not pay for the runtime.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from outlay.agents.agent import Agent
    from outlay.agents.compaction import Compaction
    from outlay.agents.function import node
    from outlay.agents.survivors import Survivor
    from outlay.agents.tool import Tool, tool
    from outlay.policies.batching import Batching
    from outlay.policies.watchdog import Watchdog
    from outlay.protocols.context import RunContext
    from outlay.runtime.alerts import alert_to_stderr
    from outlay.runtime.approvals import approve, deny
    from outlay.runtime.fork import fork
    from outlay.runtime.many import run_many
    from outlay.runtime.result import Result
    from outlay.runtime.run import run, run_sync
    from outlay.runtime.stream import stream
    from outlay.runtime.webhook import Webhook
    from outlay.sharing.tools import read_artifact
    from outlay.stores.opening import open_store
    from outlay.values.budget import Budget
    from outlay.values.content import File, Image
    from outlay.values.server import Breaker, Server
    from outlay.values.settings import ModelSettings
    from outlay.values.usage import Usage

__version__ = "0.1.0"

_WHERE = {
    "Agent": "agents.agent",
    "Breaker": "values.server",
    "Batching": "policies.batching",
    "Budget": "values.budget",
    "Compaction": "agents.compaction",
    "File": "values.content",
    "Image": "values.content",
    "ModelSettings": "values.settings",
    "Result": "runtime.result",
    "RunContext": "protocols.context",
    "Server": "values.server",
    "Survivor": "agents.survivors",
    "Tool": "agents.tool",
    "Usage": "values.usage",
    "Watchdog": "policies.watchdog",
    "Webhook": "runtime.webhook",
    "alert_to_stderr": "runtime.alerts",
    "approve": "runtime.approvals",
    "deny": "runtime.approvals",
    "fork": "runtime.fork",
    "node": "agents.function",
    "open_store": "stores.opening",
    "read_artifact": "sharing.tools",
    "run": "runtime.run",
    "run_many": "runtime.many",
    "run_sync": "runtime.run",
    "stream": "runtime.stream",
    "tool": "agents.tool",
}

__all__ = [
    "Agent",
    "Batching",
    "Breaker",
    "Budget",
    "Compaction",
    "File",
    "Image",
    "ModelSettings",
    "Result",
    "RunContext",
    "Server",
    "Survivor",
    "Tool",
    "Usage",
    "Watchdog",
    "Webhook",
    "alert_to_stderr",
    "approve",
    "deny",
    "fork",
    "node",
    "open_store",
    "read_artifact",
    "run",
    "run_many",
    "run_sync",
    "stream",
    "tool",
]


def __getattr__(name: str) -> Any:
    where = _WHERE.get(name)
    if where is None:
        raise AttributeError(f"module 'outlay' has no attribute {name!r}")
    value = getattr(import_module(f"outlay.{where}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_WHERE})
