"""`outlay doctor`: is everything there that a run needs? Without `--live` it spends nothing and calls nobody."""

from __future__ import annotations

import asyncio
import difflib
import importlib.metadata
import json
import os
import platform
import shutil
import sys
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit, urlunsplit

import click

import outlay
from outlay.analysis.text import plain
from outlay.cli.options import debug_option, json_option, store_path
from outlay.cli.problems import Problem, Quiet

_PACKAGES = ("click", "rich", "aiohttp", "pydantic", "msgspec", "genai-prices")
_SIGNS = {"ok": "✓", "note": "·", "broken": "✗"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. `next` says what to do where it is not as it should be."""

    name: str
    state: Literal["ok", "note", "broken"]
    text: str
    next: str = ""


#: The tables of outlay.toml.
_TABLES = ("prices", "limits", "timeouts", "check")


@click.command("doctor")
@click.option(
    "--store",
    metavar="[PATH]",
    is_flag=False,
    flag_value="",
    help="Read all of a store, and say what is not as it was written. Default: OUTLAY_STORE, else .outlay/outlay.db.",
)
@click.option(
    "--live", is_flag=True, help="Ask each provider that has a key for one word, once you agree to the price."
)
@click.option(
    "--model", "models", metavar="MODEL", multiple=True, help="With --live: ask this model instead; may be repeated."
)
@click.option("--yes", is_flag=True, help="With --live: agree to the price; do not ask.")
@json_option
@debug_option
def command(store: str | None, live: bool, models: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Check Python, packages, keys, addresses, store, prices and terminal. Exit code 1 if something is broken.

    With --store, every event, content and document of that store is checked, too. With --live, each provider that has
    a key is asked for one word: what that costs at most is said first. Keys are never shown; without --live nothing
    is spent, changed or called.

    \b
        outlay doctor --live
        outlay doctor --live --model openai-chat:llama3.3 --yes
    """
    if (models or yes) and not live:
        raise Problem(f"{'--model' if models else '--yes'} goes with --live", next="outlay doctor --live")
    checks: list[Callable[[], list[Finding]]] = [
        _python,
        _packages,
        _keys,
        _addresses,
        lambda: _store(store or None, whole=store is not None),
        _prices,
        _settings,
        _terminal,
    ]
    if live:
        checks.append(lambda: _live(models, yes=yes, as_json=as_json))
    findings = [finding for check in checks for finding in check()]
    if as_json:
        click.echo(
            json.dumps([{"name": f.name, "state": f.state, "text": f.text, "next": f.next} for f in findings], indent=2)
        )
    else:
        width = max(len(finding.name) for finding in findings)
        for finding in findings:
            click.echo(f"{_SIGNS[finding.state]} {finding.name:{width}}  {plain(finding.text)}")
            if finding.next:
                click.echo(f"  {'':{width}}  next: {finding.next}")
    raise Quiet(1 if any(finding.state == "broken" for finding in findings) else 0)


def _python() -> list[Finding]:
    # An older Python never comes here: the package does not install on it.
    return [
        Finding("python", "ok", f"{platform.python_version()} on {platform.system()}"),
        Finding("outlay", "ok", outlay.__version__),
    ]


def _packages() -> list[Finding]:
    found: list[str] = []
    missing: list[Finding] = []
    for name in _PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(Finding(name, "broken", "is not installed", f"pip install {name}"))
    return [Finding("packages", "ok", ", ".join(found)), *missing]


def _keys() -> list[Finding]:
    findings = [_key(name) for name in ("ANTHROPIC_API_KEY", "OPENAI_API_KEY")]
    if all(finding.state == "note" for finding in findings):
        findings.append(Finding("models", "note", "offline stand-ins answer until a key is set"))
    return findings


def _key(name: str) -> Finding:
    value = os.environ.get(name)
    if not value:
        return Finding(name, "note", "not set")
    if value.strip() != value or not value.isprintable():
        return Finding(name, "broken", "set, with spaces or line ends around it", f"set {name} again without them")
    return Finding(name, "ok", "set")


def _addresses() -> list[Finding]:
    return [
        _address(name, os.environ[name]) for name in ("ANTHROPIC_BASE_URL", "OPENAI_BASE_URL") if os.environ.get(name)
    ]


def _address(name: str, value: str) -> Finding:
    try:
        parts = urlsplit(value)
        # A password in an address is a key, too.
        shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
        good = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        shown, good = "an address that cannot be read", False
    if not good:
        return Finding(name, "broken", f"{shown} is not an http address", f"export {name}=https://…")
    return Finding(name, "ok", shown)


def _store(store: str | None, *, whole: bool) -> list[Finding]:
    from outlay.cli.integrity import look
    from outlay.errors import OutlayError
    from outlay.stores.addresses import shown
    from outlay.stores.opening import open_store

    path = store_path(store)
    there = Path(path).expanduser()
    if path != ":memory:" and "://" not in path and not there.exists():
        folder = next(parent for parent in there.absolute().parents if parent.exists())
        if not os.access(folder, os.W_OK):
            return [
                Finding(
                    "store", "broken", f"{path}: {folder} is not writable", "name another with --store or OUTLAY_STORE"
                )
            ]
        if store is not None:  # named, to be read: nobody asks that of one that is still to be made
            return [Finding("store", "broken", f"there is no store at {path}", "outlay runs --store PATH shows one")]
        return [Finding("store", "note", f"{path} is not there yet; the first run makes it")]

    more: list[Finding] = []

    async def count() -> int:
        async with open_store(path) as opened:
            if whole:
                found, runs = await look(opened)
                more.extend(Finding(*parts) for parts in found)
                return runs
            return len(await opened.events(None, ("run_started",)))

    try:
        runs = asyncio.run(count())
    except OutlayError as error:
        return [Finding("store", "broken", error.message, error.hint), *more]
    size = f" · {there.stat().st_size / 2**20:,.1f} MiB" if there.is_file() else ""
    return [Finding("store", "ok", f"{shown(path)} · {runs:,} runs{size}"), *more]


def _prices() -> list[Finding]:
    from outlay.errors import ConfigError
    from outlay.models.price_file import default_book

    try:
        price = default_book().find("anthropic", "claude-haiku-4-5")
        version = importlib.metadata.version("genai-prices")
    except (ConfigError, importlib.metadata.PackageNotFoundError) as error:
        return [Finding("prices", "broken", getattr(error, "message", str(error)), getattr(error, "hint", ""))]
    if price is None:
        return [
            Finding(
                "prices",
                "broken",
                f"genai-prices {version} does not know claude-haiku-4-5",
                "pip install -U genai-prices",
            )
        ]
    rates = f"claude-haiku-4-5 ${price.rates.input:,.2f} in, ${price.rates.output:,.2f} out per million tokens"
    return [Finding("prices", "ok", f"genai-prices {version} · {rates}")]


def _settings() -> list[Finding]:
    """What `outlay.toml` says beside prices; nothing where there is none."""
    from outlay.advice.settings import FILE, read_settings
    from outlay.errors import ConfigError
    from outlay.models.limit_file import find_limits, find_timeouts

    path = Path(FILE)
    if not path.is_file():
        return []
    try:
        for read in (find_limits, find_timeouts, read_settings):
            read()
    except ConfigError as error:
        return [Finding(FILE, "broken", error.message, error.hint)]
    tables = list(tomllib.loads(path.read_text("utf-8")))
    for table in tables:
        if table not in _TABLES:
            close = difflib.get_close_matches(table, _TABLES, n=1)
            hint = f"write [{close[0]}]" if close else f"one of {', '.join(_TABLES)}"
            return [Finding(FILE, "broken", f"nothing reads its table [{table}]", hint)]
    return [Finding(FILE, "ok", ", ".join(tables) or "empty")]


def _live(models: Sequence[str], *, yes: bool, as_json: bool) -> list[Finding]:
    from outlay.cli.live import look

    return [Finding(*parts) for parts in look(models, yes=yes, as_json=as_json)]


def _terminal() -> list[Finding]:
    size = shutil.get_terminal_size()
    kind = f"{size.columns} × {size.lines}" if sys.stderr.isatty() else "none: progress comes as plain lines"
    encoding = (sys.stdout.encoding or "").lower()
    if encoding.replace("-", "") != "utf8":
        return [
            Finding(
                "terminal", "note", f"{kind} · {encoding or 'unknown encoding'}", "export PYTHONUTF8=1 shows all signs"
            )
        ]
    colour = "no colour (NO_COLOR)" if os.environ.get("NO_COLOR") else "colour"
    return [Finding("terminal", "ok", f"{kind} · UTF-8" + (f" · {colour}" if sys.stderr.isatty() else ""))]
