"""Artifacts: contents under a digest, and a document for each version of a name that says whose they are."""

from __future__ import annotations

import builtins
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from outlay.errors import ConfigError, Conflict
from outlay.protocols.documents import Change, Document
from outlay.protocols.store import Store
from outlay.sharing import names
from outlay.sharing.actor import Actor
from outlay.sharing.contents import as_bytes, digest_of
from outlay.sharing.labels import label_of
from outlay.sharing.packing import pack, plain, unpack
from outlay.sharing.workspace import IGNORED, Workspace
from outlay.values.shared import Artifact

ARTIFACTS = "shared.artifacts"
_MAX_TYPE = 200
#: The names in a path, without keys and the numbers of repeats.
_NAME = re.compile(r"(?:^|/)([^/\[#]*)")
_NAMES_SHOWN = 20


class Artifacts:
    """`protocols.shared.Artifacts` over a store."""

    __slots__ = ("_actor", "_store", "space")

    def __init__(self, store: Store, actor: Actor, space: str) -> None:
        self._store = store
        self._actor = actor
        self.space = space

    async def put(
        self,
        name: str,
        content: Any,
        *,
        type: str | None = None,
        version: int = 1,
        source: str = "",
        author: str = "",
    ) -> Artifact:
        data, own_type = as_bytes(names.artifact(name), content)
        type = own_type if type is None else _checked_type(type)
        _check_version(name, version)
        mine = self.known(name, data, type, version, source, author)

        async def work(_: str) -> Any:
            return await self.keep(mine, data)

        arguments = {"space": self.space, "name": name, "version": version, "digest": mine.digest, "source": source}
        theirs = self.met(await self._actor.effect("artifact.put", arguments, work))
        if theirs.digest == mine.digest:
            return theirs
        raise Conflict(
            f"the artifact {name!r} has another content as its version {version}",
            mine=mine,
            theirs=theirs,
            version=version,
            path=self._actor.path,
            hint=f"artifacts are written once: put it as version={version + 1}, or under another name",
        )

    def folder(self, path: str | Path, *, ignore: Sequence[str] = IGNORED) -> Workspace:
        return Workspace(self, self._actor, path, ignore)

    def known(self, name: str, data: bytes, type: str, version: int, source: str, author: str = "") -> Artifact:
        """What will be known of a content that this actor puts."""
        path, agent = self._actor.path, self._actor.agent
        if author:
            path, agent = author, _NAME.findall(author)[-1]
        return Artifact(name, version, digest_of(data, type), type, len(data), path, agent, self._actor.run, source)

    async def keep(self, mine: Artifact, data: bytes) -> dict[str, Any]:
        """Put it, as part of an effect: what is there afterwards. A repeat changes nothing, and needs no mark."""
        if mine.version > 1 and await self._store.read(ARTIFACTS, self._key(mine.name, mine.version - 1)) is None:
            raise ConfigError(
                f"the artifact {mine.name!r} has no version {mine.version - 1}",
                hint="versions follow one another from 1",
            )
        what = f"what is known of {mine.name!r}"
        body = pack(plain(asdict(mine), what), self._actor.label, what)
        self._store.keep([(bytes.fromhex(mine.digest), data)])  # the store writes in this order
        try:
            await self._store.commit([Change(ARTIFACTS, self._key(mine.name, mine.version), body, 0)])
        except Conflict as conflict:
            return unpack(conflict.theirs.body)
        return unpack(body)

    async def get(self, name: str, version: int | None = None) -> Artifact | None:
        key = self._key(names.artifact(name), version)

        async def work(_: str) -> Any:
            if version is not None:
                one = await self._store.read(ARTIFACTS, key)
                return None if one is None else unpack(one.body)
            return next((unpack(found.body) for found in reversed(await self._store.list(ARTIFACTS, key))), None)

        found = await self._actor.effect("artifact.get", {"key": key}, work)
        return None if found is None else self.met(found)

    async def read(self, name: str, version: int | None = None) -> bytes:
        artifact = await self.get(name, version)
        if artifact is None:
            raise await self._missing(name, version)
        return await self.content(artifact)

    async def content(self, artifact: Artifact) -> bytes:
        """The bytes behind an artifact. No effect of its own: what a digest stands for cannot change."""
        digest = bytes.fromhex(artifact.digest)
        data = (await self._store.blobs([digest])).get(digest)
        if data is None or digest_of(data, artifact.type) != artifact.digest:
            raise ConfigError(
                f"the content of the artifact {artifact.name!r} is {'missing' if data is None else 'damaged'}",
                path=self._actor.path,
                hint="restore the store from a copy, or put the content again under another name",
            )
        return data

    async def text(self, name: str, version: int | None = None) -> str:
        return (await self.read(name, version)).decode(errors="replace")

    async def list(self, prefix: str = "") -> builtins.list[Artifact]:
        start = f"{self.space}/{names.quoted(names.prefix(prefix))}"

        async def work(_: str) -> Any:
            newest: dict[str, Document] = {}
            for found in await self._store.list(ARTIFACTS, start):
                newest[found.key.rpartition("/")[0]] = found
            return [unpack(found.body) for found in newest.values()]

        listed = await self._actor.effect("artifact.list", {"prefix": start}, work)
        return sorted((self.met(found) for found in listed), key=lambda artifact: artifact.name)

    async def versions(self, name: str) -> builtins.list[Artifact]:
        """All of one name as they are now, the newest last. Part of an effect, or of what needs none."""
        found = await self._store.list(ARTIFACTS, self._key(name, None))
        return [Artifact(**unpack(one.body)["value"]) for one in found]

    async def _missing(self, name: str, version: int | None) -> ConfigError:
        known = [artifact.name for artifact in await self.list()]
        shown = ", ".join(known[:_NAMES_SHOWN]) + (" …" if len(known) > _NAMES_SHOWN else "")
        return ConfigError(
            f"there is no artifact {name!r}" + ("" if version is None else f" of version {version}"),
            path=self._actor.path,
            hint=f"the artifacts here are: {shown or 'none'}",
        )

    def met(self, found: dict[str, Any]) -> Artifact:
        """An artifact out of what an effect gave."""
        self._actor.met(label_of(found.get("label")))
        return Artifact(**found["value"])

    def _key(self, name: str, version: int | None) -> str:
        """Of one version, or the beginning that all versions of the name have."""
        return f"{self.space}/{names.quoted(name)}/" + ("" if version is None else f"{version:08d}")


def _checked_type(type: str) -> str:
    if type and type.isprintable() and len(type) <= _MAX_TYPE:
        return type
    raise ConfigError(
        f"type={ascii(type)[:80]} is no type", hint="a media type such as text/markdown, or a name of yours"
    )


def _check_version(name: str, version: Any) -> None:
    if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version < 10**8:
        raise ConfigError(f"the artifact {name!r}: version={version!r} is no version", hint="versions count from 1")
