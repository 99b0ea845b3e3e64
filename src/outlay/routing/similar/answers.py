"""SimilarAnswers: how near a question must be to be given another one's answer, calibrated, in one JSON file."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

from outlay.errors import ConfigError
from outlay.routing.calibration import Calibration
from outlay.routing.similar.embedding import Embedder, local_embedder
from outlay.routing.similar.index import Guard, Index

SCHEMA = "outlay.similar/1"
_MAKE = "make one: outlay cache calibrate TABLE --out FILE"


@dataclass(frozen=True, slots=True, eq=False)
class SimilarAnswers:
    """How near is near enough, as labelled questions have it.

        agent = Agent("clerk", model, cache_answers=3600, cache_similar=SimilarAnswers.load("similar.json"))

    `calibration` bounds how often an answer is given to a question that it is wrong for, while up to `most` questions
    are stored at one place: the more there are, the more often one is near, so beyond that the oldest are forgotten.
    `margin` is how much further off a question with another answer has to be. `guards` are functions
    `(asked, before) -> None | str` of your own: a text says why the answer to the one is none to the other. `asked` are
    marks of the questions that it was calibrated on.
    """

    calibration: Calibration
    embedder: Embedder
    margin: float
    most: int
    guards: tuple[Guard, ...] = ()
    asked: frozenset[str] = frozenset()

    def neighbours(self) -> Index:
        return Index(self.embedder, self.calibration.threshold, self.margin, self.guards, self.most)

    def guarded(self, *guards: Guard) -> SimilarAnswers:
        """The same with more guards. They take hits away and add none, so what was calibrated still holds."""
        for guard in guards:
            if not callable(guard):
                raise ConfigError(f"a guard is a function (asked, before) -> None | str, not {guard!r}")
        return replace(self, guards=(*self.guards, *guards))

    def save(self, path: Path) -> None:
        """Write it as JSON: all of the new file or none of it. No text of the table is in it."""
        document = {
            "schema": SCHEMA,
            "embedder": self.embedder.id,
            "margin": self.margin,
            "most": self.most,
            "calibration": self.calibration.as_dict(),
            "asked": sorted(self.asked),
        }
        partial = path.with_name(path.name + ".part")
        partial.write_text(json.dumps(document, allow_nan=False), encoding="utf-8")
        os.replace(partial, path)

    @classmethod
    def load(
        cls, path: str | Path, *, guards: Sequence[Guard] = (), embedder: Embedder | None = None
    ) -> SimilarAnswers:
        """Read one; `embedder` where it was calibrated with your own. Raises ConfigError for a file that is none, or
        that was calibrated with another embedding model than the installed one."""
        path = Path(path)
        try:
            read: Any = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"cannot read {path.name}: {(error.strerror or str(error)).lower()}", hint=_MAKE
            ) from None
        except (ValueError, RecursionError):
            raise ConfigError(f"{path.name} is not JSON", hint=_MAKE) from None
        found = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
        schema = found.get("schema")
        if schema != SCHEMA:
            raise ConfigError(
                f"{path.name} is no calibration of similar answers (schema {schema!r}, not {SCHEMA!r})", hint=_MAKE
            )
        embedder = embedder or local_embedder()
        if found.get("embedder") != embedder.id:
            raise ConfigError(
                f"{path.name} was calibrated with {found.get('embedder')!r}, this is {embedder.id!r}",
                hint="calibrate anew: a threshold means nothing under another embedding model",
            )
        try:
            calibration = Calibration(**found["calibration"])
            margin, most = float(found["margin"]), int(found["most"])
            if not (0 <= calibration.threshold <= 1 and 0 <= margin <= 1 and most > 0):
                raise ValueError("a threshold or margin outside 0 to 1")
            similar = cls(calibration, embedder, margin, most, asked=frozenset(map(str, found["asked"])))
        except (LookupError, TypeError, ValueError) as error:
            raise ConfigError(f"{path.name} is damaged: {error!r}", hint=_MAKE) from None
        return similar.guarded(*guards)
