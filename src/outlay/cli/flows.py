"""From what people write for FLOW (`triage.py:triage`, `package.module:attribute`) to a node."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from outlay.cli.problems import Problem
from outlay.errors import ConfigError
from outlay.protocols.node import Node


class NotThere(Problem):
    """The file, the module or the attribute is not there; what is there imports."""


class DoesNotImport(Problem):
    """The user's file raises where it is imported."""


def load_flow(spec: str) -> Node[Any, Any]:
    """The node that FLOW names. Raises Problem with the user's own line where their file does not import."""
    found, module, name = _load(spec, "FLOW")
    from outlay.agents.function import as_node

    if isinstance(found, type) or not (isinstance(found, Node) or callable(found)):
        kind = "a class" if isinstance(found, type) else f"{_article(type(found).__name__)}"
        raise Problem(f"{spec} is {kind}, not a flow", *_nodes_of(module), next="name a node, or a function (input)")
    try:
        return as_node(found)
    except ConfigError as error:
        raise Problem(f"{name}: {error.message}", next=error.hint) from error


def load_factory(spec: str) -> Any:
    """The function that `--deps` names."""
    found, _, _ = _load(spec, "--deps")
    if not callable(found):
        raise Problem(f"--deps {spec} is {_article(type(found).__name__)}, not a function that can be called")
    return found


def load_attribute(spec: str, what: str) -> Any:
    """Whatever `file.py:NAME` names; `what` the option is called that it was given to."""
    return _load(spec, what)[0]


def load_checker(spec: str) -> Any:
    """The checker that `--checker` names: a function, or what a function of `outlay.checkers` gave."""
    found, _, _ = _load(spec, "--checker")
    if isinstance(found, Node) or not callable(found):
        kind = "a node" if isinstance(found, Node) else _article(type(found).__name__)
        raise Problem(
            f"--checker {spec} is {kind}, not a function (output) -> None | str",
            next="a model's opinion is --judge FLOW" if isinstance(found, Node) else "",
        )
    return found


def _load(spec: str, what: str) -> tuple[Any, ModuleType, str]:
    target, colon, name = spec.rpartition(":")
    # `C:\flow.py` has a colon and no attribute.
    if not colon or not target or not name.isidentifier():
        target, name = spec.rstrip(":"), ""
    module = _import_file(Path(target), what) if _is_path(target) else _import_module(target, what)
    if not name:
        raise Problem(
            f"{what} {spec!r} names no attribute: write {target}:NAME",
            *_nodes_of(module),
            next=_likeliest(target, module, what),
        )
    try:
        return getattr(module, name), module, name
    except AttributeError:
        nodes = [known for known, value in vars(module).items() if isinstance(value, Node)]
        close = difflib.get_close_matches(name, nodes, n=1)
        raise NotThere(
            f"{target} has no {name!r}",
            *_nodes_of(module),
            next=f"did you mean {target}:{close[0]}?" if close else _likeliest(target, module, what),
        ) from None


def _is_path(target: str) -> bool:
    return target.endswith(".py") or os.sep in target or "/" in target or Path(target).is_file() or _is_folder(target)


def _is_folder(target: str) -> bool:
    """A folder that Python would import, and find nothing in."""
    return Path(target).is_dir() and not Path(target, "__init__.py").is_file()


def _import_file(path: Path, what: str) -> ModuleType:
    if not path.is_file():
        folder = path if path.is_dir() else path.parent
        here = sorted(str(p) for p in folder.glob("*.py"))[:5] if folder.is_dir() else []
        seen = (f"in {folder}: {', '.join(here)}",) if here else ()
        kind = "is a folder" if path.is_dir() else "is not there"
        raise NotThere(f"cannot read {path}: it {kind}", *seen, next=f"{what} is path/to/file.py:attribute")
    path = path.resolve()
    # What `python file.py` does: the file's neighbours can be imported.
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    name = path.stem
    loaded = sys.modules.get(name)
    if loaded is not None:
        if getattr(loaded, "__file__", None) == str(path):
            return loaded
        name = f"outlay_flow_{name}"  # a file called json.py must not replace json
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise Problem(f"{path} is not a Python file", next=f"{what} is path/to/file.py:attribute")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        raise _broken(error, str(path), path.parent) from error
    return module


def _import_module(name: str, what: str) -> ModuleType:
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise NotThere(
                f"there is no module {name!r}", next=f"{what} is path/to/file.py:attribute or package.module:attribute"
            ) from None
        raise _broken(error, name, Path.cwd()) from error
    except BaseException as error:
        raise _broken(error, name, Path.cwd()) from error


def _broken(error: BaseException, what: str, folder: Path) -> BaseException:
    """Why a file does not import, with the line of the user's that it comes from."""
    if isinstance(error, KeyboardInterrupt):
        return error
    shown = _short(what)
    if isinstance(error, SyntaxError) and error.filename:
        line = f"{_short(error.filename)} line {error.lineno}: {(error.text or '').strip()}"
        return DoesNotImport(f"cannot import {shown}: {type(error).__name__}: {error.msg}", line)
    if isinstance(error, SystemExit):
        text = f"it ends the program (SystemExit: {error.code})"
    else:
        message = error.message if isinstance(error, ConfigError) else str(error)
        text = f"{type(error).__name__}: {message}" if message else type(error).__name__
    hint = error.hint if isinstance(error, ConfigError) else ""
    if isinstance(error, ModuleNotFoundError) and error.name:
        hint = f"install {error.name.partition('.')[0]} for {sys.executable}, which runs this"
    return DoesNotImport(f"cannot import {shown}: {text}", *line_of(error, folder), next=hint)


def line_of(error: BaseException, folder: Path) -> list[str]:
    """The innermost line of the traceback that is in the user's folder."""
    ours = Path(__file__).resolve().parent.parent
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        inside = file.is_relative_to(folder) and not file.is_relative_to(ours) and "site-packages" not in file.parts
        if inside and file.is_file():
            return [f"{_short(frame.filename)} line {frame.lineno}: {frame.line}"]
    return []


def _short(path: str) -> str:
    """A path as seen from here, where that is shorter."""
    try:
        relative = os.path.relpath(path) if os.path.isabs(path) else path
    except ValueError:  # another drive
        return path
    return min(relative, path, key=len)


def _nodes_of(module: ModuleType) -> list[str]:
    """A line with the nodes that a file has."""
    names = [f"{name} ({node.type})" for name, node in vars(module).items() if isinstance(node, Node)]
    if not names:
        return ["it has no agents or patterns at its top level"]
    return [f"it has: {', '.join(names[:12])}{', …' if names[12:] else ''}"]


def _likeliest(target: str, module: ModuleType, what: str) -> str:
    """What to write for a FLOW. One comes after its parts, so it is the last node of a file."""
    nodes = [name for name, value in vars(module).items() if isinstance(value, Node)]
    return f"{what} {target}:{nodes[-1]}" if what == "FLOW" and nodes else ""


def _article(noun: str) -> str:
    return f"an {noun}" if noun[:1].lower() in "aeiou" else f"a {noun}"
