"""The file of something learned: one JSON document that says what it is and of which version."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

from outlay.errors import ConfigError


@dataclass(frozen=True, slots=True)
class LearnedFile:
    """Files of one kind: `schema` names it and its version, `what` it is in words, `hint` how to make one."""

    schema: str
    what: str
    hint: str

    def write(self, path: Path, document: Mapping[str, Any]) -> None:
        """All of the new file or none of it."""
        partial = path.with_name(path.name + ".part")
        partial.write_text(json.dumps({"schema": self.schema, **document}, allow_nan=False), encoding="utf-8")
        os.replace(partial, path)

    def read(self, path: Path) -> tuple[dict[str, Any], str]:
        """The document, and a digest of the whole file. Raises ConfigError for a file of another kind or version."""
        try:
            content = path.read_bytes()
            read: Any = json.loads(content)
        except OSError as error:
            raise ConfigError(
                f"cannot read {path.name}: {(error.strerror or str(error)).lower()}", hint=self.hint
            ) from None
        except (ValueError, RecursionError):
            raise ConfigError(f"{path.name} is not JSON", hint=self.hint) from None
        found = cast("dict[str, Any]", read) if isinstance(read, dict) else {}
        if found.get("schema") != self.schema:
            raise ConfigError(
                f"{path.name} is no {self.what} of this version (schema {found.get('schema')!r}, not {self.schema!r})",
                hint=self.hint,
            )
        return found, blake2b(content, digest_size=6).hexdigest()

    def damaged(self, path: Path, error: Exception) -> ConfigError:
        """Why a document of the right kind cannot be used."""
        return ConfigError(f"{path.name} is damaged: {error!r}", hint=self.hint)
