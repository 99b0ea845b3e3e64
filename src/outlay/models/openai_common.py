"""What OpenAI's two APIs have in common: tokens, media, and the checks of tools and of `settings.extra`."""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, cast

import msgspec

from outlay.errors import AuthFailed, BadResponse, ConfigError, ModelError
from outlay.models import failures
from outlay.models.media import image_size
from outlay.models.openai_family import Picture
from outlay.models.token_counts import some_tokens, tokens
from outlay.protocols.clock import wall_now
from outlay.protocols.transport import HttpReply, HttpStream
from outlay.values.content import File, Image
from outlay.values.message import Message
from outlay.values.request import Prelude, RateLimitFacts
from outlay.values.settings import ModelSettings
from outlay.values.usage import Usage

BASE_URL: Final = "https://api.openai.com/v1"
#: Tokens of one document whose text we cannot see (PDF, office formats, by address or id): the largest known window.
DOCUMENT_TOKENS: Final = 1_050_000
#: Tokens that a provider may add around a request (roles, the rendering of tools and schemas).
OVERHEAD_TOKENS: Final = 256
#: Input tokens where nothing bounds them: history kept at the provider, or server tools without a limit.
UNBOUNDED: Final = 2**31

_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")

_KIND_OF_STATUS: Final = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    529: "overloaded_error",
}

#: What decoding a foreign body may raise.
UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

encode: Final = msgspec.json.Encoder().encode


class Problem(msgspec.Struct):
    """An error as OpenAI reports it inside an answer. Compatible servers put an HTTP status into `code`."""

    code: str | int | None = None
    message: str | None = None
    type: str | None = None


def problem_of(found: object) -> Problem:
    """A reported error, whatever shape it has: nothing about it may keep its text from being shown."""
    if not isinstance(found, dict):
        return Problem(message=found if isinstance(found, str) else None)
    given = cast("dict[str, Any]", found)
    code, said, kind = given.get("code"), given.get("message"), given.get("type")
    message = said if isinstance(said, str) or said is None else encode(said).decode()
    code = code if isinstance(code, str | int) and not isinstance(code, bool) else None
    return Problem(code, message, kind if isinstance(kind, str) else None)


async def unstreamed(answer: HttpStream) -> tuple[bytes | None, AsyncIterator[bytes]]:
    """The whole body where a server does not stream though it was asked to (a gateway, or its error page), else None;
    and the pieces to read as a stream."""
    chunks = _named(answer)
    async for chunk in chunks:
        if begun := chunk.lstrip()[:1]:  # blanks before it mean nothing, in JSON or in a stream
            if begun in b"{[<":
                return chunk + b"".join([more async for more in chunks]), chunks
            return None, _again(chunk, chunks)
    return None, chunks


async def _named(answer: HttpStream) -> AsyncIterator[bytes]:
    """The pieces of an answer; what breaks on the way has the name of the exchange, to ask the provider about."""
    try:
        async for chunk in answer.chunks():
            yield chunk
    except ModelError as error:
        error.request_id = error.request_id or failures.request_id(answer.headers)
        raise


async def _again(before: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield before
    async for chunk in chunks:
        yield chunk


def text_of(value: object) -> str:
    """A text of an answer that may be something else one day: what is no text is left out, and breaks nothing."""
    return value if isinstance(value, str) else ""


def list_of(value: object) -> list[Any]:
    """The same of a list."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def headers_for(key: str, more: Mapping[str, str] | None) -> dict[str, str]:
    """The headers of a request; the caller's own win over ours."""
    found = {"content-type": "application/json"}
    if key:
        found["authorization"] = f"Bearer {key}"
    for name, value in (more or {}).items():
        found[name.lower()] = value
    return found


def environment_key() -> str:
    return os.environ.get("OPENAI_API_KEY", "").strip()


def base_of(given: str | None) -> str:
    """The address that paths are put behind."""
    return (given or os.environ.get("OPENAI_BASE_URL") or BASE_URL).strip().rstrip("/")


def data_url(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{b64encode(data).decode()}"


def output_name(name: str) -> str:
    """A schema's name as OpenAI takes it."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:64] or "output"


def media_bound(messages: Iterable[Message], picture: Picture) -> int:
    """What the pictures and documents add to a bound by body bytes: their tokens, less their base64 text.

    OpenAI reads a PDF as text and pictures of its pages, so its bytes bound nothing; plain text is bounded by them.
    """
    media = (part for message in messages for part in message.parts if isinstance(part, Image | File))
    return sum(_medium(part, picture) for part in media)


def _medium(part: Image | File, picture: Picture) -> int:
    encoded = 0 if part.data is None else (len(part.data) + 2) // 3 * 4
    if isinstance(part, Image):
        return picture.tokens(image_size(part.data) if part.data is not None else None) - encoded
    plain = part.media_type.startswith("text/") or part.media_type == "application/json"
    if plain and part.data is not None:
        return len(part.data) - encoded
    return DOCUMENT_TOKENS - encoded


def check_extra(model: str, extra: Mapping[str, Any], ours: frozenset[str]) -> None:
    """Raises ConfigError where `extra` would change what the budget, or this library, counts on."""
    if taken := sorted(ours & extra.keys()):
        raise ConfigError(
            f"{model}: extra may not set {', '.join(taken)}: Outlay decides it",
            hint="use the agent's own arguments and ModelSettings",
        )


def check_tools(model: str, prelude: Prelude, settings: ModelSettings) -> None:
    """Raises ConfigError for a tool's name that OpenAI refuses and for a tool_choice that names no tool."""
    names = [tool.name for tool in prelude.tools]
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigError(f"{model} refuses the tool name {name!r}", hint="use 1 to 64 of A-Z a-z 0-9 _ -")
    choice = settings.tool_choice
    if choice is None or choice in ("auto", "none"):
        return
    if choice == "required":
        if not names and not (settings.extra or {}).get("tools"):
            raise ConfigError(f'{model}: tool_choice="required" without tools', hint="give the agent tools=")
    elif choice not in names:
        raise ConfigError(
            f"{model}: tool_choice={choice!r} names no tool", hint=f"the tools are {', '.join(names) or 'none'}"
        )


def usage_of(reported: object, inputs: str, outputs: str, details: str) -> Usage | None:
    """OpenAI's report in our four buckets; None where it is missing or makes no sense, which is unknown and not zero.

    Its input includes what was read from and written to the cache; its output includes reasoning.
    """
    if not isinstance(reported, dict):
        return None
    raw = cast("dict[str, Any]", reported)
    total, output = tokens(raw.get(inputs)), tokens(raw.get(outputs))
    found: Any = raw.get(details)
    more = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    read, written = (some_tokens(more.get(name)) for name in ("cached_tokens", "cache_write_tokens"))
    if total is None or output is None or read is None or written is None:
        return None
    return Usage(
        input_tokens=max(total - read - written, 0),
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=output,
        raw=raw,
    )


def refusal(provider: str, reply: HttpReply, secret: str) -> ModelError:
    """The error for an answer that is not a 2xx."""
    now = wall_now()
    error = failures.failure(provider, reply.status, reply.headers, reply.body, now=now, secret=secret)
    if isinstance(error, AuthFailed) and reply.status == 401:
        error.hint = "check OPENAI_API_KEY, or the key given as api_key="
    return error


def limits_of(headers: Mapping[str, str]) -> Callable[[], RateLimitFacts | None]:
    return partial(failures.rate_limits, headers, wall_now())


def reported(
    provider: str, problem: Problem, headers: Mapping[str, str], *, billed: bool, secret: str = ""
) -> ModelError:
    """The error for a failure that stands inside a 200. `billed`: the model had started to answer."""
    kind, code = problem.type or "", problem.code or ""
    if isinstance(code, int) or re.fullmatch(r"[0-9]{1,3}", code):
        status = int(code)
        kind = _KIND_OF_STATUS.get(status) or ("invalid_request_error" if 400 <= status < 500 else "server_error")
        code = ""
    elif "policy" in code:
        kind = "content_policy_violation"
    elif code.startswith(("invalid_", "image_", "unsupported_", "empty_", "failed_to_download")):
        kind = "invalid_request_error"
    return failures.reported(
        provider,
        kind,
        problem.message or "",
        code=code,
        request_id=failures.request_id(headers),
        may_be_billed=billed,
        secret=secret,
    )


def broken(provider: str, what: str, headers: Mapping[str, str]) -> BadResponse:
    """The error for an answer that is no whole answer, and may be billed as one."""
    return BadResponse(
        f"{provider} sent {what}",
        provider=provider,
        request_id=failures.request_id(headers),
        may_be_billed=True,
    )
