"""The checkers that call other people's tools say how to install them."""

from __future__ import annotations

import importlib.util

from outlay.errors import ConfigError


def needs(module: str, checker: str) -> None:
    """Raises ConfigError with the install command where `module` is missing."""
    if importlib.util.find_spec(module) is None:
        raise ConfigError(
            f"outlay.checkers.{checker} needs {module}, which is not installed",
            hint="pip install 'outlay[checkers]'" if module != "pytest" else "pip install pytest",
        )
