"""The workspace folder: artifacts as files and back, beside somebody who may put links there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from outlay.errors import ConfigError, Conflict
from outlay.protocols.store import Store
from outlay.sharing import State
from outlay.sharing.artifacts import Artifacts
from outlay.sharing.folder import Folder, Unfit

pytestmark = pytest.mark.skipif(os.open not in os.supports_dir_fd, reason="workspace folders need openat")


@pytest.fixture
def artifacts(store: Store) -> Artifacts:
    return State(store, "team").artifacts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The workspace's folder; it need not be there."""
    return tmp_path / "work" / "space"


@pytest.fixture
def made(root: Path) -> Path:
    root.mkdir(parents=True)
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder beside the workspace, with a secret in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("secret")
    return folder


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


async def test_artifacts_become_files_and_changed_files_new_versions(artifacts: Artifacts, root: Path):
    await artifacts.put("docs/plan.md", "plan", type="text/markdown")
    await artifacts.put("code.py", "x = 1")
    workspace = artifacts.folder(root)
    assert [artifact.name for artifact in await workspace.fill()] == ["code.py", "docs/plan.md"]
    assert files(root) == {"docs/plan.md": "plan", "code.py": "x = 1"}

    (root / "code.py").write_text("x = 2")
    (root / "docs" / "notes.md").write_text("new")
    (root / "raw").write_bytes(b"\xff")
    done = await workspace.collect(source="docs/plan.md")
    assert done.refused == ()
    assert [(a.name, a.version, a.type, a.source) for a in done.artifacts] == [
        ("code.py", 2, "text/plain", "docs/plan.md"),
        ("docs/notes.md", 1, "text/markdown", "docs/plan.md"),
        ("raw", 1, "application/octet-stream", "docs/plan.md"),
    ]
    assert await artifacts.text("code.py") == "x = 2"
    assert (await workspace.collect()).artifacts == ()


async def test_a_folder_shows_what_it_asks_for_summary(artifacts: Artifacts, root: Path):
    for name in ("docs/a", "docs/b", "other"):
        await artifacts.put(name, name)
    await artifacts.folder(root).fill("docs/")
    assert files(root) == {"docs/a": "docs/a", "docs/b": "docs/b"}


async def test_a_folder_goes_on_with_its_artifacts(artifacts: Artifacts, root: Path):
    """Newer versions replace files that nobody changed, also for somebody who opens the folder anew."""
    await artifacts.put("plan", "one")
    await artifacts.folder(root).fill()
    await artifacts.put("plan", "two", version=2)
    await artifacts.folder(root).fill()
    assert files(root) == {"plan": "two"}


async def test_a_changed_file_is_not_written_over(artifacts: Artifacts, root: Path):
    await artifacts.put("plan", "one")
    workspace = artifacts.folder(root)
    await workspace.fill()
    (root / "plan").write_text("mine")
    await artifacts.put("plan", "two", version=2)
    with pytest.raises(Conflict, match="not collected") as caught:
        await workspace.fill()
    assert caught.value.theirs == b"mine"
    assert files(root) == {"plan": "mine"}


async def test_a_change_of_what_has_gone_on_is_refused(artifacts: Artifacts, tmp_path: Path):
    """Two folders of one artifact: the second to collect is told, and loses nobody's change."""
    await artifacts.put("plan", "one")
    first, second = artifacts.folder(tmp_path / "1"), artifacts.folder(tmp_path / "2")
    await first.fill()
    await second.fill()
    (tmp_path / "1" / "plan").write_text("first")
    (tmp_path / "2" / "plan").write_text("second")
    assert [a.version for a in (await first.collect()).artifacts] == [2]
    done = await second.collect()
    assert done.artifacts == ()
    assert done.refused == (("plan", "it has version 2 by now: fill the folder, and change it there"),)
    assert await artifacts.text("plan") == "first"


async def test_what_tools_leave_behind_is_not_collected(artifacts: Artifacts, root: Path):
    for name in (".git/config", "__pycache__/x.pyc", "src/__pycache__/y.pyc", "src/y.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    assert [a.name for a in (await artifacts.folder(root).collect()).artifacts] == ["src/y.py"]
    everything = await artifacts.folder(root, ignore=["src"]).collect()
    assert [a.name for a in everything.artifacts] == [".git/config", "__pycache__/x.pyc"]


async def test_links_pipes_and_bad_names_are_refused_and_named(artifacts: Artifacts, made: Path, outside: Path):
    """Nothing outside the folder is read, whatever stands in it, and the good files come through."""
    root = made
    (root / "good").write_text("good")
    (root / "link").symlink_to(outside / "secret")
    (root / "folder").symlink_to(outside)
    (root / "dangling").symlink_to("nowhere")
    os.link(outside / "secret", root / "hard")
    os.mkfifo(root / "pipe")
    (root / "back\\slash").write_text("x")
    (root / "con.txt").write_text("x")
    done = await artifacts.folder(root).collect()
    assert [a.name for a in done.artifacts] == ["good"]
    assert {name: why.split(":")[0] for name, why in done.refused} == {
        "back\\slash": "the artifact name 'back\\\\slash' is not allowed",
        "con.txt": "the artifact name 'con.txt' is not allowed",
        "dangling": "it is a symbolic link",
        "folder": "it is a symbolic link",
        "hard": "it is a hard link",
        "link": "it is a symbolic link",
        "pipe": "it is no plain file",
    }


async def test_a_link_in_the_way_is_not_written_through(artifacts: Artifacts, made: Path, outside: Path):
    """As the file itself, or as a folder above it."""
    root = made
    await artifacts.put("docs/secret", "mine")
    (root / "docs").symlink_to(outside)
    with pytest.raises(ConfigError, match="symbolic link"):
        await artifacts.folder(root).fill()
    (root / "docs").unlink()
    (root / "docs").mkdir()
    (root / "docs" / "secret").symlink_to(outside / "secret")
    with pytest.raises(ConfigError, match="symbolic link"):
        await artifacts.folder(root).fill()
    assert files(outside) == {"secret": "secret"}


def test_a_link_that_is_put_there_in_between_is_replaced_not_followed(root: Path, outside: Path):
    """Between the look at a file and its writing: what is swapped in goes, what it points to stays."""
    root.mkdir(parents=True)
    folder = Folder(root)
    assert folder.read("a", 100) is None
    (root / "a").symlink_to(outside / "secret")
    folder.write("a", b"mine")
    assert (root / "a").read_text() == "mine"
    assert not (root / "a").is_symlink()
    assert files(outside) == {"secret": "secret"}


def test_a_folder_that_is_swapped_for_a_link_while_it_is_open(
    root: Path, outside: Path, monkeypatch: pytest.MonkeyPatch
):
    """The file is written to the folder that was opened, wherever its name points by now."""
    (root / "docs").mkdir(parents=True)
    replace = os.replace

    def swapped(*args: object, **options: object) -> None:
        (root / "docs").rename(root / "moved")
        (root / "docs").symlink_to(outside)
        replace(*args, **options)  # pyright: ignore[reportArgumentType, reportCallIssue]

    monkeypatch.setattr(os, "replace", swapped)
    Folder(root).write("docs/secret", b"mine")
    assert files(outside) == {"secret": "secret"}
    assert (root / "moved" / "secret").read_text() == "mine"


@pytest.mark.parametrize("name", ["a", "a/b/c"])
def test_a_file_where_a_folder_must_be_and_the_other_way_round(root: Path, name: str):
    folder = Folder(root)
    (root / "a" / "b").mkdir(parents=True)
    if name == "a":
        with pytest.raises(Unfit, match="it is a folder"):
            folder.write(name, b"x")
        with pytest.raises(Unfit, match="it is a folder"):
            folder.read(name, 10)
    else:
        (root / "a" / "b").rmdir()
        (root / "a" / "b").write_text("file")
        with pytest.raises(Unfit, match="a file is where a folder must be"):
            folder.write(name, b"x")
    assert [path.name for path in root.rglob(".*")] == []  # nothing half-written is left


def test_a_file_over_the_limit_is_not_read(root: Path):
    root.mkdir(parents=True)
    (root / "a").write_bytes(b"x" * 11)
    with pytest.raises(Unfit, match="more than 10 bytes"):
        Folder(root).read("a", 10)
    assert list(Folder(root).files((), 10)) == [("a", "it has more than 10 bytes")]


def test_no_file_stays_open(root: Path):
    root.mkdir(parents=True)
    folder = Folder(root)
    before = len(os.listdir("/dev/fd"))
    (root / "link").symlink_to("nowhere")
    os.mkfifo(root / "pipe")
    for n in range(10):
        folder.write(f"a/b/{n}", b"x")
        list(folder.files((), 100))
        for name in ("link", "pipe", "a"):
            with pytest.raises(Unfit):
                folder.read(name, 100)
    assert len(os.listdir("/dev/fd")) == before
