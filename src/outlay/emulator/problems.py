"""Errors as each provider says them: status, body, and the type or code that its SDK looks at."""

from __future__ import annotations

from dataclasses import dataclass, field

from outlay.emulator.exchange import Provider
from outlay.emulator.json import Json

_ANTHROPIC: dict[int, tuple[str, str]] = {
    400: ("invalid_request_error", "Invalid request."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "Not found"),
    408: ("timeout_error", "Request timed out"),
    409: ("conflict_error", "Conflict"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: (
        "rate_limit_error",
        "This request would exceed your organization's rate limit. Please try again later.",
    ),
    500: ("api_error", "Internal server error"),
    502: ("api_error", "Bad gateway"),
    503: ("api_error", "Service unavailable"),
    504: ("timeout_error", "Gateway timeout"),
    529: ("overloaded_error", "Overloaded"),
}

_OVERLOADED = "The server is currently overloaded with other requests. Sorry about that! Please try again later."
_OPENAI: dict[int, tuple[str, str | None, str]] = {
    400: ("invalid_request_error", None, "Invalid request."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: ("invalid_request_error", "insufficient_permissions", "You have insufficient permissions for this."),
    404: ("invalid_request_error", None, "Not found"),
    408: ("server_error", "request_timeout", "Request timed out."),
    409: ("invalid_request_error", "conflict", "The resource was changed by another request."),
    413: ("invalid_request_error", "request_too_large", "The request is too large."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached. Please try again later."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    502: ("server_error", None, "Bad gateway."),
    503: ("server_error", None, _OVERLOADED),
    529: ("server_error", None, _OVERLOADED),
}


@dataclass(frozen=True, slots=True)
class ErrorAnswer:
    """An HTTP error of a provider, ready to send. `type` and `code` replace what goes with the status."""

    status: int
    message: str = ""
    type: str = ""
    code: str = ""
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict[str, str])

    def body(self, provider: Provider, request_id: str) -> Json:
        """The provider's own error body."""
        if provider == "anthropic":
            return {"type": "error", "error": self.anthropic_error(), "request_id": request_id}
        return {"error": self.openai_error()}

    def anthropic_error(self) -> Json:
        """The `error` object of the Anthropic protocol."""
        kind, message = _ANTHROPIC.get(self.status, ("api_error", f"HTTP {self.status}"))
        details = {"details": {"error_code": self.code}} if self.code else {}
        return {"type": self.type or kind, "message": self.message or message, **details}

    def openai_error(self) -> Json:
        """The `error` object of the OpenAI protocols."""
        kind, code, message = _OPENAI.get(self.status, ("server_error", None, f"HTTP {self.status}"))
        return {
            "message": self.message or message,
            "type": self.type or kind,
            "param": self.param,
            "code": self.code or (None if self.type else code),
        }


class Problem(Exception):
    """Raised wherever a request turns out to be one that the provider would refuse."""

    def __init__(self, answer: ErrorAnswer) -> None:
        super().__init__(answer.message or f"HTTP {answer.status}")
        self.answer = answer


def invalid(message: str, *, param: str | None = None, code: str = "") -> Problem:
    """A 400: the request is malformed, and the message says how."""
    return Problem(ErrorAnswer(400, message, param=param, code=code))


def not_found(message: str, *, code: str = "") -> Problem:
    """A 404."""
    return Problem(ErrorAnswer(404, message, code=code))
