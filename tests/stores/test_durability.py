"""Real processes: killed in the middle of commits, many on one store, gone without a close."""

import random
import subprocess
import sys
import time
from pathlib import Path

from stores.rows import stored_at

CHILD = Path(__file__).with_name("child.py")


def start(what: str, address: str, name: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, str(CHILD), what, address, name], stdout=subprocess.PIPE)


def test_a_killed_process_keeps_every_acknowledged_row(address: str):
    """SIGKILL during group commit, ten times on one store: nothing acknowledged is lost, no run has a hole."""
    dice = random.Random(7)
    acknowledged: dict[str, int] = {}
    for n in range(10):
        child = start("until_killed", address, str(n))
        assert child.stdout is not None
        first = child.stdout.readline()
        time.sleep(0.02 + dice.random() * 0.08)
        child.kill()
        for line in (first + child.stdout.read()).splitlines():
            run, seq = line.split()
            acknowledged[run.decode()] = int(seq)
        child.stdout.close()
        child.wait()
        found = stored_at(address)
        for run, seq in acknowledged.items():
            assert found[run] == list(range(len(found[run])))
            assert len(found[run]) > seq
    assert len(acknowledged) >= 100


def test_four_processes_share_a_store_without_loss(address: str):
    """They also race to make it."""
    children = [start("write", address, str(n)) for n in range(4)]
    for child in children:
        child.communicate()
        assert child.returncode == 0
    assert stored_at(address) == {f"{n}.{i}": list(range(40)) for n in range(4) for i in range(5)}


def test_a_process_that_forgets_to_close_loses_nothing(address: str):
    child = start("forget", address, "a")
    child.communicate()
    assert child.returncode == 0
    assert stored_at(address) == {"a": list(range(3_000))}
