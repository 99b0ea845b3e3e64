"""A folder that somebody else may write to at the same time: read and written without following a link out of it.

Every step opens one name below a folder that is open already, and never a link. A path is not looked at first and
opened afterwards: whatever is swapped in between is met by the opening itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Container, Generator, Iterator
from pathlib import Path

from outlay.errors import ConfigError

_FOLDER = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
#: Not blocking: a pipe put there would keep the reader waiting for ever.
_READ = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
_MAX_DEPTH = 64


class Unfit(Exception):
    """What is there is no plain file of this folder; the text says what it is."""


class Folder:
    """The files below `root` (made where there is none). `root` itself is trusted, what is below it is not."""

    def __init__(self, root: Path) -> None:
        if os.open not in os.supports_dir_fd or not hasattr(os, "O_NOFOLLOW"):
            raise ConfigError(
                "a workspace folder needs a system that can open files without following links",
                hint="read and write the artifacts themselves: ctx.state.artifacts",
            )
        self._root = root

    def read(self, name: str, limit: int) -> bytes | None:
        """The file's content, None where there is no such file. Raises Unfit."""
        try:
            with self._parent(name, make=False) as (folder, last):
                return _content(folder, last, limit)
        except FileNotFoundError:
            return None

    def write(self, name: str, data: bytes) -> None:
        """Replace the file, or make it: whole or not at all. Raises Unfit where no folder can be."""
        with self._parent(name, make=True) as (folder, last):
            # Named anew and not opened: a link of that name is replaced, not followed.
            temporary = f".{last[:100]}.{secrets.token_hex(4)}"
            file = os.open(temporary, _NEW, 0o644, dir_fd=folder)
            try:
                with os.fdopen(file, "wb") as opened:
                    opened.write(data)
                os.replace(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)
            except BaseException as error:
                with contextlib.suppress(OSError):
                    os.unlink(temporary, dir_fd=folder)
                if isinstance(error, IsADirectoryError):
                    raise Unfit("it is a folder") from None
                raise

    def files(self, ignored: Container[str], limit: int) -> Iterator[tuple[str, bytes | str]]:
        """Every file, by name, with its content; for what is no plain file, the reason as text instead."""
        with _opened(self._open_root()) as root:
            yield from _files(root, "", ignored, limit, 0)

    def _open_root(self) -> int:
        self._root.mkdir(parents=True, exist_ok=True)
        return os.open(self._root, _FOLDER & ~os.O_NOFOLLOW)

    @contextlib.contextmanager
    def _parent(self, name: str, *, make: bool) -> Generator[tuple[int, str]]:
        """The open folder that holds `name`, and the last part of it."""
        *parts, last = name.split("/")
        with contextlib.ExitStack() as held:
            folder = held.enter_context(_opened(self._open_root()))
            for part in parts:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=folder)
                folder = held.enter_context(_opened(_open(part, _FOLDER, folder)))
            yield folder, last


@contextlib.contextmanager
def _opened(file: int) -> Generator[int]:
    try:
        yield file
    finally:
        os.close(file)


def _open(name: str, flags: int, folder: int) -> int:
    try:
        return os.open(name, flags, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK, errno.ENOTDIR):
            kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            raise Unfit("it is a symbolic link" if stat.S_ISLNK(kind) else "a file is where a folder must be") from None
        if error.errno in (errno.ENXIO, errno.EOPNOTSUPP):
            raise Unfit("it is no plain file") from None
        raise


def _content(folder: int, name: str, limit: int) -> bytes:
    with _opened(_open(name, _READ, folder)) as file:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise Unfit("it is a folder" if stat.S_ISDIR(found.st_mode) else "it is no plain file")
        if found.st_nlink > 1:
            raise Unfit("it is a hard link: the same file may stand outside the folder")
        with open(file, "rb", closefd=False) as opened:
            data = opened.read(limit + 1)
    if len(data) > limit:
        raise Unfit(f"it has more than {limit:,} bytes")
    return data


def _files(
    folder: int, above: str, ignored: Container[str], limit: int, depth: int
) -> Iterator[tuple[str, bytes | str]]:
    with os.scandir(folder) as listed:
        found = sorted((entry.name, entry.is_dir(follow_symlinks=False)) for entry in listed)
    for name, is_folder in found:
        if name in ignored:
            continue
        try:
            if not is_folder:
                yield above + name, _content(folder, name, limit)
            elif depth >= _MAX_DEPTH:
                raise Unfit(f"it stands deeper than {_MAX_DEPTH} folders")
            else:
                with _opened(_open(name, _FOLDER, folder)) as inner:
                    yield from _files(inner, f"{above}{name}/", ignored, limit, depth + 1)
        except FileNotFoundError:
            continue  # removed meanwhile
        except Unfit as unfit:
            yield above + name, str(unfit)
        except OSError as error:
            yield above + name, f"it cannot be read: {error.strerror}"
