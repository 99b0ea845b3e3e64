"""Threads of the Messages protocol: conversations that the server holds, so that a turn sends only what is new.

`thread: {"type": "create"}` keeps a conversation under the answer's id; `{"type": "continue",
"previous_message_id": …}` goes on from there. The SDK's tool runner works this way.
"""

from __future__ import annotations

from collections import OrderedDict

from outlay.emulator.json import Json, rows, table, text
from outlay.emulator.problems import ErrorAnswer, Problem

_HELD_FIELDS = ("system", "tools")
_KEPT = 10_000


class Threads:
    """The conversations held, the oldest dropped first."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, Json] = OrderedDict()

    def clear(self) -> None:
        """Forget them."""
        self._held.clear()

    def whole(self, body: Json) -> Json:
        """The body with everything that its thread holds; the body itself if it continues none.

        Raises:
            Problem: the thread is not held, a 404 with the code `thread_not_found`.
        """
        thread = table(body.get("thread"))
        if thread.get("type") != "continue":
            return body
        if (held := self._held.get(text(thread.get("previous_message_id")))) is None:
            message = "No usable Thread state was found for `previous_message_id`."
            raise Problem(ErrorAnswer(404, message, code="thread_not_found"))
        return held | body | {"messages": [*held["messages"], *rows(body.get("messages"))]}

    def hold(self, body: Json, answer_id: str, content: list[Json]) -> None:
        """Keep the conversation of a whole body and its answer, if the body asked for that."""
        if not body.get("thread"):
            return
        held = {name: body[name] for name in _HELD_FIELDS if name in body}
        messages = [*rows(body.get("messages")), {"role": "assistant", "content": content}]
        self._held[answer_id] = held | {"messages": messages}
        if len(self._held) > _KEPT:
            self._held.popitem(last=False)
