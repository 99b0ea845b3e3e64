"""The output fits a JSON schema."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticSerializationError, to_jsonable_python

from outlay.checkers.checker import Checker, code_of, named, shown, too_long
from outlay.checkers.extras import needs
from outlay.errors import ConfigError


def json_schema(schema: Mapping[str, Any]) -> Checker:
    """Passes an output that fits `schema` (draft 2020-12 unless it says another). Needs the extra `checkers`.

    A string is read as JSON, out of its code fence if it has one; other values as the JSON they encode to. A `$ref`
    to another document is not fetched.
    """
    needs("jsonschema", "json_schema")
    library: Any = importlib.import_module("jsonschema")  # it has no types
    referencing: Any = importlib.import_module("referencing")
    kind: Any = library.validators.validator_for(schema, default=library.Draft202012Validator)
    try:
        kind.check_schema(schema)
    except library.SchemaError as error:
        raise ConfigError(f"json_schema: the schema is not valid: {shown(str(error.message), 200)}") from error
    validator: Any = kind(schema, registry=referencing.Registry())

    def check(output: Any) -> str | None:
        value, problem = _json(output)
        if problem is not None:
            return problem
        try:
            error: Any = library.exceptions.best_match(validator.iter_errors(value))
        except RecursionError:
            return "the JSON is nested too deeply to be checked"
        except referencing.exceptions.Unresolvable as error:
            raise ConfigError(
                f"json_schema: the schema refers to what it does not hold: {shown(str(error), 200)}",
                hint="put it under $defs; nothing is fetched",
            ) from error
        return None if error is None else f"at {error.json_path}: {shown(error.message, 200)}"

    return named("json_schema", check)


def _json(output: Any) -> tuple[Any, str | None]:
    """The value, and what is wrong if there is none."""
    if not isinstance(output, str):
        try:
            return to_jsonable_python(output), None
        except PydanticSerializationError as error:
            return None, f"the output cannot be written as JSON: {shown(str(error))}"
    text = code_of(output)
    if (problem := too_long(text)) is not None:
        return None, problem
    try:
        return json.loads(text), None
    except RecursionError:
        return None, "the JSON is nested too deeply to be read"
    except ValueError as error:
        return None, f"not JSON ({error}): answer with the JSON alone"
