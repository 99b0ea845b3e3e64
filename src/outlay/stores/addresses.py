"""Addresses of stores, as they may be shown."""

from __future__ import annotations

from urllib.parse import urlsplit


def shown(url: str) -> str:
    """An address without password, settings and whatever follows them: for messages and screens. A path as it is."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return f"{scheme}://…"
    user, at, host = parts.netloc.rpartition("@")
    # A password with a bare / or ? in it ends what counts as the host: nothing of it is safe to show then.
    if "@" in rest[len(parts.netloc) :]:
        return f"{scheme}://…"
    return f"{scheme}://{user.partition(':')[0]}{at}{host}{parts.path}"
