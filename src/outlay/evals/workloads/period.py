"""Periods of a report: where one begins and ends, the one before it, and its parts. In UTC, seconds since the epoch."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from outlay.errors import ConfigError

HOUR, DAY, WEEK = 3_600.0, 86_400.0, 604_800.0
_AGE = re.compile(r"(\d{1,6}(?:\.\d+)?)([hdw])", re.ASCII)
_UNITS = {"h": HOUR, "d": DAY, "w": WEEK}
_HINT = "write 2026-11-14, 2026-11-14T09:00, or an age: 36h, 14d, 2w"


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` up to, and without, `end`."""

    start: float
    end: float

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ConfigError("a period ends after it begins", hint=_HINT)

    @property
    def seconds(self) -> float:
        return self.end - self.start

    @property
    def before(self) -> Period:
        """As long, and up to where this begins."""
        return Period(self.start - self.seconds, self.start)

    @property
    def parts(self) -> int:
        """How many parts its course is shown in: hours, days, or twelfths."""
        for unit, least in ((HOUR, 2), (DAY, 2)):
            number = round(self.seconds / unit, 6)  # the difference of two floats
            if number == round(number) and least <= number <= (24 if unit == HOUR else 31):
                return int(number)
        return 12

    @property
    def part(self) -> str:
        """What one part is called."""
        return {HOUR: "an hour", DAY: "a day"}.get(round(self.seconds / self.parts, 3), "a twelfth")

    @property
    def length(self) -> str:
        """`7 days`, `36 hours`."""
        for unit, noun in ((DAY, "day"), (HOUR, "hour")):
            number = round(self.seconds / unit, 6)
            if number == round(number):
                return f"{number:,.0f} {noun}{'' if number == 1 else 's'}"
        return f"{self.seconds / DAY:,.1f} days"

    def __contains__(self, time: float) -> bool:
        return self.start <= time < self.end

    def part_of(self, time: float) -> int:
        """The number of the part that a time falls into."""
        return min(self.parts - 1, int((time - self.start) / self.seconds * self.parts))

    def __str__(self) -> str:
        return f"{moment(self.start)} to {moment(self.end)} UTC"


def moment(time: float) -> str:
    """`2026-11-21 09:00`."""
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d %H:%M}"


def time_of(text: str, now: float) -> float:
    """A date, a date and time (UTC where it says nothing else), or how long ago. Raises ConfigError."""
    given = text.strip()
    try:
        if found := _AGE.fullmatch(given):
            time = now - float(found[1]) * _UNITS[found[2]]
        else:
            read = datetime.fromisoformat(given)
            time = (read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        time = -1.0
    if time < 0:
        raise ConfigError(f"{text[:40]!r} is no time that a run could have begun at", hint=_HINT)
    return time
