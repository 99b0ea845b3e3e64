"""The shape of a flow says whether its code has changed: the same in every process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from outlay import node
from outlay.runtime.shape import shape_of

SOURCE = Path(__file__).resolve().parents[2] / "src"
PROGRAM = """
from outlay import node
from outlay.runtime.shape import shape_of

@node
async def sort(text: str) -> str:
    return "known" if text in {"alpha", "beta", "gamma", "delta", "epsilon"} else "unknown"

print(shape_of(sort))
"""


def shape_under(seed: str) -> str:
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(SOURCE)}
    return subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True, check=True).stdout


def test_a_set_in_the_code_does_not_make_it_another_one_in_the_next_process():
    """Else a run could not be resumed by another process without being told that its code has changed."""
    assert shape_under("1") == shape_under("2")


def test_another_member_of_the_set_does():
    @node(name="a")
    async def one(text: str) -> bool:
        return text in {"alpha", "beta"}

    @node(name="a")
    async def other(text: str) -> bool:
        return text in {"alpha", "gamma"}

    assert shape_of(one) != shape_of(other)
