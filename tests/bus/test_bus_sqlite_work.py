"""The laws of the embedded broker, against a model of it that fits on a screen."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

from outlay.bus import sqlite_work as work
from outlay.bus.broker import Envelope, Lease, Put
from outlay.bus.sqlite_file import TABLES

WINDOW, HIGH_WATER, VISIBILITY = 50.0, 6, 10.0
GROUPS = ("billing", "audit")


@dataclass
class Held:
    """What the model knows of one message in one group."""

    key: str | None
    due: float = 0.0
    attempt: int = 0


@dataclass
class Model:
    """Each group's messages in order of publication, until they are done."""

    groups: dict[str, dict[str, Held]] = field(default_factory=lambda: {group: {} for group in GROUPS})
    ids: dict[str, float] = field(default_factory=dict[str, float])
    done: dict[tuple[str, str | None], list[str]] = field(default_factory=dict[tuple[str, "str | None"], list[str]])

    def kept(self) -> int:
        return len(set().union(*self.groups.values()))

    def ready(self, group: str, now: float) -> set[str]:
        """The first of each key, and all without a key, that are not leased."""
        heads: dict[str, str] = {}
        for id, held in self.groups[group].items():
            heads.setdefault(f"key {held.key}" if held.key is not None else f"id {id}", id)
        return {id for id in heads.values() if self.groups[group][id].due <= now}


class Broker(RuleBasedStateMachine):
    """Whatever is published, claimed, settled and left alone, in any order and at any time."""

    leases = Bundle[Lease]("leases")

    @initialize()
    def begin(self) -> None:
        self.file = sqlite3.connect(":memory:", isolation_level=None)
        self.file.executescript(TABLES)
        self.model = Model()
        self.now = 1_000.0
        for group in GROUPS:
            work.subscribe(self.file, "orders", group, self.now)

    @rule(id=st.sampled_from("abcdefghijklmnop"), key=st.sampled_from([None, "x", "y"]))
    def publish(self, id: str, key: str | None) -> None:
        model = self.model
        known = model.ids.get(id, 0) > self.now
        expected = Put.KNOWN if known else Put.FULL if model.kept() >= HIGH_WATER else Put.STORED
        # An id may come again after its window, while the first is still there: another message of the same name.
        name = f"{id}@{self.now}"
        envelope = Envelope("orders", id, key, name.encode())
        assert work.put(self.file, envelope, self.now, WINDOW, HIGH_WATER) is expected
        if expected is Put.STORED:
            model.ids[id] = self.now + WINDOW
            for group in GROUPS:
                model.groups[group][name] = Held(key, due=self.now)

    @rule(target=leases, group=st.sampled_from(GROUPS))
    def claim(self, group: str) -> Lease | None:
        ready = self.model.ready(group, self.now)
        assert work.anything(self.file, "orders", group, self.now) == bool(ready)
        lease = work.claim(self.file, "orders", group, self.now, VISIBILITY)
        assert (lease is not None) == bool(ready)
        if lease is not None:
            name = lease.payload.decode()
            assert name in ready
            held = self.model.groups[group][name]
            held.attempt += 1
            held.due = self.now + VISIBILITY
            assert (lease.attempt, lease.until) == (held.attempt, held.due)
        return lease

    def current(self, lease: Lease) -> bool:
        held = self.model.groups[lease.group].get(lease.payload.decode())
        return held is not None and held.attempt == lease.attempt

    def finish(self, lease: Lease) -> None:
        name = lease.payload.decode()
        held = self.model.groups[lease.group].pop(name)
        self.model.done.setdefault((lease.group, held.key), []).append(name)

    @rule(lease=consumes(leases))
    def ack(self, lease: Lease | None) -> None:
        if lease is not None:
            current = self.current(lease)
            assert work.finish(self.file, lease) == current
            if current:
                self.finish(lease)

    @rule(lease=consumes(leases))
    def bury(self, lease: Lease | None) -> None:
        if lease is not None:
            current = self.current(lease)
            before = len(work.buried(self.file, "orders", None, 1_000))
            assert work.bury(self.file, lease, "why", self.now) == current
            assert len(work.buried(self.file, "orders", None, 1_000)) == before + current
            if current:
                self.finish(lease)

    @rule(lease=leases, delay=st.sampled_from([0.0, 3.0, VISIBILITY]))
    def postpone(self, lease: Lease | None, delay: float) -> None:
        if lease is not None:
            current = self.current(lease)
            assert work.postpone(self.file, lease, self.now + delay) == current
            if current:
                self.model.groups[lease.group][lease.payload.decode()].due = self.now + delay

    @rule(seconds=st.sampled_from([0.5, 4.0, VISIBILITY, WINDOW]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @precondition(lambda self: hasattr(self, "model"))
    @invariant()
    def what_is_kept_is_what_somebody_waits_for(self) -> None:
        (stored,) = self.file.execute("SELECT count(*) FROM messages").fetchone()
        (counted,) = self.file.execute("SELECT kept FROM topics").fetchone()
        assert stored == counted == self.model.kept()

    def teardown(self) -> None:
        """In the end everything can be had, each key in the order of publication: nothing was lost on the way."""
        if not hasattr(self, "model"):
            return
        for group in GROUPS:
            left = {name: held.key for name, held in self.model.groups[group].items()}
            self.now += 10 * VISIBILITY
            came: list[str] = []
            while lease := work.claim(self.file, "orders", group, self.now, VISIBILITY):
                came.append(lease.payload.decode())
                assert work.finish(self.file, lease)
            assert sorted(came) == sorted(left)
            for key in ("x", "y"):
                assert [name for name in came if left[name] == key] == [n for n, k in left.items() if k == key]
                # Together with what was done before: never a later one first.
                order = self.model.done.get((group, key), [])
                assert [float(name.partition("@")[2]) for name in order] == sorted(
                    float(name.partition("@")[2]) for name in order
                )
        self.file.close()


Broker.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestBroker = Broker.TestCase
