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
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="WHAT=SHARE|WHAT@N",
    help="A share of the requests, or the N-th, meets with it: a status (429=0.05, 529@3), timeout, reset, html, "
    "not-json, truncated, half-stream, error-event, twice or extras. Repeatable.",
)
@click.option(
    "--requests-per-minute", type=click.IntRange(1), metavar="N", help="What is over it is a 429, for each model."
)
@click.option(
    "--tokens-per-minute", type=click.IntRange(1), metavar="N", help="The same of the input tokens that no cache held."
)
@click.option("--seed", type=int, default=0, help="Of texts, ids and which requests meet with a fault.")
@click.option("--flow", metavar="FLOW", help="Answer as this flow's offline stand-ins do. Default: made-up sentences.")
@debug_option
def command(
    port: int,
    latency: float,
    batch_seconds: float,
    faults: tuple[str, ...],
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
    seed: int,
    flow: str | None,
) -> None:
    """Serve the Anthropic and OpenAI protocols on this machine, until Ctrl-C.

    Nothing leaves the machine and no key is needed. Copy the lines that it prints into another terminal: Outlay and
    the official SDKs then talk to it.
    """
    try:
        from outlay.emulator import Emulator, Limits
        from outlay.emulator.fault_words import faults_of
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
        schedule = faults_of(faults, seed) if faults else None
    except ValueError as error:
        raise Problem(f"--fault: {error}", next="outlay emulator --help") from None
    try:
        Emulator(
            behaviour=None if flow is None else stand_ins(load_flow(flow)),
            faults=schedule,
            limits=Limits(requests_per_minute=requests_per_minute, tokens_per_minute=tokens_per_minute),
            latency=latency,
            batch_seconds=batch_seconds,
            seed=seed,
        ).serve(port, ready=ready)
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        raise Problem(
            f"cannot listen on port {port}: {'another program does' if taken else error.strerror}",
            next="outlay emulator --port 0 takes a free one",
            code=1,
        ) from None
