"""What shared things may be called. Names come from models too, and some become files."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from outlay.errors import ConfigError

_SPACE = re.compile(r"[A-Za-z0-9_.:-]{1,128}\Z")
_MAX_NAME = 512
#: File systems take 255 bytes; a file being written has a longer name for a moment.
_MAX_PART = 200
#: Devices, whatever the extension, on Windows.
_RESERVED = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{port}{n}" for port in ("com", "lpt") for n in "0123456789¹²³"]
)
_FORBIDDEN = '<>:"|?*\\'


def space(name: str) -> str:
    """The name of a shared space. Raises ConfigError."""
    if isinstance(name, str) and _SPACE.match(name):  # pyright: ignore[reportUnnecessaryIsInstance]
        return name
    raise ConfigError(f"space {_shown(name)} is not allowed", hint="use 1 to 128 of A-Z a-z 0-9 . _ : -")


def entry(name: str) -> str:
    """The name of an entry or a log. Raises ConfigError."""
    why = _wrong(name)
    if why:
        raise ConfigError(
            f"the name {_shown(name)} is not allowed: {why}", hint="use up to 512 bytes of printable text"
        )
    return name


def prefix(text: str) -> str:
    """The beginning of a name, perhaps empty."""
    return entry(text) if text else text


def artifact(name: str) -> str:
    """The name of an artifact: a relative path that means one file inside a folder on any system.

    Raises ConfigError.
    """
    why = _wrong(name) or next((wrong for part in name.split("/") if (wrong := _wrong_part(part))), "")
    if why:
        raise ConfigError(
            f"the artifact name {_shown(name)} is not allowed: {why}",
            hint="use a relative path of printable text, such as design/api.md",
        )
    return name


def quoted(name: str) -> str:
    """A name as one piece of a key: without `/`, and a prefix of a name is a prefix of the piece."""
    return quote(name, safe=" ")


def _wrong(name: str) -> str:
    if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
        return "it is empty, or no text"
    if not name.isprintable():
        return "it holds a character that cannot be shown"
    if len(name.encode(errors="surrogatepass")) > _MAX_NAME:
        return f"it is longer than {_MAX_NAME} bytes"
    if not unicodedata.is_normalized("NFC", name):
        return "its accents stand apart from their letters (it is not in Unicode's form NFC)"
    return ""


def _wrong_part(part: str) -> str:
    if not part:
        return "it is absolute, or holds //"
    if part in (".", ".."):
        return f"it holds {part}"
    if any(character in _FORBIDDEN for character in part):
        return f"it holds one of {_FORBIDDEN}"
    if part[-1] in ". " or part[0] == " ":
        return "a part of it begins or ends with a space, or ends with a dot"
    if part.split(".")[0].rstrip().lower() in _RESERVED:
        return f"{part} is a device on some systems"
    if len(part.encode()) > _MAX_PART:
        return f"a part of it is longer than {_MAX_PART} bytes"
    return ""


def _shown(name: object) -> str:
    return ascii(name)[:100]
