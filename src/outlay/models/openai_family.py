"""What each family of OpenAI models can do: which efforts it takes, whether it thinks, what a picture costs at most.

Efforts and sampling follow the reasoning guide (developers.openai.com/api/docs/guides/reasoning) and the matrices
that users measured against the live API; pictures follow the images-and-vision guide. A name that is not in the
table may do everything: the provider refuses what it lacks, and a refused request costs nothing.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal

from outlay.errors import ConfigError
from outlay.values.settings import ModelSettings

Thinks = Literal["never", "on request", "by default", "unknown"]

_LHM = ("low", "medium", "high")
_ALL = ("none", "minimal", *_LHM, "xhigh", "max")


@dataclass(frozen=True, slots=True)
class Picture:
    """What a picture costs: at most `most` tokens, and `per_patch` tokens a patch of 32 pixels where it is cut so."""

    most: int
    per_patch: float = 0.0

    def tokens(self, size: tuple[int, int] | None) -> int:
        """An upper bound for a picture of this width and height in pixels; None where they are not known."""
        if size is None or not self.per_patch:
            return self.most
        patches = math.ceil(size[0] / 32) * math.ceil(size[1] / 32)
        return min(self.most, math.ceil(patches * self.per_patch))


def _tiles(base: int, tile: int) -> Picture:
    """In tiles of 512 pixels: the dearest is fitted into 2048 x 768, which is 4 x 2 of them."""
    return Picture(base + 8 * tile)


def _patches(budget: int, per_patch: float) -> Picture:
    """In patches: a picture of more than `budget` is made smaller until it has so many."""
    return Picture(math.ceil(budget * per_patch), per_patch)


#: The dearest of all; for models that the table does not price.
_LARGE: Final = _patches(10_000, 2.46)


@dataclass(frozen=True, slots=True)
class Family:
    """`efforts` in ascending order, empty where the model does not reason; `picture` is what a picture costs."""

    thinks: Thinks
    efforts: tuple[str, ...] = ()
    picture: Picture = _LARGE

    @property
    def reasons(self) -> bool:
        """Whether it is known to keep reasoning items that must be sent back."""
        return self.thinks in ("on request", "by default")


#: The first prefix that fits wins, so the narrower name stands before the broader one.
_FAMILIES: tuple[tuple[str, Family], ...] = (
    ("gpt-6-astra", Family("by default", (*_LHM, "xhigh", "max"))),
    ("gpt-6", Family("by default", ("none", *_LHM, "xhigh", "max"))),
    ("gpt-5.6", Family("by default", ("none", *_LHM, "xhigh", "max"))),
    ("gpt-5.5-pro", Family("by default", ("medium", "high", "xhigh"))),
    ("gpt-5.5", Family("by default", ("none", *_LHM, "xhigh"))),
    ("gpt-5.4-pro", Family("by default", ("medium", "high", "xhigh"))),
    ("gpt-5.4", Family("on request", ("none", *_LHM, "xhigh"))),
    ("gpt-5.3-chat", Family("by default", ("medium",), _patches(2500, 2.46))),
    ("gpt-5.3", Family("on request", ("none", *_LHM, "xhigh"), _patches(2500, 2.46))),
    ("gpt-5.2-pro", Family("by default", ("medium", "high", "xhigh"), _patches(2500, 2.46))),
    ("gpt-5.2-chat", Family("by default", ("medium",), _patches(2500, 2.46))),
    ("gpt-5.2", Family("on request", ("none", *_LHM, "xhigh"), _patches(2500, 2.46))),
    ("gpt-5.1-codex-max", Family("by default", (*_LHM, "xhigh"), _patches(2500, 2.46))),
    ("gpt-5.1-codex", Family("by default", _LHM, _patches(2500, 2.46))),
    ("gpt-5.1-chat", Family("by default", ("medium",), _patches(2500, 2.46))),
    ("gpt-5.1", Family("on request", ("none", *_LHM), _patches(2500, 2.46))),
    ("gpt-5-chat", Family("never", (), _tiles(70, 140))),
    ("gpt-5-search", Family("never", (), _tiles(70, 140))),
    ("gpt-5-pro", Family("by default", ("high",), _tiles(70, 140))),
    ("gpt-5-codex", Family("by default", _LHM, _tiles(70, 140))),
    ("gpt-5-mini", Family("by default", ("minimal", *_LHM), _patches(1536, 1.62))),
    ("gpt-5-nano", Family("by default", ("minimal", *_LHM), _patches(1536, 2.46))),
    ("gpt-5", Family("by default", ("minimal", *_LHM), _tiles(70, 140))),
    ("gpt-4.1-mini", Family("never", (), _patches(1536, 1.62))),
    ("gpt-4.1-nano", Family("never", (), _patches(1536, 2.46))),
    ("gpt-4o-mini", Family("never", (), _tiles(2833, 5667))),
    ("gpt-4", Family("never", (), _tiles(85, 170))),
    ("chatgpt-4o", Family("never", (), _tiles(85, 170))),
    ("gpt-3.5", Family("never")),
    ("codex-mini", Family("by default", _LHM, _patches(1536, 1.72))),
    ("o4-mini", Family("by default", _LHM, _patches(1536, 1.72))),
    ("o1", Family("by default", _LHM, _tiles(75, 150))),
    ("o3", Family("by default", _LHM, _tiles(75, 150))),
)
_UNKNOWN = Family("unknown", _ALL)


@lru_cache(maxsize=1024)
def family(name: str) -> Family:
    """The family of a model's name; a fine-tune (`ft:gpt-4.1:…`) and a gateway's name (`openai/gpt-5`) count too."""
    base = re.sub(r"^(ft:|.*/)", "", name)
    return next((found for prefix, found in _FAMILIES if base.startswith(prefix)), _UNKNOWN)


def effort_of(settings: ModelSettings, model: str, found: Family) -> str | None:
    """The effort to send, out of `effort` and `thinking`. Raises ConfigError for what the model lacks."""
    effort = settings.effort
    thinking = settings.thinking
    if isinstance(thinking, int):
        raise ConfigError(
            f"{model} takes no thinking budget in tokens (thinking={thinking})",
            hint="use effort= instead; max_output_tokens includes the thinking",
        )
    if thinking == "off":
        if effort not in (None, "none"):
            raise ConfigError(f'{model}: thinking="off" and effort="{effort}" contradict each other', hint="drop one")
        if found.thinks == "never":
            return None
        effort = "none"
    elif thinking == "adaptive":
        if found.thinks == "never":
            raise ConfigError(f"{model} does not think", hint="drop thinking=, or take a reasoning model")
        if effort == "none":
            raise ConfigError(f'{model}: thinking="adaptive" and effort="none" contradict each other', hint="drop one")
        if effort is None and found.thinks == "on request":
            effort = "medium"
    if effort is not None and effort not in found.efforts:
        if not found.efforts:
            raise ConfigError(f"{model} has no effort setting", hint="drop effort=, or take a reasoning model")
        said = 'cannot switch its thinking off (effort="none")' if effort == "none" else f'has no effort "{effort}"'
        raise ConfigError(f"{model} {said}", hint=f"it takes {', '.join(found.efforts)}")
    return effort


def check_sampling(settings: ModelSettings, model: str, found: Family) -> None:
    """Raises ConfigError where temperature or top_p is set and the model, at this effort, takes neither."""
    given = [name for name in ("temperature", "top_p") if getattr(settings, name) is not None]
    if not given or samples(settings, model, found):
        return
    ways = ' or set effort="none"' if "none" in found.efforts else ""
    raise ConfigError(f"{model} takes no {' or '.join(given)} while it reasons", hint=f"drop it{ways}")


def samples(settings: ModelSettings, model: str, found: Family) -> bool:
    """Whether it takes sampling settings and gives log-probabilities, which it does not while it reasons."""
    if found.thinks in ("never", "unknown"):
        return True
    return (effort_of(settings, model, found) or ("none" if found.thinks == "on request" else None)) == "none"


def check_sampled(settings: ModelSettings, model: str, found: Family) -> None:
    """Raises ConfigError where the model, at this effort, gives no log-probabilities."""
    if not samples(settings, model, found):
        ways = 'set effort="none", or ' if "none" in found.efforts else ""
        raise ConfigError(
            f"{model} gives no log-probabilities while it reasons, and a gate of its cascade goes by them",
            hint=f"{ways}use another model at that tier, or another gate",
        )
