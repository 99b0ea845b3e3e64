"""The functions of test_agent_context_rule.py with annotations that Python keeps as text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import outlay as library
from outlay import RunContext
from outlay import RunContext as Ctx

if TYPE_CHECKING:
    from outlay import RunContext as Typed  # noqa: F401


@dataclass
class Deps:
    name: str


def plain(ctx: RunContext, text: str) -> str:
    return f"{ctx.path}:{text}"


def with_deps(ctx: RunContext[Deps], text: str) -> str:
    return f"{ctx.path}:{text}"


def quoted(ctx: "RunContext[Deps]", text: str) -> str:  # noqa: UP037
    return f"{ctx.path}:{text}"


def aliased(ctx: Ctx, text: str) -> str:
    return f"{ctx.path}:{text}"


def aliased_with_deps(ctx: Ctx[Deps], text: str) -> str:
    return f"{ctx.path}:{text}"


def dotted(ctx: library.RunContext[Deps], text: str) -> str:
    return f"{ctx.path}:{text}"


class shelf:
    Context = RunContext


def dotted_alias(ctx: shelf.Context[Deps], text: str) -> str:
    return f"{ctx.path}:{text}"


async def asynchronous(ctx: RunContext, text: str) -> str:
    return f"{ctx.path}:{text}"


class Service:
    def method(self, ctx: RunContext, text: str) -> str:
        return f"{ctx.path}:{text}"

    def __call__(self, ctx: RunContext, text: str) -> str:
        return f"{ctx.path}:{text}"


class AliasedService:
    def __call__(self, ctx: Ctx[Deps], text: str) -> str:
        return f"{ctx.path}:{text}"


def prefixed(prefix: str, ctx: RunContext, text: str) -> str:
    return f"{ctx.path}:{text}"


def aliased_prefixed(prefix: str, ctx: Ctx, text: str) -> str:
    return f"{ctx.path}:{text}"


if TYPE_CHECKING:
    from outlay.protocols.context import RunContext as OnlyTyped  # noqa: F401


def for_type_checkers(ctx: RunContext[Hidden], text: str) -> str:
    return f"{ctx.path}:{text}"


if TYPE_CHECKING:
    Hidden = Deps


def local_function():
    @dataclass
    class Local:
        name: str

    def local(ctx: RunContext[Local], text: str) -> str:
        return f"{ctx.path}:{text}"

    return local


def instructions(ctx: Ctx[Hidden]) -> str:
    return f"I am {ctx.path}"
