"""Signatures of thinking blocks: proof that a block came from this emulator and was not changed since.

A client must send thinking back exactly as it was. The real API refuses a signature that it did not make, and
a text that does not belong to it, with different messages; so does this.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from hmac import compare_digest, digest

_MARK = b"\x12\x8b\x01"


class Signer:
    """Signs with a secret that follows from the seed, so that emulators of one seed know each other's
    thinking.
    """

    def __init__(self, seed: int) -> None:
        self._secret = b"outlay-emulator:%d" % seed

    def sign(self, thinking: str) -> str:
        """The signature of a thinking text; empty text (omitted thinking) has one as well."""
        content = self._mac(b"text:" + thinking.encode())
        return b64encode(_MARK + content + self._mac(b"origin:" + content)).decode()

    def genuine(self, signature: str) -> bool:
        """Whether we made it, for whatever text."""
        try:
            raw = b64decode(signature, validate=True)
        except (Base64Error, ValueError):
            return False
        if not raw.startswith(_MARK) or len(raw) != len(_MARK) + 64:
            return False
        content, origin = raw[len(_MARK) : -32], raw[-32:]
        return compare_digest(origin, self._mac(b"origin:" + content))

    def matches(self, signature: str, thinking: str) -> bool:
        """Whether it belongs to this text."""
        return compare_digest(signature, self.sign(thinking))

    def _mac(self, message: bytes) -> bytes:
        return digest(self._secret, message, "sha256")
