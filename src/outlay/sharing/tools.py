"""Ready-made tools: the artifacts of the run, for an agent to read and write.

A name or a content that will not do is the model's mistake, and is told to it; it does not end the run.
"""

from __future__ import annotations

from outlay.agents.tool import MAX_RESULT_TOKENS, tool
from outlay.errors import ConfigError, Conflict
from outlay.protocols.context import RunContext

#: Well below what would be cut, and kept as an artifact, itself.
_PAGE = 2 * MAX_RESULT_TOKENS


@tool
async def read_artifact(ctx: RunContext, name: str, offset: int = 0) -> str:
    """Read an artifact: a document of this run, or a tool result that was too long to be shown whole.

    Args:
        name: The artifact's name.
        offset: The character to begin at; a long artifact is read page by page.
    """
    try:
        text = await ctx.state.artifacts.text(name)
    except ConfigError as error:
        raise ValueError(_said(error)) from None
    start = min(max(0, offset), len(text))
    page = text[start : start + _PAGE]
    if len(page) == len(text):
        return page
    end = start + len(page)
    more = f"; go on with offset={end}" if end < len(text) else "; this is the end"
    return f"[characters {start} to {end} of {len(text)}{more}]\n{page}"


@tool
async def list_artifacts(ctx: RunContext, prefix: str = "") -> str:
    """List the artifacts of this run: name, version, type, size in bytes, and who wrote it.

    Args:
        prefix: Only names that begin with this.
    """
    try:
        found = await ctx.state.artifacts.list(prefix)
    except ConfigError as error:
        raise ValueError(_said(error)) from None
    lines = [f"{a.name} (version {a.version}, {a.type}, {a.size} bytes, by {a.agent or 'outside'})" for a in found]
    return "\n".join(lines) or "There are none."


@tool(side_effect=True, idempotent=True)
async def write_artifact(
    ctx: RunContext, name: str, content: str, type: str = "text/markdown", version: int = 1
) -> str:
    """Write a document for the others of this run. It cannot be changed afterwards, only followed by a new version.

    Args:
        name: A relative path, such as design/api.md.
        content: The whole text.
        type: Its media type.
        version: 1 for a new name, one more than the newest to replace a document.
    """
    try:
        put = await ctx.state.artifacts.put(name, content, type=type, version=version)
    except (ConfigError, Conflict) as error:
        raise ValueError(_said(error)) from None
    return f"{put.name} is version {put.version}, {put.size} bytes"


def _said(error: ConfigError | Conflict) -> str:
    return f"{error.message}; {error.hint}" if error.hint else error.message
