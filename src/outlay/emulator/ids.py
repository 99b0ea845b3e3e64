"""Ids as the providers write them, drawn from the seed: the same requests in the same order get the same ids."""

from __future__ import annotations

from hashlib import blake2b


class Ids:
    """A source of ids such as `msg_01…`; unique within one emulator."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._drawn = 0

    def draw(self, prefix: str) -> str:
        """The next id, with this prefix."""
        self._drawn += 1
        return prefix + blake2b(b"%d:%d" % (self._seed, self._drawn), digest_size=12).hexdigest()
