"""Code that must run: in a process with limits, without a network, and never by leaving early."""

import os
import socket
import subprocess
import sys

import pytest

from outlay.checkers import runs
from outlay.errors import ConfigError

ADD = "Here it is:\n```python\ndef add(a, b):\n    return a + b\n```"


def test_code_that_runs_to_its_end_passes():
    assert runs()("print('hello')") is None
    assert runs()("import sys\nsys.exit(0)") is None


def test_an_error_is_told_by_its_last_lines():
    said = runs()("def f():\n    return 1 / 0\nf()")
    assert said.startswith("the code fails:")
    assert "ZeroDivisionError" in said
    assert "solution.py" in said
    assert runs()("import sys\nsys.exit(3)") == "the code fails:\nit ends with the exit code 3"


def test_what_it_prints_can_be_asked_for():
    assert runs(prints="42")("print(6 * 7)") is None
    assert runs(prints="42")("print(6 * 8)") == "it prints '48', expected '42'"


def test_assertions_see_its_names():
    assert runs(asserts="assert add(2, 2) == 4")(ADD) is None
    assert "AssertionError: 4" in runs(asserts="assert add(2, 2) == 5, add(2, 2)")(ADD)


@pytest.mark.parametrize("code", ["import os; os._exit(0)", "import os, signal; os.kill(os.getpid(), 9)"])
def test_leaving_early_is_not_passing(code):
    assert runs(asserts="assert False")(code) is not None


@pytest.mark.parametrize("code", ["while True: pass", "import time; time.sleep(60)"])
def test_what_does_not_end_is_ended(code):
    assert "did not finish in 0.4 s" in runs(timeout=0.4)(code)


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_memory_and_files_have_limits():
    assert "MemoryError" in runs(memory=2**27)("x = bytearray(2**28)")
    assert "the code fails" in runs()("with open('big', 'wb') as f:\n    for _ in range(100): f.write(bytes(2**20))")


@pytest.mark.skipif(sys.platform == "win32", reason="audit hooks are set beside the limits")
def test_there_is_no_network():
    assert "there is no network here" in runs()("import socket; socket.create_connection(('127.0.0.1', 9))")


CAN_LEAVE = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x50000000) != 0)"


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
def test_what_it_starts_has_no_network_either():
    """An audit hook holds for one interpreter; the namespace holds for its children too."""
    if subprocess.run([sys.executable, "-c", CAN_LEAVE]).returncode:
        pytest.skip("this machine lets nobody leave the network")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        child = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        said = runs()(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {child!r}], check=True)")
    assert "the code fails" in said
    assert "unreachable" in said or "CalledProcessError" in said


def test_it_gets_no_keys_and_leaves_no_files(monkeypatch, tmp_path):
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    monkeypatch.chdir(tmp_path)
    assert runs()("import os; assert 'ANTHROPIC_API_KEY' not in os.environ; open('x', 'w').close()") is None
    assert os.listdir(tmp_path) == []


def test_settings_that_cannot_be_are_refused_before_anything_runs():
    for options in ({"timeout": 0}, {"memory": 1}, {"asserts": "assert ("}, {"prints": "x" * 10_000}):
        with pytest.raises(ConfigError, match="runs"):
            runs(**options)
