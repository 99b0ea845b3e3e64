"""`outlay emulator`: the providers' protocols on this machine."""

from __future__ import annotations

import errno
from typing import Any

import click

from outlay.cli.flows import load_flow
from outlay.cli.options import debug_option
from outlay.cli.problems import Problem


@click.command("emulator")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="The port to listen on. Default: a free one.")
@click.option(
    "--latency", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Until the first token of an answer."
)
@click.option(
    "--batch-seconds", type=click.FloatRange(0), default=0.0, metavar="SECONDS", help="Until a batch is done."
)
@click.option("--flow", metavar="FLOW", help="Answer as this flow's offline stand-ins do. Default: made-up sentences.")
@debug_option
def command(port: int, latency: float, batch_seconds: float, flow: str | None) -> None:
    """Serve the Anthropic and OpenAI protocols on this machine, until Ctrl-C.

    Nothing leaves the machine and no key is needed. Copy the lines that it prints into another terminal: Outlay and
    the official SDKs then talk to it.
    """
    try:
        from outlay.emulator import Emulator
        from outlay.emulator.standins import stand_ins
    except ImportError as error:
        raise Problem(
            f"the emulator is not in this installation ({error})", next="pip install outlay", code=1
        ) from None

    def ready(emulator: Any) -> None:
        for name, value in emulator.env().items():
            click.echo(f"export {name}={value}")
        click.echo(f"listening on {emulator.url} · Ctrl-C ends it", err=True)

    try:
        behaviour = None if flow is None else stand_ins(load_flow(flow))
        Emulator(behaviour=behaviour, latency=latency, batch_seconds=batch_seconds).serve(port, ready=ready)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise Problem(
            f"cannot listen on port {port}: {'another program does' if taken else error.strerror}",
            next="outlay emulator --port 0 takes a free one",
            code=1,
        ) from None
