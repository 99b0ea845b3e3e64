"""A document-driven build: analyst → architect → developer → reviewer hand on documents, not conversations.

Each role has a fresh context; a program looks at the files before the reviewer gives an opinion. Offline, no key.
"""

import ast
import tempfile
from pathlib import Path

from outlay import Agent, RunContext, node, run_sync

CODE = "def slug(title):\n    return '-'.join(title.lower().split())\n"
SMALL, LARGE = "anthropic:claude-haiku-4-5", "anthropic:claude-sonnet-4-6"


def stand_in(request):
    code = CODE if "rejected" in request.text else CODE.replace(":", "", 1)
    verdict = "accepted" if "it parses" in request.text else "rejected: a colon is missing"
    return {"analyst": "- dashes", "architect": "slug(title)", "developer": code, "reviewer": verdict}[request.agent]


analyst = Agent("analyst", SMALL, instructions="List what the wish requires.", offline=stand_in)
architect = Agent("architect", LARGE, instructions="Give the signatures.", offline=stand_in)
developer = Agent("developer", LARGE, instructions="Write the module.", offline=stand_in)
reviewer = Agent("reviewer", SMALL, instructions="Say `accepted`, or what must change.", offline=stand_in)


def look(folder: str) -> str:
    try:
        ast.parse(Path(folder, "slug.py").read_text())  # read, not run: a model wrote it
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    return "it parses"


async def write(ctx: RunContext, role: Agent[str], name: str, version: int, *reads: str) -> str:
    documents = [f"# {read}\n\n{await ctx.state.artifacts.text(read)}" for read in reads]
    text, put = await ctx.run(role, "\n\n".join(documents)), ctx.state.artifacts.put
    await put(name, text, version=version, source=", ".join(reads), author=ctx.last_finished)
    return text


@node(children=(analyst, architect, developer, reviewer))
async def build(ctx: RunContext, wish: str) -> str:
    await ctx.state.artifacts.put("wish.md", wish)
    await write(ctx, analyst, "requirements.md", 1, "wish.md")
    await write(ctx, architect, "design.md", 1, "requirements.md")
    for n in (1, 2, 3):
        code = await write(ctx, developer, "slug.py", n, "design.md", *["review.md"][: n - 1])
        with tempfile.TemporaryDirectory() as folder:
            await ctx.state.artifacts.folder(folder).fill()
            await ctx.state.artifacts.put("findings.txt", await ctx.effect("look", look, folder), version=n)
        if await write(ctx, reviewer, "review.md", n, "requirements.md", "slug.py", "findings.txt") == "accepted":
            break
    return code


if __name__ == "__main__":
    print(run_sync(build, "Slugs for titles.", models="offline").bill)
