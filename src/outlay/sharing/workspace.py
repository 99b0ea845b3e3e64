"""Workspace: artifacts as files of a folder, and what was changed there back as new versions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from outlay.errors import ConfigError, Conflict
from outlay.sharing import names
from outlay.sharing.actor import Actor
from outlay.sharing.contents import MAX_CONTENT, digest_of, type_of_file
from outlay.sharing.folder import Folder, Unfit
from outlay.values.shared import Artifact, Collected

if TYPE_CHECKING:  # a folder is a view of its artifacts
    from outlay.sharing.artifacts import Artifacts

#: What tools leave behind, and nobody means to hand on.
IGNORED = (".git", ".venv", "__pycache__", "node_modules", ".DS_Store")


class Workspace:
    """`protocols.shared.Workspace` over a folder."""

    def __init__(self, artifacts: Artifacts, actor: Actor, path: str | Path, ignore: Sequence[str]) -> None:
        self._artifacts = artifacts
        self._actor = actor
        self._path = Path(path)
        self._folder = Folder(self._path)
        self._ignored = frozenset(ignore)
        #: The version that each file was written or collected as.
        self._base: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Workspace({str(self._path)!r})"

    async def fill(self, prefix: str = "") -> list[Artifact]:
        found = await self._artifacts.list(prefix)
        for artifact in found:
            await self._write(artifact)
            self._base[artifact.name] = artifact.version
        return found

    async def _write(self, artifact: Artifact) -> None:
        name, data = artifact.name, await self._artifacts.content(artifact)
        try:
            there = await self._actor.in_thread(lambda: self._folder.read(name, MAX_CONTENT))
            if there == data:
                return
            if there is not None and not await self._is_known(name, there):
                raise Conflict(
                    f"{name} in {self._path} was changed, and not collected",
                    mine=artifact,
                    theirs=there,
                    path=self._actor.path,
                    hint="collect() first, or remove the file",
                )
            await self._actor.in_thread(lambda: self._folder.write(name, data))
        except (Unfit, OSError) as error:
            why = error.strerror if isinstance(error, OSError) else str(error)
            raise ConfigError(
                f"{name} cannot be written to {self._path}: {why}",
                path=self._actor.path,
                hint="remove what stands there, or use a folder of its own",
            ) from error

    async def _is_known(self, name: str, data: bytes) -> bool:
        return any(digest_of(data, known.type) == known.digest for known in await self._artifacts.versions(name))

    async def collect(self, *, source: str = "") -> Collected:
        async def work(_: str) -> Any:
            found = await self._actor.in_thread(lambda: list(self._folder.files(self._ignored, MAX_CONTENT)))
            done: list[Any] = []
            refused: list[tuple[str, str]] = []
            for name, content in found:
                try:
                    changed = await self._collected(name, content, source)
                except (Unfit, ConfigError) as error:
                    refused.append((name, getattr(error, "message", "") or str(error)))
                else:
                    done += [] if changed is None else [changed]
            return {"artifacts": done, "refused": refused}

        arguments = {
            "artifacts": self._artifacts.space,
            "folder": str(self._path),
            "source": source,
            "base": self._base,
        }
        found = await self._actor.effect("workspace.collect", arguments, work)
        artifacts = tuple(map(self._artifacts.met, found["artifacts"]))
        self._base.update({artifact.name: artifact.version for artifact in artifacts})
        return Collected(artifacts, tuple((name, why) for name, why in found["refused"]))

    async def _collected(self, name: str, content: bytes | str, source: str) -> dict[str, Any] | None:
        """What was put for a file, None where it is as it was."""
        if isinstance(content, str):
            raise Unfit(content)
        versions = await self._artifacts.versions(names.artifact(name))
        base = self._base.get(name, 0)
        type = versions[-1].type if versions else type_of_file(name, content)
        mine = self._artifacts.known(name, content, type, base + 1, source)
        if base and versions[base - 1].digest == mine.digest:
            return None
        if len(versions) > base and versions[base].digest != mine.digest:
            raise Unfit(f"it has version {len(versions)} by now: fill the folder, and change it there")
        put = await self._artifacts.keep(mine, content)  # what is there already stays
        if put["value"]["digest"] != mine.digest:
            raise Unfit(f"somebody else put version {mine.version} at the same time")
        return put
