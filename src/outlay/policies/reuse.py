"""How often a conversation goes on, as far as anybody can know.

After each answer a conversation ends or is continued. With a Beta prior (one continuation for an agent that has
tools or that has been continued before, one end for every agent) and what was seen of this agent since, the chance
of another turn is p, and with turns alike, p / (1 − p) more follow, at most as many as the agent may take.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Turns:
    """How the conversations of one agent went on: continued within five minutes, within the hour, or not."""

    soon: int = 0
    later: int = 0
    ended: int = 0


def further_turns(turns: Turns, *, likely: bool, left: int) -> tuple[float, float]:
    """Expected turns that will follow within five minutes of one another, and within an hour.

    `likely`: there is a reason to go on (tools, or turns already taken). `left`: the most that may follow.
    """
    seen = turns.soon + turns.later + turns.ended + likely + 1
    soon = (turns.soon + likely) / seen
    hour = (turns.soon + turns.later + likely) / seen
    return min(soon / (1 - soon), left), min(hour / (1 - hour), left)
