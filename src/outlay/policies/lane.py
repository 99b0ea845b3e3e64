"""What one model of one provider lets through: its rates, as far as they are known, and how many calls at once.

Nothing is held back before something is known. What is known comes from configuration, from the headers of answers,
and from refusals: a 429 stops the lane for as long as it asks, and where most is refused, what came through in that
minute is taken for the limit. Concurrency is halved where a tenth of the calls is refused, overloaded or late,
once a round trip, and grows by a fixed step a round trip (Chiu and Jain 1989, as in TCP); it is unlimited again once it
has stopped mattering. A tenth and not one: the odd 529 comes at any load, and would keep a thousand calls at a dozen.
And a tenth of those under way, too: a refusal takes a blink and an answer a minute, so that the first to be heard of
are always those that went wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from outlay.policies.bucket import Bucket, rate_of
from outlay.policies.recently import Window
from outlay.values.request import RateLimitFacts

#: Calls that a provider with limits is sent before it has said what they are: the least that a paid tier allows.
COLD = 50
#: Headers are looked at that often, in seconds, while nobody waits: reading them costs more than keeping count.
_LOOK = 1.0
#: Refusals in a minute before they are taken for a limit.
_MANY = 10
#: Answers before their number is taken for what the limit is.
_SEEN = 5
#: A lane is not stopped for longer, whatever a provider asks: the call that was told so gives up by itself.
_LONGEST_STOP = 120.0
#: Answers before the fastest of them says anything, and the seconds after which it is forgotten.
_ENOUGH, _SPELL = 20, 300.0
#: Of waiting, in seconds: less is rounding, and a timer that is set for it would go off at once, for ever.
_MOMENT = 1e-6
#: Calls at once that cannot be too many.
_FEW = 8
#: Of the calls of the last minute and those under way, the share, and the number, that must go wrong for a cut.
_CONGESTION, _AT_LEAST = 0.1, 3
#: What was cut comes back in so many round trips; in TCP it would be one call each, and a thousand calls take hours.
_COMES_BACK = 10
#: A rate that was guessed grows by this share a minute while nothing is refused.
_GROWTH = 0.1


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """What is configured; None does not limit."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    concurrency: int | None = None


@dataclass(slots=True)
class Permit:
    """One call on its way: when it began, its upper bound of tokens, what of that it was counted with, and what had
    begun and was over by then: whatever began before the answer, and was not, may be missing in what that says."""

    since: float
    bound: int
    tokens: float
    over: int
    tokens_over: float


@dataclass(slots=True)
class Lane:
    """`cold`: the provider says what its limits are, and has not yet."""

    limits: LaneLimits = field(default_factory=LaneLimits)
    cold: bool = False
    in_flight: int = 0
    #: Calls at once, None for as many as come.
    window: float | None = None
    requests: Bucket | None = None
    tokens: Bucket | None = None
    #: The bucket for requests was made from refusals.
    guessed: bool = False
    _started: bool = False
    _stopped_until: float = -math.inf
    _cut: float = -math.inf
    _looked: float = -math.inf
    _begun: int = 0
    _tokens_begun: float = 0.0
    _tokens_in_flight: float = 0.0
    #: Seconds of the fastest answer of this spell and of the one before, and of how many.
    _fastest: float = math.inf
    _answers: int = 0
    _fastest_before: float = math.inf
    _answers_before: int = 0
    _spell_ends: float = -math.inf
    #: Tokens that a call turns out to use, of its upper bound; None before the first has.
    _used: float | None = None
    #: How many calls more the window gains each round trip.
    _step: float = 1.0
    #: Calls that did not go well, since the last cut.
    _ill: Window = field(default_factory=Window)
    _through: Window = field(default_factory=Window)
    #: When refusals began; how many there were, and how many calls came through that were sent before.
    _burst: float = -math.inf
    _burst_refused: int = 0
    _burst_through: int = 0

    def wait(self, bound: int, now: float) -> float:
        """Seconds until a call of at most `bound` input tokens may begin: 0 now, infinite after another has ended."""
        if not self._started:
            self._start(now)
        if self.in_flight >= self._most():
            return math.inf
        wait = max(self._stopped_until - now, 0.0)
        if self.requests is not None:
            wait = max(wait, self.requests.wait(1, now))
        if self.tokens is not None:
            wait = max(wait, self.tokens.wait(bound * (self._used or 1.0), now))
        return wait if wait > _MOMENT else 0.0

    def begin(self, bound: int, now: float) -> Permit:
        """Count a call that begins."""
        tokens = bound * (self._used or 1.0)
        permit = Permit(now, bound, tokens, self._begun - self.in_flight, self._tokens_begun - self._tokens_in_flight)
        self.in_flight += 1
        self._begun += 1
        self._tokens_begun += tokens
        if self.requests is not None:
            self.requests.take(1, now)
        if self.tokens is not None:
            self.tokens.take(tokens, now)
        self._tokens_in_flight += tokens
        return permit

    def end(self, permit: Permit) -> None:
        """A call is over, or never began; one of the following says how it went."""
        self.in_flight -= 1
        self._tokens_in_flight -= permit.tokens

    def unused(self, permit: Permit, now: float) -> None:
        """It was never sent."""
        if self.requests is not None:
            self.requests.take(-1, now)
        if self.tokens is not None:
            self.tokens.take(-permit.tokens, now)

    def wants_facts(self, now: float) -> bool:
        return self.cold or now - self._looked >= _LOOK

    def answered(self, permit: Permit, used: int | None, now: float) -> None:
        """The provider answered. `used` are the input tokens that it counts."""
        self.cold = False
        self._through.add(now)
        if permit.since <= self._burst:
            self._burst_through += 1
            self._guess(now)
        if used is not None and permit.bound:
            share = min(used / permit.bound, 1.0)
            self._used = share if self._used is None else self._used + 0.2 * (share - self._used)
            if self.tokens is not None:
                self.tokens.take(used - permit.tokens, now)
        if self.guessed and self.requests is not None:
            self.requests.rate *= 1 + _GROWTH / max(self.requests.rate * 60, 1)
        if self.window is not None:
            self.window += self._step / self.window
            if self.window > 2 * (self.in_flight + 1) + _FEW:
                self.window = None  # it no longer holds anybody back

    @property
    def least(self) -> float:
        """Seconds that an answer takes at least, 0 where too little is known: half of the fastest of many."""
        if self._answers + self._answers_before < _ENOUGH:
            return 0.0
        return min(self._fastest, self._fastest_before) / 2

    def took(self, seconds: float, now: float) -> None:
        """An answer took so long from sending."""
        if now >= self._spell_ends:
            self._fastest_before, self._answers_before = self._fastest, self._answers
            self._fastest, self._answers, self._spell_ends = seconds, 0, now + _SPELL
        self._answers += 1
        if seconds < self._fastest:
            self._fastest = seconds

    def learn(self, facts: RateLimitFacts, permit: Permit, now: float) -> None:
        """What an answer said of the limits. Configured ones stay if they are lower."""
        self._looked = now
        if facts.requests_limit and facts.requests_left is not None:
            rate = rate_of(facts.requests_limit, facts.requests_left, facts.requests_reset)
            known = None if self.guessed else self.requests
            self.requests = self._taught(known, facts.requests_limit, rate, self.limits.requests_per_minute, now)
            self.requests.correct(facts.requests_left, permit.since, self._begun - permit.over - 1, now)
            self.guessed = False
        left = facts.tokens_left if facts.input_tokens_left is None else facts.input_tokens_left
        if facts.tokens_limit and left is not None:
            rate = rate_of(facts.tokens_limit, left, facts.tokens_reset)
            self.tokens = self._taught(self.tokens, facts.tokens_limit, rate, self.limits.tokens_per_minute, now)
            uncounted = self._tokens_begun - permit.tokens_over - permit.tokens
            self.tokens.correct(left, permit.since, uncounted, now)

    def refused(self, permit: Permit, retry_after: float | None, now: float) -> None:
        """A 429. Who told one told all."""
        if now - self._burst > 60:
            self._burst, self._burst_refused, self._burst_through = now, 0, self._through.count(now)
        if retry_after is not None and 0 < retry_after <= _LONGEST_STOP:
            self._stopped_until = max(self._stopped_until, now + retry_after)
        self._burst_refused += 1
        self._guess(now)
        self.congested(permit, now)

    def congested(self, permit: Permit, now: float) -> None:
        """Too much at once, it seems. Calls that were under way when that was last seen say nothing new."""
        if permit.since <= self._cut:
            return
        self._ill.add(now)
        together, ill = self.in_flight + 1, self._ill.count(now)
        of = ill + self._through.count(now) + self.in_flight
        if together <= _FEW or ill < max(_AT_LEAST, _CONGESTION * of):
            return
        self.window = min(self.window or math.inf, together) / 2
        self._step = max(1.0, self.window / _COMES_BACK)
        self._cut, self._ill = now, Window()

    def _guess(self, now: float) -> None:
        """Where most is refused and nobody says what the limit is: what came through, and what still may."""
        through = self._burst_through + self.in_flight
        if self.guessed and self.requests is not None:
            self.requests.rate = min(self.requests.rate, through / 60)
        elif self.requests is None and self._burst_through >= _SEEN and self._burst_refused >= max(_MANY, through):
            self.requests = Bucket.per_minute(through, now, level=0.0)
            self.guessed = True

    def _start(self, now: float) -> None:
        self._started = True
        limits = self.limits
        if limits.requests_per_minute is not None:
            self.requests = Bucket.per_minute(limits.requests_per_minute, now)
        if limits.tokens_per_minute is not None:
            self.tokens = Bucket.per_minute(limits.tokens_per_minute, now)

    def _most(self) -> float:
        most = math.inf if self.window is None else math.floor(self.window)
        if self.limits.concurrency is not None:
            most = min(most, self.limits.concurrency)
        return min(most, COLD) if self.cold else most

    @staticmethod
    def _taught(bucket: Bucket | None, limit: float, rate: float, configured: float | None, now: float) -> Bucket:
        if configured is not None:
            limit, rate = min(limit, configured), min(rate, configured / 60)
        if bucket is None:
            return Bucket(limit, rate, 0.0, now)  # what is left is corrected by what was said, at once
        bucket.take(0, now)
        bucket.capacity, bucket.rate = limit, rate
        return bucket
