"""SimilarAnswers: how near a question must be to be given another one's answer, calibrated, in one JSON file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from outlay.errors import ConfigError
from outlay.routing.calibration import Calibration
from outlay.routing.learned_file import LearnedFile
from outlay.routing.similar.embedding import Embedder, local_embedder
from outlay.routing.similar.index import Guard, Index

FILE = LearnedFile(
    "outlay.similar/1", "calibration of similar answers", "make one: outlay cache calibrate TABLE --out FILE"
)


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
            "embedder": self.embedder.id,
            "margin": self.margin,
            "most": self.most,
            "calibration": self.calibration.as_dict(),
            "asked": sorted(self.asked),
        }
        FILE.write(path, document)

    @classmethod
    def load(
        cls, path: str | Path, *, guards: Sequence[Guard] = (), embedder: Embedder | None = None
    ) -> SimilarAnswers:
        """Read one; `embedder` where it was calibrated with your own. Raises ConfigError for a file that is none, or
        that was calibrated with another embedding model than the installed one."""
        path = Path(path)
        found, _ = FILE.read(path)
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
            raise FILE.damaged(path, error) from None
        return similar.guarded(*guards)
