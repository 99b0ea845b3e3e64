"""Texts as vectors, on this machine: static word embeddings from a wheel (`pip install 'outlay[similar]'`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from outlay.errors import ConfigError

#: Of each text this much is read, in characters: what stands behind it changes a mean of words very little.
_LONGEST = 8_000
_INSTALL = "pip install 'outlay[similar]'"


@dataclass(frozen=True, slots=True)
class Embedder:
    """`embed` gives a vector of length 1 for each text, as rows; `id` names the model down to its weights, because a
    threshold means nothing under another one."""

    id: str
    embed: Callable[[Sequence[str]], Any]


@lru_cache(maxsize=1)
def local_embedder() -> Embedder:
    """WordLlama's 256 dimensions, from its wheel: nothing is downloaded, 0.3 s to load, 0.1 ms a text.

    Raises ConfigError where the extra is not installed.
    """
    try:
        import wordllama  # pyright: ignore[reportMissingTypeStubs]  # it has none
    except ImportError:
        raise ConfigError("finding similar questions needs wordllama, which is not installed", hint=_INSTALL) from None
    package: Any = wordllama
    folder = Path(package.__file__).parent
    model: Any = package.WordLlama.load(cache_dir=folder, disable_download=True)
    weights = sorted((folder / "weights").glob("*.safetensors"))
    digest = blake2b(b"".join(file.read_bytes() for file in weights), digest_size=6).hexdigest()

    def embed(texts: Sequence[str]) -> Any:
        return model.embed([text[:_LONGEST].encode(errors="replace").decode() for text in texts], norm=True)

    return Embedder(f"wordllama:256:{digest}", embed)
