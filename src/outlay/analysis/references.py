"""Which contents something names, told from its bytes alone.

Events and documents name contents by their digests in hexadecimal; so do some contents. A message in a transcript
begins with the digest of the one before it, a page of a conversation is nothing but digests. Whatever looks like one
counts: a sweep that goes by this may leave a content too many, and never takes one that is needed.
"""

from __future__ import annotations

import re

from outlay.values.message import DIGEST_SIZE

_HEX = re.compile(rb"(?<![0-9a-f])(?:[0-9a-f]{32}|[0-9a-f]{64})(?![0-9a-f])")


def named_in(body: bytes) -> set[bytes]:
    """The digests that an event or a document may name."""
    return {bytes.fromhex(found.decode()) for found in _HEX.findall(body)}


def linked_from(content: bytes) -> set[bytes]:
    """The digests that a content may go on from, or name."""
    end = len(content) if len(content) % DIGEST_SIZE == 0 else DIGEST_SIZE
    return named_in(content) | {content[at : at + DIGEST_SIZE] for at in range(0, end, DIGEST_SIZE)}
