"""A map that is cut off: what was finished is kept, and the next one goes on. And how it looks in a terminal."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cli_support import PROGRAM, Call, Said, environment, lines_of, write_rows

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and pseudo-terminals of POSIX")
MAP = ["map", "desk.py:slow", "--input", "in.jsonl", "--output", "out.jsonl"]


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    write_rows(folder / "in.jsonl", 30)
    return subprocess.Popen(
        [*PROGRAM, *MAP, *more],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for_lines(path: Path, number: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= number:
            return
        time.sleep(0.01)
    raise AssertionError(f"{path} never had {number} lines")


def ended(process: subprocess.Popen[str]) -> Said:
    out, err = process.communicate(timeout=30)
    return Said(process.returncode, out, err)


def test_ctrl_c_keeps_what_is_finished_and_says_how_to_go_on(folder: Path, program: Call):
    process = start(folder, "--concurrency", "4")
    wait_for_lines(folder / "out.jsonl", 4)
    process.send_signal(signal.SIGINT)
    said = ended(process)
    kept = len(lines_of(folder / "out.jsonl"))
    assert said.code == 130
    assert 4 <= kept < 30
    assert "Traceback" not in said.err
    first, place, saved, hint = said.err.splitlines()[-4:]
    assert first.startswith("error: interrupted at $0.000")
    assert place == f"  map slow · row {kept + 1} of 30"
    assert saved == f"  kept: {kept} answers in out.jsonl, everything paid for is in .outlay/outlay.db"
    assert hint == f"  next: outlay {' '.join(MAP)} --concurrency 4        goes on at row {kept + 1}"
    assert re.match(rf"\d+ runs · slow · \d cancelled, {kept} completed · ", said.out)

    rest = program(*MAP, "--json")
    assert (rest.code, rest.json["done"], rest.json["ran"]) == (0, 30, 30 - kept)
    assert sorted(line["id"] for line in lines_of(folder / "out.jsonl")) == sorted(f"r{i}" for i in range(1, 31))


def test_a_killed_map_goes_on(folder: Path, program: Call):
    """No exit handler ran: the lines were the system's already."""
    process = start(folder, "--concurrency", "4")
    wait_for_lines(folder / "out.jsonl", 8)
    process.kill()
    ended(process)
    kept = len(lines_of(folder / "out.jsonl"))
    assert 8 <= kept < 30

    rest = program(*MAP, "--json")
    assert (rest.code, rest.json["done"], rest.json["ran"]) == (0, 30, 30 - kept)
    assert sorted(line["id"] for line in lines_of(folder / "out.jsonl")) == sorted(f"r{i}" for i in range(1, 31))
    runs = program("runs", "--json", "--limit", "100").json
    assert sum(run["stop_reason"] == "completed" for run in runs) >= 30


def test_ctrl_c_of_a_run(folder: Path):
    (folder / "wait.py").write_text(
        "import asyncio, sys\nfrom outlay import node\n@node\nasync def flow(x):\n"
        "    print('started', flush=True)\n    await asyncio.sleep(60)\n"
    )
    process = subprocess.Popen(
        [*PROGRAM, "run", "wait.py:flow", "--input", "x"],
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "started" not in process.stderr.readline():
        pass
    process.send_signal(signal.SIGINT)
    said = ended(process)
    assert (said.code, said.out) == (130, "")
    assert said.err.startswith("error: interrupted after $0.0000\n  run ")
    assert "Traceback" not in said.err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_disk(program: Call, folder: Path):
    write_rows(folder / "in.jsonl", 3)
    said = program("map", "desk.py:echo", "--input", "in.jsonl", "--output", "/dev/full")
    assert said.code == 1
    assert "error: cannot write /dev/full: no space left on device\n" in said.err


def test_a_full_store_stops_the_map_and_leaves_the_other_rows_for_the_next(folder: Path, program: Call):
    """Rows are not to blame for a store that takes no more: none of them is answered with its error."""
    import resource

    write_rows(folder / "in.jsonl", 60)
    command = ["map", "desk.py:echo", "--input", "in.jsonl", "--output", "out.jsonl"]
    limit = 300_000  # bytes of any file; SQLite's log of 60 runs takes more
    full = subprocess.run(
        [*PROGRAM, *command],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    kept = lines_of(folder / "out.jsonl")
    assert full.returncode == 1
    assert full.stderr.splitlines()[-3].startswith("error: StoreFailed: cannot write to the store")
    assert f"  kept: {len(kept)} answers in out.jsonl; run it again to go on" in full.stderr
    assert 0 < len(kept) < 60
    assert all(line["output"] is not None for line in kept)

    rest = program(*command, "--json")
    assert (rest.code, rest.json["done"], rest.json["ran"]) == (0, 60, 60 - len(kept))


# ── in a terminal ─────────────────────────────────────────────────────────────────────────────────────────────

CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def in_a_terminal(folder: Path, *args: str, **env: str) -> str:
    """All that a command writes to a pseudo-terminal of 100 columns."""
    import pty

    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(folder)
        shape = {"TERM": "xterm-256color", "COLUMNS": "100", "LINES": "40"}
        os.execve(sys.executable, [*PROGRAM, *args], environment(**{**shape, **env}))
    written = b""
    while True:
        try:
            data = os.read(terminal, 65_536)
        except OSError:  # the other end is closed
            break
        if not data:
            break
        written += data
    os.close(terminal)
    os.waitpid(pid, 0)
    return written.decode()


def test_the_live_panel(folder: Path):
    """A bar an agent, the money of the budget, the rows; drawn again and again, at most 8 times a second."""
    write_rows(folder / "in.jsonl", 30)
    started = time.monotonic()
    written = in_a_terminal(folder, *MAP, "--concurrency", "8", "--budget", "1")
    seconds = time.monotonic() - started
    frames = [CONTROLS.sub("", frame) for frame in written.split("slow · 30 rows · offline stand-ins")[1:]]
    assert 3 <= len(frames) <= 8 * seconds + 3
    last = frames[-1].replace("\r", "").splitlines()
    assert last[1].startswith("  echo        ████████████████████         30/30   ✓            $0.000")
    assert last[2].startswith("  budget      ···················")
    assert last[2].endswith(" of $1.00")
    assert last[3] == "  rows        ████████████████████         30/30"
    assert "30 runs · slow · 30 completed · 0 degraded" in written
    assert written.count("\x1b[?25l") == written.count("\x1b[?25h")  # the cursor is back


def test_no_color_is_honoured(folder: Path):
    write_rows(folder / "in.jsonl", 8)
    written = in_a_terminal(folder, *MAP, NO_COLOR="1")
    assert re.search(r"\x1b\[[0-9;]*3[0-7]m", written) is None


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"CI": "1"}])
def test_without_a_drawable_terminal_lines_are_plain(env: dict[str, str], folder: Path):
    write_rows(folder / "in.jsonl", 8)
    assert "\x1b" not in in_a_terminal(folder, *MAP, **env)


def test_without_a_terminal_nothing_has_control_characters(program: Call, folder: Path):
    write_rows(folder / "in.jsonl", 4)
    for args in (MAP, ["run", "desk.py:picky", "--input", "3"], ["demo"], ["runs"], ["trace", "last"], ["doctor"]):
        said = program(*args)
        assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", said.out + said.err) is None, args
