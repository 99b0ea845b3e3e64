"""A code review of a folder: three agents and two linters look at the same time, a synthesiser writes the report.

Offline the agents are programs, too: they walk the syntax tree for one smell. A linter that is not there is skipped.
"""

import ast
import json
import subprocess
import sys
from pathlib import Path

from outlay import Agent, RunContext, node, run_sync
from outlay.patterns import FanOut, Pipeline

RUFF = ["check", "-q", "--isolated", "--no-cache", "--output-format=concise", "--select=E,F,B", "--line-length=120"]
BANDIT = ["-q", "-r", "-f", "custom", "--msg-template", "{relpath}:{line}: {test_id} {msg}"]
SMELLS = {
    "style": ("too long", lambda n: isinstance(n, ast.FunctionDef) and n.end_lineno - n.lineno > 12),
    "security": ("runs text", lambda n: isinstance(n, ast.Call) and ast.unparse(n.func) in ("eval", "exec")),
    "performance": ("nested loops", lambda n: isinstance(n, ast.For) and any(isinstance(m, ast.For) for m in n.body)),
}


def look(request):
    smell, smells = SMELLS[request.agent]
    nodes = [(name, n) for name, code in json.loads(request.text).items() for n in ast.walk(ast.parse(code))]
    return "\n".join(f"{name}:{n.lineno}: {smell}" for name, n in nodes if smells(n)) or "nothing"


def report(request):
    said = json.loads(request.text)
    found = {who: text.splitlines() for who, text in (said.pop("agents", {}) | said).items() if text != "nothing"}
    return "\n".join(f"{len(lines):3} from {who}, the first: {lines[0]}" for who, lines in found.items())


def linter(tool, options):
    def lint(folder: str) -> str:
        done = subprocess.run([sys.executable, "-m", tool, *options, folder], capture_output=True, text=True)  # noqa: S603
        if done.returncode and not done.stdout:  # it is not there, or cannot do its work
            raise ChildProcessError(f"{done.stderr.strip()} (pip install {tool})")
        return done.stdout.strip() or "nothing"

    return node(name=tool)(lambda ctx, folder: ctx.effect(tool, lint, folder))


@node
async def files(ctx: RunContext, folder: str) -> dict[str, str]:
    return await ctx.effect("read", lambda: {p.name: p.read_text() for p in sorted(Path(folder).glob("*.py"))})


MODEL = "anthropic:claude-sonnet-4-6"
agents = FanOut([Agent(name, MODEL, instructions=f"Review its {name}.", offline=look) for name in SMELLS])
synthesiser = Agent("synthesiser", MODEL, instructions="One report, worst first.", offline=report)
reviewers = [Pipeline(files, agents, name="agents"), linter("ruff", RUFF), linter("bandit", BANDIT)]
flow = FanOut(reviewers, merge=synthesiser, name="review")

if __name__ == "__main__":
    result = run_sync(flow, sys.argv[1] if sys.argv[1:] else str(Path(__file__).parent), models="offline")
    print(result.output, *(f"skipped {part.path}: {part.error}" for part in result.skipped), result.bill, sep="\n\n")
