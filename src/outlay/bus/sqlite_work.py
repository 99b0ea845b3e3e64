"""What a broker does inside a transaction, as functions of a connection and the time."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from outlay.bus.broker import Buried, Envelope, Lease, Put

_CANDIDATE = """
SELECT g.id, d.seq FROM topics t JOIN groups g ON g.topic = t.id
JOIN deliveries d ON d."group" = g.id AND d.head = 1 AND d.due <= ?
WHERE t.name = ? AND g.name = ? ORDER BY d.due, d.seq LIMIT 1
"""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a delivery stands."""

    group: int
    seq: int


def put(c: sqlite3.Connection, envelope: Envelope, now: float, window: float, high_water: int) -> Put:
    topic, kept = _topic(c, envelope.topic)
    c.execute("DELETE FROM ids WHERE until <= ?", (now,))
    if c.execute("SELECT 1 FROM ids WHERE topic = ? AND id = ?", (topic, envelope.id)).fetchone():
        return Put.KNOWN
    if kept >= high_water:
        return Put.FULL
    groups = [group for (group,) in c.execute("SELECT id FROM groups WHERE topic = ?", (topic,))]
    seq = c.execute(
        "INSERT INTO messages (topic, key, payload, waiting) VALUES (?, ?, ?, ?)",
        (topic, envelope.key, envelope.payload, len(groups)),
    ).lastrowid
    assert seq is not None
    c.execute("INSERT INTO ids VALUES (?, ?, ?)", (topic, envelope.id, now + window))
    c.execute("UPDATE topics SET kept = kept + 1 WHERE id = ?", (topic,))
    for group in groups:
        _deliver(c, group, seq, envelope.key, now)
    return Put.STORED


def subscribe(c: sqlite3.Connection, topic_name: str, name: str, now: float) -> None:
    """The first group of a topic takes over what is there."""
    topic, _ = _topic(c, topic_name)
    if c.execute("SELECT 1 FROM groups WHERE topic = ? AND name = ?", (topic, name)).fetchone():
        return
    first = c.execute("SELECT 1 FROM groups WHERE topic = ?", (topic,)).fetchone() is None
    group = c.execute("INSERT INTO groups (topic, name) VALUES (?, ?)", (topic, name)).lastrowid
    assert group is not None
    if first:
        for seq, key in c.execute("SELECT seq, key FROM messages WHERE topic = ? ORDER BY seq", (topic,)).fetchall():
            _deliver(c, group, seq, key, now)
        c.execute("UPDATE messages SET waiting = 1 WHERE topic = ?", (topic,))


def anything(c: sqlite3.Connection, topic: str, group: str, now: float) -> bool:
    """Whether `claim` would give something. Reads only."""
    return c.execute(_CANDIDATE, (now, topic, group)).fetchone() is not None


def claim(c: sqlite3.Connection, topic: str, group_name: str, now: float, visibility: float) -> Lease | None:
    found = c.execute(_CANDIDATE, (now, topic, group_name)).fetchone()
    if found is None:
        return None
    group, seq = found
    (attempt,) = c.execute(
        'UPDATE deliveries SET due = ?, attempt = attempt + 1 WHERE "group" = ? AND seq = ? RETURNING attempt',
        (now + visibility, group, seq),
    ).fetchone()
    (payload,) = c.execute("SELECT payload FROM messages WHERE seq = ?", (seq,)).fetchone()
    return Lease(topic, group_name, payload, attempt, now + visibility, Place(group, seq))


def postpone(c: sqlite3.Connection, lease: Lease, due: float) -> bool:
    """Give it out again at `due`: what refusing and extending come to."""
    place: Place = lease.place
    where = (due, place.group, place.seq, lease.attempt)
    return bool(
        c.execute('UPDATE deliveries SET due = ? WHERE "group" = ? AND seq = ? AND attempt = ?', where).rowcount
    )


def finish(c: sqlite3.Connection, lease: Lease) -> bool:
    """The group is done with it: the next of its key may go, and the last group to finish removes the message."""
    place: Place = lease.place
    where = (place.group, place.seq, lease.attempt)
    done = 'DELETE FROM deliveries WHERE "group" = ? AND seq = ? AND attempt = ? RETURNING key'
    # To the end: SQLite deletes when the rows are read.
    if not (found := c.execute(done, where).fetchall()):
        return False
    ((key,),) = found
    if key is not None:
        c.execute(
            'UPDATE deliveries SET head = 1 WHERE "group" = :group AND seq = '
            '(SELECT min(seq) FROM deliveries WHERE "group" = :group AND key = :key)',
            {"group": place.group, "key": key},
        )
    (waiting, topic) = c.execute(
        "UPDATE messages SET waiting = waiting - 1 WHERE seq = ? RETURNING waiting, topic", (place.seq,)
    ).fetchone()
    if waiting == 0:
        c.execute("DELETE FROM messages WHERE seq = ?", (place.seq,))
        c.execute("UPDATE topics SET kept = kept - 1 WHERE id = ?", (topic,))
    return True


def bury(c: sqlite3.Connection, lease: Lease, reason: str, now: float) -> bool:
    if not finish(c, lease):
        return False
    c.execute(
        'INSERT INTO dead (topic, "group", payload, attempts, reason, time) VALUES (?, ?, ?, ?, ?, ?)',
        (lease.topic, lease.group, lease.payload, lease.attempt, reason, now),
    )
    return True


def buried(c: sqlite3.Connection, topic: str, group: str | None, limit: int) -> list[Buried]:
    rows = c.execute(
        'SELECT topic, "group", payload, attempts, reason, time, place FROM dead '
        'WHERE topic = ? AND ("group" = ? OR ? IS NULL) ORDER BY place LIMIT ?',
        (topic, group, group, limit),
    )
    return [Buried(*row) for row in rows]


def forget(c: sqlite3.Connection, topic: str, place: int) -> None:
    c.execute("DELETE FROM dead WHERE topic = ? AND place = ?", (topic, place))


def _topic(c: sqlite3.Connection, name: str) -> tuple[int, int]:
    """Its number, and how many messages it keeps."""
    found = c.execute("SELECT id, kept FROM topics WHERE name = ?", (name,)).fetchone()
    if found is None:
        number = c.execute("INSERT INTO topics (name) VALUES (?)", (name,)).lastrowid
        assert number is not None
        return number, 0
    return found


def _deliver(c: sqlite3.Connection, group: int, seq: int, key: str | None, now: float) -> None:
    head = (
        key is None or not c.execute('SELECT 1 FROM deliveries WHERE "group" = ? AND key = ?', (group, key)).fetchone()
    )
    c.execute(
        'INSERT INTO deliveries ("group", seq, key, head, due) VALUES (?, ?, ?, ?, ?)', (group, seq, key, head, now)
    )
