"""Half a character in an answer: `"\\ud83d"` alone, as a model writes that was cut in the middle of an emoji.

JSON's grammar allows it (RFC 8259, section 8.2), and no decoder that makes text of it does. The answer was paid for, so
the half is read as U+FFFD, as in a stream of broken bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

T = TypeVar("T")
Body = TypeVar("Body", bytes, str)

#: An escape of JSON: a pair of surrogates, half of one, or any other (which may be a backslash before a `ud83d`).
_ESCAPE: Final = r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})|\\."
_IN_TEXT: Final = re.compile(_ESCAPE, re.DOTALL)
_IN_BYTES: Final = re.compile(_ESCAPE.encode(), re.DOTALL)


def read_whole(read: Callable[[Any], T], body: Body) -> T:
    """`read(body)`, once more with its halves of characters replaced where it is refused for one.

    Raises what `read` raises, which must have no effects before it does."""
    try:
        return read(body)
    except msgspec.DecodeError:
        if (mended := whole_characters(body)) == body:
            raise
        return read(mended)


def whole_characters(body: Body) -> Body:
    """JSON text with U+FFFD for every escape of half a surrogate pair; otherwise as it is."""
    if isinstance(body, bytes):
        return _IN_BYTES.sub(lambda found: b"\\ufffd" if found[1] else found[0], body)
    return _IN_TEXT.sub(lambda found: "\\ufffd" if found[1] else found[0], body)
