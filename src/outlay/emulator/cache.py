"""Prompt caches with the providers' own semantics.

*By breakpoints* (every Claude; GPT from 5.6 on): the request marks where a prefix ends. A prefix is found
again if every byte up to an earlier mark is the same, in the order tools, system, messages; Anthropic looks
back at most 20 blocks from each mark. What lies between the prefix that was found and the last mark is
written. A prefix below the model's minimum length is neither written nor read, silently.

*By steps* (GPT up to 5.5): from 1,024 tokens on, the longest prefix that was seen before, in steps of 128.

An entry exists from the moment an answer begins (so two simultaneous requests both pay the write), and
reading one starts its life time again. `look_up` decides and changes nothing; `commit` makes it so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b

from outlay.emulator.tokens import CHARACTERS_PER_TOKEN, count

FIVE_MINUTES = 300.0
HALF_AN_HOUR = 1_800.0
ONE_HOUR = 3_600.0
ANTHROPIC_LOOKBACK = 20
_STEP = 128
_SWEEP_ABOVE = 20_000
"""Entries; beyond it, expired ones are swept out."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One block of a prompt. `ttl` in seconds marks a breakpoint after it; 0 is no mark.

    `hidden` belongs to the identity of the prefix and costs no tokens (parameters that change the prompt
    unseen).
    """

    text: str
    ttl: float = 0.0
    hidden: str = ""


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt as the caches see it. `lookback` in blocks, 0 for no limit."""

    segments: tuple[Segment, ...]
    lookback: int = ANTHROPIC_LOOKBACK

    @property
    def tokens(self) -> int:
        """All its tokens."""
        return sum(count(segment.text) for segment in self.segments)


@dataclass(frozen=True, slots=True)
class CachePlan:
    """Where the tokens of one prompt come from, in disjoint buckets, and what the cache will remember."""

    uncached: int
    read: int = 0
    write_5m: int = 0
    write_1h: int = 0
    remember: tuple[tuple[bytes, float], ...] = ()
    """Digest and life time (seconds) of each prefix that this request writes or reads."""


class PromptCache:
    """All cached prefixes of one provider. `clock` in seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._entries: dict[bytes, tuple[float, float]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()

    def look_up(self, scope: str, prompt: Prompt, minimum: int) -> CachePlan:
        """The plan under explicit breakpoints. `scope`: whose cache, and which model's."""
        total = prompt.tokens
        marks = [index for index, segment in enumerate(prompt.segments) if segment.ttl]
        if not marks or total < minimum:
            return CachePlan(total)
        digest = blake2b(scope.encode(), digest_size=16)
        digests: list[bytes] = []
        lengths: list[int] = []
        length = 0
        for segment in prompt.segments:
            digest.update(b"\x00%d:%d:" % (len(segment.hidden), len(segment.text)))
            digest.update((segment.hidden + segment.text).encode())
            length += count(segment.text)
            digests.append(digest.digest())
            lengths.append(length)
        marks = [index for index in marks if lengths[index] >= minimum]
        if not marks:
            return CachePlan(total)
        hit = self._hit(digests, marks, prompt.lookback)
        read = lengths[hit] if hit is not None else 0
        hour = max((lengths[m] for m in marks if prompt.segments[m].ttl >= ONE_HOUR), default=0)
        last = max(lengths[marks[-1]], read)
        remember = [(digests[mark], prompt.segments[mark].ttl) for mark in marks]
        if hit is not None:
            remember.append((digests[hit], 0.0))
        write_1h = max(hour - read, 0)
        return CachePlan(total - last, read, last - read - write_1h, write_1h, tuple(remember))

    def _hit(self, digests: list[bytes], marks: list[int], lookback: int) -> int | None:
        for mark in reversed(marks):
            oldest = mark - lookback if lookback else -1
            for index in range(mark, max(oldest, -1), -1):
                if self._alive(digests[index]):
                    return index
        return None

    def look_up_steps(self, scope: str, prompt: Prompt, minimum: int, ttl: float) -> CachePlan:
        """The plan under automatic caching: reads in steps, writes that nobody is charged for."""
        total = prompt.tokens
        if total < minimum:
            return CachePlan(total)
        text = "".join(segment.text + " " * (-len(segment.text) % CHARACTERS_PER_TOKEN) for segment in prompt.segments)
        digest = blake2b(scope.encode(), digest_size=16)
        start, read = 0, 0
        remember: list[tuple[bytes, float]] = []
        for tokens in range(minimum, len(text) // CHARACTERS_PER_TOKEN + 1, _STEP):
            digest.update(text[start : (start := tokens * CHARACTERS_PER_TOKEN)].encode())
            key = digest.digest()
            if self._alive(key):
                read = min(tokens, total)
            remember.append((key, ttl))
        return CachePlan(total - read, read, remember=tuple(remember))

    def commit(self, plan: CachePlan) -> None:
        """Remember the plan's prefixes from now on; those that exist live their own life time once more."""
        now = self._clock()
        if len(self._entries) > _SWEEP_ABOVE:
            self._entries = {key: entry for key, entry in self._entries.items() if entry[0] > now}
        for key, ttl in plan.remember:
            expires, lifetime = self._entries.get(key, (0.0, ttl))
            lifetime = lifetime if expires > now else ttl
            if lifetime:
                self._entries[key] = (now + lifetime, lifetime)

    def _alive(self, key: bytes) -> bool:
        entry = self._entries.get(key)
        return entry is not None and entry[0] > self._clock()
