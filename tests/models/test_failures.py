"""What a provider's refusal means."""

from __future__ import annotations

import json
from typing import Any

import pytest

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
from outlay.models.failures import clean, failure, rate_limits, reported, request_id, retry_after, unreadable
from outlay.values.request import RateLimitFacts

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z


def body(message: str = "no", kind: str = "invalid_request_error", code: str | None = None) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message, "code": code}}).encode()


def fail(status: int, content: bytes = b"", **headers: str) -> ModelError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return failure("anthropic", status, named, content, now=NOW)


@pytest.mark.parametrize(
    ("status", "kind", "error", "retryable", "billed"),
    [
        (400, "invalid_request_error", BadRequest, False, False),
        (401, "authentication_error", AuthFailed, False, False),
        (402, "billing_error", BadRequest, False, False),
        (403, "permission_error", AuthFailed, False, False),
        (404, "not_found_error", BadRequest, False, False),
        (408, "timeout_error", ModelTimeout, True, True),
        (409, "conflict_error", BadRequest, False, False),
        (413, "request_too_large", ContextTooLong, False, False),
        (422, "invalid_request_error", BadRequest, False, False),
        (429, "rate_limit_error", RateLimited, True, False),
        (500, "api_error", ServerError, True, False),
        (502, "api_error", ServerError, True, False),
        (503, "api_error", Overloaded, True, False),
        (504, "timeout_error", ServerError, True, True),
        (529, "overloaded_error", Overloaded, True, False),
        (302, "", BadRequest, False, False),
        (418, "", BadRequest, False, False),
        (599, "api_error", ServerError, True, False),
    ],
)
def test_each_status_has_its_error(
    status: int, kind: str, error: type[ModelError], retryable: bool, billed: bool
) -> None:
    """The status decides the class, whether another attempt may help, and whether money may be gone."""
    found = fail(status, body("busy", kind) if kind else b"", request_id="req_1")
    assert type(found) is error
    assert (found.retryable, found.may_be_billed) == (retryable, billed)
    assert (found.status, found.provider, found.request_id) == (status, "anthropic", "req_1")
    assert f"anthropic answered {status}" in str(found)


def test_a_gateway_that_lost_the_answer_leaves_a_doubt() -> None:
    """A 502 page of a proxy does not say whether the provider had done the work; its own JSON error does."""
    assert fail(502, b"<html>Bad gateway</html>").may_be_billed
    assert not fail(502, body("down", "api_error")).may_be_billed


@pytest.mark.parametrize(
    "content",
    [
        body("prompt is too long: 3333404 tokens > 200000 maximum"),
        body("input length and `max_tokens` exceed context limit: 199000 + 4096 > 200000"),
        body("x", code="context_length_exceeded"),
        body("This model's maximum context length is 128000 tokens. However, your messages resulted in 130000 tokens."),
        body("Your input exceeds the context window of this model. Please adjust your input and try again."),
        body("the request exceeds the available context size", "exceed_context_size_error"),
    ],
)
def test_a_400_may_mean_that_the_input_does_not_fit(content: bytes) -> None:
    """Both providers' ways to say it, and those of servers that speak OpenAI's protocol."""
    assert type(fail(400, content)) is ContextTooLong


def test_other_400s_are_not_about_length() -> None:
    """A message that mentions tokens is not yet about the context."""
    assert type(fail(400, body("max_tokens: 200000 > 64000, the maximum allowed for this model"))) is BadRequest


def test_a_used_up_account_is_not_tried_again() -> None:
    """Out of credit is a 429 at one provider and a 400 at the other; waiting helps with neither."""
    quota = fail(429, body("You exceeded your current quota", "insufficient_quota", "insufficient_quota"))
    assert isinstance(quota, RateLimited)
    assert not quota.retryable
    assert "credit" in quota.hint
    cap = fail(429, body("You have reached your specified API usage limits.", "rate_limit_error"))
    assert not cap.retryable
    waiting = fail(429, body("This would exceed your usage limits", "rate_limit_error"), retry_after="3")
    assert waiting.retryable
    assert waiting.retry_after == 3
    assert "credit" in fail(400, body("Your credit balance is too low to access the Anthropic API.")).hint


def test_the_provider_may_say_whether_to_retry() -> None:
    """`x-should-retry` wins over the table, both ways."""
    assert not fail(529, body(), x_should_retry="false").retryable
    assert fail(409, body(), x_should_retry="true").retryable


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "1e300"}, 86_400.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Fri, 15 Jan 2027 08:00:30 GMT"}, 30.0),
        ({"retry-after": "Fri, 15 Jan 2027 07:59:00 GMT"}, 0.0),
        ({"retry-after": "Fri, 15 Jan 2199 08:00:30 GMT"}, 86_400.0),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
    ],
)
def test_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, milliseconds and dates; nonsense is ignored and a day is the most."""
    assert retry_after(headers, NOW) == seconds


def test_anthropics_rate_limit_headers() -> None:
    """What is left, and seconds until the later of input and output is whole again."""
    headers = {
        "anthropic-ratelimit-requests-limit": "50",
        "anthropic-ratelimit-requests-remaining": "49",
        "anthropic-ratelimit-requests-reset": "2027-01-15T08:00:01Z",
        "anthropic-ratelimit-input-tokens-remaining": "1000",
        "anthropic-ratelimit-input-tokens-reset": "2027-01-15T08:00:20Z",
        "anthropic-ratelimit-output-tokens-remaining": "200",
        "anthropic-ratelimit-output-tokens-reset": "2027-01-15T08:00:10Z",
        "anthropic-ratelimit-tokens-remaining": "garbage",
    }
    assert rate_limits(headers, NOW) == RateLimitFacts(
        requests_left=49,
        input_tokens_left=1000,
        output_tokens_left=200,
        requests_reset=1.0,
        tokens_reset=20.0,
        requests_limit=50,
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360.0), ("12ms", 0.012), ("1h2m3.5s", 3723.5), ("8.64s", 8.64), ("5", 5.0), ("x", None), ("1s!", None)],
)
def test_openais_rate_limit_headers(text: str, seconds: float | None) -> None:
    """Resets are durations as Go writes them."""
    found = rate_limits({"x-ratelimit-remaining-requests": "9", "x-ratelimit-reset-requests": text}, NOW)
    assert found == RateLimitFacts(requests_left=9, requests_reset=seconds)


def test_a_429_without_retry_after_waits_for_the_limit_that_is_used_up() -> None:
    """The headers name the limit and when it is whole again."""
    used_up = {
        "x-ratelimit-remaining-tokens": "0",
        "x-ratelimit-reset-tokens": "8s",
        "x-ratelimit-reset-requests": "1h",
    }
    assert failure("openai", 429, used_up, body("slow"), now=NOW).retry_after == 8
    left = {"x-ratelimit-remaining-tokens": "5", "x-ratelimit-reset-tokens": "8s"}
    assert failure("openai", 429, left, body("slow"), now=NOW).retry_after is None


def test_no_headers_no_facts() -> None:
    """Unknown is not zero."""
    assert rate_limits({"content-type": "application/json"}, NOW) is None


def test_a_message_never_repeats_a_key() -> None:
    """Providers echo keys, masked or whole; neither reaches a log."""
    echoed = body("Incorrect API key provided: abcd1234*****wxyz. You can find your key at …")
    assert "abcd1234" not in str(fail(401, echoed))
    for text in ("bad sk-proj-abc123DEF456", "Bearer abc.def.ghi refused", "key sk-ant-***-xyz"):
        assert "abc" not in clean(text)
        assert "xyz" not in clean(text)
    found = failure("openai", 400, {}, body("header x-api-key: hunter2-hunter2"), now=NOW, secret="hunter2-hunter2")
    assert "hunter2" not in str(found)
    assert clean("invalid x-api-key", "k") == "invalid x-api-key"


def test_a_message_is_one_short_printable_line() -> None:
    """What a stranger wrote may end up in a terminal: no escapes, no direction marks, no flood."""
    text = clean("a\x1b[31mb\u202ec\nd\u2028e\x00" + "x" * 5000)
    assert text.startswith("a [31mbc d e x")
    assert len(text) <= 500
    assert text.isprintable()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty body"),
        (b"<!DOCTYPE html><html><body>hello</body></html>", "a web page"),
        (b'{"error": "plain text"}', "plain text"),
        (b'{"message": "top level"}', "top level"),
        (b'{"detail": [{"msg": "field required"}]}', "field required"),
        (b'[{"error": {"message": "in a list"}}]', "in a list"),
        (b'{"error": null}', "15 bytes that are no answer"),
        (b"\xff\xfe", "2 bytes that are no answer"),
        (b"[" * 100_000, "100,000 bytes that are no answer"),
    ],
)
def test_error_bodies_of_every_shape_are_described(content: bytes, said: str) -> None:
    """A body that is no error of the provider's is described, not repeated; none of them can break the reading."""
    assert said in str(fail(500, content))


def test_a_200_that_is_no_answer() -> None:
    """Web pages, errors in disguise and broken JSON were possibly billed, and may be better next time."""
    page = unreadable("openai", 200, {"content-type": "text/html"}, b"<html>Sign in to the Wi-Fi</html>")
    assert "a web page" in str(page)
    assert "base URL" in page.hint
    assert page.may_be_billed
    assert page.retryable
    disguised = unreadable("openai", 200, {}, b'{"error": {"message": "model overloaded"}}')
    assert isinstance(disguised, BadResponse)
    assert "model overloaded" in str(disguised)
    assert isinstance(fail(204), BadResponse)


@pytest.mark.parametrize(
    ("kind", "code", "error", "retryable"),
    [
        ("overloaded_error", None, Overloaded, True),
        ("rate_limit_error", None, RateLimited, True),
        ("insufficient_quota", "insufficient_quota", RateLimited, False),
        ("authentication_error", None, AuthFailed, False),
    ],
)
def test_an_error_under_a_200_is_taken_at_its_word(
    kind: str, code: str | None, error: type[ModelError], retryable: bool
) -> None:
    """What cannot help is not tried again. Whether it was billed nobody knows: status and body disagree."""
    found = fail(200, body("sorry", kind, code))
    assert type(found) is error
    assert (found.retryable, found.may_be_billed) == (retryable, True)
    assert str(found).startswith(f"anthropic reported {kind} in a 200: sorry")


@pytest.mark.parametrize(
    ("kind", "code", "error", "retryable"),
    [
        ("overloaded_error", "", Overloaded, True),
        ("api_error", "", ServerError, True),
        ("rate_limit_error", "", RateLimited, True),
        ("invalid_request_error", "", BadRequest, False),
        ("authentication_error", "", AuthFailed, False),
        ("invalid_request_error", "context_length_exceeded", ContextTooLong, False),
        ("server_error", "server_error", ServerError, True),
        ("insufficient_quota", "insufficient_quota", RateLimited, False),
        ("", "content_filter", Refused, False),
        ("something_new", "", ServerError, True),
    ],
)
def test_errors_inside_a_stream(kind: str, code: str, error: type[ModelError], retryable: bool) -> None:
    """After a 200 only the provider's word says what happened."""
    found = reported("anthropic", kind, "sorry", code=code, may_be_billed=True, request_id="r")
    assert type(found) is error
    assert (found.retryable, found.may_be_billed, found.request_id) == (retryable, True, "r")


def test_request_ids() -> None:
    """Either provider's header, or the body's."""
    assert request_id({"request-id": "req_1"}) == "req_1"
    assert request_id({"x-request-id": "abc"}) == "abc"
    inside: dict[str, Any] = {"error": {"type": "x", "message": "m"}, "request_id": "req_2"}
    assert fail(404, json.dumps(inside).encode()).request_id == "req_2"
