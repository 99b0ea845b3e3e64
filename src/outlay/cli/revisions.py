"""Revisions of a git repository as folders: checked out beside the repository, which is left as it is."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from outlay.cli.problems import ERROR, Problem

#: Seconds that git may take; a check-out of a large repository takes some.
_PATIENCE = 300
#: Git sets them for its hooks; here they would mean another repository than the folder's.
_OTHER_PLACES = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")


@dataclass(frozen=True, slots=True)
class Tree:
    """One revision. `folder` is the place in it that the working directory is in the repository, and `origin` the
    repository that it is a copy of; None for a folder that is taken as it is."""

    label: str
    root: Path
    folder: Path
    origin: Path | None = None


@dataclass(frozen=True, slots=True)
class Repository:
    """The repository around a folder: its top, its git directory, and the folder as seen from the top."""

    top: Path
    git: Path
    inside: str

    @staticmethod
    def around(folder: Path) -> Repository:
        """Raises Problem where there is none, or no git."""
        answer = _git(folder, "rev-parse", "--show-toplevel", "--absolute-git-dir", "--show-prefix")
        if answer.returncode:
            raise Problem(
                f"{folder} is not in a git repository, so there are no revisions to compare",
                next="run it in a clone, or name two flows: outlay diff old.py:flow new.py:flow",
            )
        top, git, inside = [*answer.stdout.splitlines(), "", "", ""][:3]
        if not top:
            raise Problem("the repository has no working tree", next="run it in a clone of it")
        return Repository(Path(top), Path(git), inside)

    def commit(self, revision: str) -> str:
        """The commit that a revision means. Raises Problem."""
        found = None
        # A name that begins with a dash would be an option.
        if not revision.startswith("-") and revision.strip():
            found = _git(self.top, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        if found is None or found.returncode:
            raise Problem(f"there is no revision {revision!r} in {self.top}", next=self._ways_to(revision))
        return found.stdout.strip()

    def merge_base(self, base: str, head: str) -> str:
        """Where `head` branched off `base`, both commits. Raises Problem."""
        found = _git(self.top, "merge-base", base, head)
        if found.returncode:
            raise Problem(
                "the two revisions have no common history", next="leave --merge-base out, or fetch more of it"
            )
        return found.stdout.strip()

    def check_out(self, label: str, commit: str, scratch: Path) -> Tree:
        """The files of a commit in a folder of `scratch`. Nothing in the repository changes, no hook runs."""
        root = scratch / "tree"
        root.mkdir(parents=True)
        # An index of its own, not the repository's; and no `git archive`, which leaves out what is export-ignore.
        index = {"GIT_INDEX_FILE": str(scratch / "index")}
        for command in (("read-tree", commit), ("checkout-index", "--all", "--force")):
            done = _git(self.top, f"--git-dir={self.git}", f"--work-tree={root}", *command, **index)
            if done.returncode:
                raise Problem(
                    f"git cannot check out {label}: {_last(done.stderr)}",
                    next="see that there is room in the temporary folder, and that git can read the commit",
                    code=ERROR,
                )
        return Tree(label, root, root / self.inside, self.top)

    def _ways_to(self, revision: str) -> str:
        shallow = _git(self.top, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"
        if shallow:
            return "this clone is shallow: git fetch --unshallow (in GitHub Actions: fetch-depth: 0)"
        return f"git fetch origin {revision}" if revision.replace("/", "").isalnum() else "git log shows what there is"


def is_folder(text: str) -> bool:
    """`.`, `..` or a path: a branch may have the name of a folder, so a bare name is a revision."""
    return (text in (".", "..") or "/" in text or os.sep in text) and Path(text).is_dir()


def as_it_is(text: str) -> Tree:
    """A folder of the working tree, with what is not committed."""
    folder = Path(text).resolve()
    return Tree(text, folder, folder)


def _git(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if name not in _OTHER_PLACES}
    try:
        return subprocess.run(  # noqa: S603 - a list, never a shell
            ["git", *arguments],  # noqa: S607 - the git that the user has
            cwd=folder,
            env={**kept, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
        )
    except FileNotFoundError:
        raise Problem("git is not installed", next="install git, or name two flows instead of revisions") from None
    except subprocess.TimeoutExpired:
        raise Problem(f"git {arguments[0]} took longer than {_PATIENCE} s", next="try it again", code=ERROR) from None


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it gives no reason"])[-1]
