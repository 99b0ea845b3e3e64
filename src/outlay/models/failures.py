"""What a provider's refusal means: status, headers and body of an HTTP answer as one of our errors.

Both provider families share it; their error bodies differ less than they seem to. Pure: `now` (seconds since the
epoch) is an argument. Nothing of a request is ever repeated in a message, and keys are cut out of what providers echo.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, cast

import msgspec

from outlay.errors import (
    AuthFailed,
    BadRequest,
    BadResponse,
    ContextTooLong,
    ModelError,
    ModelTimeout,
    Overloaded,
    RateLimited,
    Refused,
    ServerError,
)
from outlay.models.fields import string
from outlay.models.prices import GenaiPrices
from outlay.protocols.prices import did_you_mean
from outlay.values.request import RateLimitFacts

#: Characters of a provider's message that we repeat.
MAX_MESSAGE: Final = 500
#: Seconds. A wait longer than a day is no longer a matter of retrying; a deadline or a person decides long before.
MAX_WAIT: Final = 86_400.0

_BY_STATUS: Final[dict[int, type[ModelError]]] = {
    400: BadRequest,
    401: AuthFailed,
    403: AuthFailed,
    404: BadRequest,
    408: ModelTimeout,
    409: BadRequest,
    413: ContextTooLong,
    422: BadRequest,
    429: RateLimited,
    500: ServerError,
    502: ServerError,
    503: Overloaded,
    504: ServerError,
    529: Overloaded,
}
#: The providers' own words: `error.type` at Anthropic, `error.code` or `error.type` at OpenAI. Inside a stream, where
#: the status was 200, they are all there is.
_BY_KIND: Final[dict[str, type[ModelError]]] = {
    "invalid_request_error": BadRequest,
    "authentication_error": AuthFailed,
    "invalid_api_key": AuthFailed,
    "permission_error": AuthFailed,
    "billing_error": BadRequest,
    "not_found_error": BadRequest,
    "model_not_found": BadRequest,
    "conflict_error": BadRequest,
    "request_too_large": ContextTooLong,
    "context_length_exceeded": ContextTooLong,
    "exceed_context_size_error": ContextTooLong,
    "rate_limit_error": RateLimited,
    "rate_limit_exceeded": RateLimited,
    "insufficient_quota": RateLimited,
    "timeout_error": ModelTimeout,
    "api_error": ServerError,
    "server_error": ServerError,
    "internal_error": ServerError,
    "overloaded_error": Overloaded,
    "overloaded": Overloaded,
    "server_is_overloaded": Overloaded,
    "slow_down": Overloaded,
    "content_filter": Refused,
    "content_policy_violation": Refused,
}
_TOO_LONG: Final = re.compile(
    r"prompt is too long|input is too long|too many (?:input )?tokens|maximum context length"
    r"|exceeds? (?:the |your |this model's )?(?:available |maximum )?context (?:size|window|length|limit)"
    r"|input length and `?max_tokens`? exceed|reduce the length of the (?:messages|prompt|input)",
    re.IGNORECASE,
)
#: A limit that only money or a person lifts: waiting a few seconds cannot help.
_SPENT: Final = re.compile(
    r"exceeded your current quota|check your plan and billing|credit balance|spend(?:ing)? (?:limit|cap)"
    r"|usage limits?\b|billing hard limit|out of credits|insufficient (?:quota|credits|funds)",
    re.IGNORECASE,
)
_SPENT_KINDS: Final = frozenset(
    {"insufficient_quota", "billing_hard_limit_reached", "billing_not_active", "billing_error", "access_terminated"}
)
_KEYS: Final = re.compile(
    r"\b(?:sk|rk|pk|sess)-[\w*.\-]{4,}"  # keys by their looks, masked ones too
    r"|(?<=provided: )\S+"  # "Incorrect API key provided: …"
    r"|(?<=[Bb]earer )\S+"
)
_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9_-]{0,128}")
_MODEL: Final = re.compile(r"\bmodel:? [`'\"]?([\w.:-]{1,100})", re.IGNORECASE)
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_SECONDS: Final = {"d": 86_400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def failure(
    provider: str, status: int, headers: Mapping[str, str], body: bytes, *, now: float, secret: str = ""
) -> ModelError:
    """The error for a status that is not 200. `headers` are found by lower-case names; `secret` is cut out of texts."""
    if status < 300:
        return unreadable(provider, status, headers, body, secret=secret)
    kind, code, message = _report(body)
    wait = retry_after(headers, now)
    found = _BY_STATUS.get(status) or (ServerError if status >= 500 else BadRequest)
    if status in (400, 413, 422) and (_BY_KIND.get(code) is ContextTooLong or _TOO_LONG.search(message)):
        found = ContextTooLong
    elif status == 400 and _BY_KIND.get(code) is Refused:
        found = Refused
    spent = bool({kind, code} & _SPENT_KINDS or (wait is None and status in (400, 402, 429) and _SPENT.search(message)))
    retryable: bool | None = None
    if found is RateLimited and spent:
        retryable = False
    elif found is RateLimited and wait is None:
        wait = _whole_again(rate_limits(headers, now))
    asked = headers.get("x-should-retry", "").strip().lower()
    if asked in ("true", "false"):
        retryable = asked == "true"
    # A gateway's time-out or broken connection says nothing of the work behind it; a provider's own 502 does.
    lost = status in (504, 524) or (status in (502, 520, 522) and not kind)
    what = clean(message, secret) or _describe(headers, body)
    unknown = status == 404 or code == "model_not_found"
    return found(
        f"{provider} answered {status}: {what}",
        status=status,
        provider=provider,
        request_id=request_id(headers) or _body_request_id(body),
        retry_after=wait,
        retryable=retryable,
        may_be_billed=True if lost else None,
        hint=_unknown_model(provider, message) if unknown else _hint(found, status, spent),
    )


def reported(
    provider: str,
    kind: str,
    message: str,
    *,
    code: str = "",
    request_id: str = "",
    may_be_billed: bool = False,
    secret: str = "",
) -> ModelError:
    """The error for a failure that the provider reports after a 200: inside a stream, or instead of an answer.

    `may_be_billed`: the model had started to answer, or nobody knows.
    """
    found = _BY_KIND.get(code) or _BY_KIND.get(kind) or ServerError
    if found is BadRequest and _TOO_LONG.search(message):
        found = ContextTooLong
    spent = bool({kind, code} & _SPENT_KINDS)
    word = code or kind or "error"
    return found(
        f"{provider} reported {clean(word, secret)} in a 200: {clean(message, secret) or 'no message'}",
        provider=provider,
        request_id=request_id,
        retryable=False if found is RateLimited and spent else None,
        may_be_billed=may_be_billed,
        hint=_hint(found, 0, spent),
    )


def unreadable(provider: str, status: int, headers: Mapping[str, str], body: bytes, *, secret: str = "") -> ModelError:
    """The error for a 200 whose body is no answer: empty, a web page, broken JSON, or an error in disguise, which is
    taken at its word where the provider has that word. Possibly billed all the same: status and body disagree."""
    kind, code, message = _report(body)
    if kind in _BY_KIND or code in _BY_KIND:
        name = request_id(headers)
        return reported(provider, kind, message, code=code, request_id=name, may_be_billed=True, secret=secret)
    what = f"an error in a {status}: {clean(message, secret)}" if message else _describe(headers, body)
    page = b"<html" in body[:512].lower()
    return BadResponse(
        f"{provider} answered {status} with {what}",
        status=status,
        provider=provider,
        request_id=request_id(headers) or _body_request_id(body),
        hint="something between here and the provider answered: check the base URL and proxies" if page else "",
    )


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds that the provider asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date.

    Negative, infinite and unreadable values are ignored, a date in the past means 0, and a day is the most.
    """
    exact = _number(headers.get("retry-after-ms"))
    if exact is not None:
        return min(exact / 1000, MAX_WAIT)
    given = headers.get("retry-after")
    if given is None:
        return None
    seconds = _number(given)
    if seconds is not None:
        return min(seconds, MAX_WAIT)
    try:
        date = parsedate_to_datetime(given)
    except (ValueError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return min(max(date.timestamp() - now, 0.0), MAX_WAIT)


def _whole_again(limits: RateLimitFacts | None) -> float | None:
    """Seconds until the limit that is used up is whole again, where the headers say which one that is."""
    if limits is None:
        return None
    requests = limits.requests_reset if limits.requests_left == 0 else None
    tokens = (
        limits.tokens_reset if 0 in (limits.tokens_left, limits.input_tokens_left, limits.output_tokens_left) else None
    )
    waits = [min(wait, MAX_WAIT) for wait in (requests, tokens) if wait is not None]
    return max(waits, default=None)


def request_id(headers: Mapping[str, str]) -> str:
    """The provider's name for this exchange: `request-id` at Anthropic, `x-request-id` at OpenAI."""
    found = headers.get("request-id") or headers.get("x-request-id") or ""
    return found if _PLAIN_ID.fullmatch(found) else clean(found)[:128]


def rate_limits(headers: Mapping[str, str], now: float) -> RateLimitFacts | None:
    """What the headers say of the limits, None where they say nothing."""
    if "anthropic-ratelimit-requests-remaining" in headers or "anthropic-ratelimit-tokens-remaining" in headers:
        get = headers.get
        resets = [
            _until(get("anthropic-ratelimit-tokens-reset"), now),
            _until(get("anthropic-ratelimit-input-tokens-reset"), now),
            _until(get("anthropic-ratelimit-output-tokens-reset"), now),
        ]
        return RateLimitFacts(
            requests_left=_count(get("anthropic-ratelimit-requests-remaining")),
            tokens_left=_count(get("anthropic-ratelimit-tokens-remaining")),
            input_tokens_left=_count(get("anthropic-ratelimit-input-tokens-remaining")),
            output_tokens_left=_count(get("anthropic-ratelimit-output-tokens-remaining")),
            requests_reset=_until(get("anthropic-ratelimit-requests-reset"), now),
            tokens_reset=max((x for x in resets if x is not None), default=None),
            requests_limit=_count(get("anthropic-ratelimit-requests-limit")),
            tokens_limit=_count(
                get("anthropic-ratelimit-input-tokens-limit") or get("anthropic-ratelimit-tokens-limit")
            ),
        )
    if "x-ratelimit-remaining-requests" in headers or "x-ratelimit-remaining-tokens" in headers:
        return RateLimitFacts(
            requests_left=_count(headers.get("x-ratelimit-remaining-requests")),
            tokens_left=_count(headers.get("x-ratelimit-remaining-tokens")),
            requests_reset=_duration(headers.get("x-ratelimit-reset-requests")),
            tokens_reset=_duration(headers.get("x-ratelimit-reset-tokens")),
            requests_limit=_count(headers.get("x-ratelimit-limit-requests")),
            tokens_limit=_count(headers.get("x-ratelimit-limit-tokens")),
        )
    return None


def clean(text: str, secret: str = "") -> str:
    """A foreign text fit for a message or a terminal: no keys, no control characters, one line, limited length."""
    text = text[: MAX_MESSAGE * 4]
    if len(secret) >= 8:  # a shorter one is a stand-in for servers that want no key
        text = text.replace(secret, "[key]")
    text = _KEYS.sub("[key]", text)
    if not text.isprintable():
        text = "".join(" " if unicodedata.category(c) in ("Cc", "Zl", "Zp") else c for c in text if not _unprintable(c))
    text = " ".join(text.split())
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 1] + "…"


def _unprintable(c: str) -> bool:
    return unicodedata.category(c) in ("Cf", "Cs", "Co", "Cn")


def _report(body: bytes) -> tuple[str, str, str]:
    """Type, code and message of an error body, empty where it has none.

    Seen: `{"error": {"type", "code", "message"}}` (both providers), `{"error": "text"}`, `{"message": "text"}`,
    `{"detail": …}` (servers that speak OpenAI's protocol).
    """
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", "", ""
    if isinstance(found, list) and found:  # Gemini's compatible endpoint wraps it in a list
        found = cast("list[Any]", found)[0]
    if not isinstance(found, dict):
        return "", "", ""
    top = cast("dict[str, Any]", found)
    error: Any = top.get("error")
    if isinstance(error, dict):
        inner = cast("dict[str, Any]", error)
        return string(inner.get("type")), string(inner.get("code")), _text(inner.get("message"))
    if isinstance(error, str):
        return string(top.get("type")), string(top.get("code")), error
    for name in ("message", "detail"):
        if top.get(name):
            return string(top.get("type")), string(top.get("code")), _text(top[name])
    return "", "", ""


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else msgspec.json.encode(value).decode()


def _body_request_id(body: bytes) -> str:
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return clean(string(cast("dict[str, Any]", found).get("request_id")))[:128] if isinstance(found, dict) else ""


def _describe(headers: Mapping[str, str], body: bytes) -> str:
    if not body.strip():
        return "an empty body"
    if b"<html" in body[:512].lower() or b"<!doctype" in body[:512].lower():
        return "a web page"
    kind = clean(headers.get("content-type", "")).partition(";")[0][:64]
    return f"{len(body):,} bytes that are no answer ({kind or 'no content type'})"


def _unknown_model(provider: str, message: str) -> str:
    """What to do about a name that the provider does not know: `model: claude-haiku-4-55` says the one, "The model
    'gpt-5-minii' does not exist" the other."""
    named = _MODEL.search(message[:MAX_MESSAGE])
    guess = did_you_mean(GenaiPrices(), f"{provider}:{named[1].rstrip('.')}") if named else ""
    return f"{guess}check the model's name and the base URL"


def _hint(found: type[ModelError], status: int, spent: bool) -> str:
    if spent:
        return "the account is out of credit or over its own limit: raise it in the provider's console"
    if found is AuthFailed:
        return "check the API key and what it may use"
    if found is ContextTooLong:
        return "shorten the input, compact the history, or use a model with a larger window"
    if 300 <= status < 400:
        return "redirects are not followed: check the base URL"
    return ""


def _number(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and value >= 0 else None


def _count(text: str | None) -> int | None:
    value = _number(text)
    return None if value is None else int(value)


def _until(text: str | None, now: float) -> float | None:
    """Seconds until an RFC 3339 time."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(when.timestamp() - now, 0.0)


def _duration(text: str | None) -> float | None:
    """Seconds of `6m0s`, `12ms`, `1h2m3.5s`, or a plain number of seconds."""
    if text is None:
        return None
    found = _DURATION.findall(text)
    if found and "".join(n + unit for n, unit in found) == text:
        return sum(float(n) * _SECONDS[unit] for n, unit in found)
    return _number(text)
