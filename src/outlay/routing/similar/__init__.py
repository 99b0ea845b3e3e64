"""Answers given again to questions that are nearly the same: how near is near enough, and what must be equal."""

from outlay.routing.similar.answers import SimilarAnswers
from outlay.routing.similar.calibrating import HeldOut, calibrate_similar, measure_similar
from outlay.routing.similar.embedding import Embedder, local_embedder
from outlay.routing.similar.facts import differ

__all__ = [
    "Embedder",
    "HeldOut",
    "SimilarAnswers",
    "calibrate_similar",
    "differ",
    "local_embedder",
    "measure_similar",
]
