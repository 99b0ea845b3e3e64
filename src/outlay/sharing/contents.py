"""The contents of artifacts: bytes of a type, and what they are known by."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from outlay.errors import ConfigError
from outlay.sharing.packing import plain

#: Of one content, in bytes. Stores hand contents over whole.
MAX_CONTENT = 64 * 2**20
#: By a table of our own: the one of Python's library differs from machine to machine.
_TYPES = {
    "css": "text/css",
    "csv": "text/csv",
    "html": "text/html",
    "js": "text/javascript",
    "json": "application/json",
    "md": "text/markdown",
    "py": "text/x-python",
}


def digest_of(data: bytes, type: str) -> str:
    """What type and content are known by, in hexadecimal: 32 bytes of BLAKE2b."""
    return hashlib.blake2b(data, digest_size=32, key=hashlib.sha256(type.encode()).digest()).hexdigest()


def as_bytes(name: str, content: Any) -> tuple[bytes, str]:
    """A content, and the type that it has by itself."""
    if isinstance(content, bytes | bytearray):
        data, type = bytes(content), "application/octet-stream"
    elif isinstance(content, str):
        try:
            data, type = content.encode(), "text/plain"
        except UnicodeEncodeError:
            raise ConfigError(f"the artifact {name!r} holds half of a surrogate pair, which is not text") from None
    else:
        value = plain(content, f"the artifact {name!r}")
        data, type = json.dumps(value, ensure_ascii=False).encode(), "application/json"
    if len(data) > MAX_CONTENT:
        raise ConfigError(
            f"the artifact {name!r} has {len(data):,} bytes, at most {MAX_CONTENT:,} are kept",
            hint="put it in parts, or keep the file elsewhere and share where it is",
        )
    return data, type


def type_of_file(name: str, content: bytes) -> str:
    """The type of a file that nobody declared one for."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return "application/octet-stream"
    return _TYPES.get(name.rpartition(".")[2].lower(), "text/plain")
