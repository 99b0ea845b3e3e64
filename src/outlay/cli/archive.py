"""`outlay runs export` and `import`: a run as one file, to look at or to go on with elsewhere."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path

import click

from outlay.cli.options import debug_option, json_option, store_option
from outlay.cli.problems import Problem
from outlay.cli.stored import find, named_store, reading
from outlay.protocols.store import Store
from outlay.values.counted import counted


@click.command("export")
@click.argument("run", metavar="RUN")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The file to write.")
@click.option("--without-contents", is_flag=True, help="Events only: no inputs, outputs, messages, results of tools.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@store_option
@json_option
@debug_option
@click.pass_context
def export(
    context: click.Context,
    run: str,
    output: Path,
    without_contents: bool,
    force: bool,
    store: str | None,
    as_json: bool,
) -> None:
    """Write RUN into one file, with what it is a fork of and all that they said.

    RUN is an id, the beginning of one, or `last`. On another machine the run can be billed, traced, resumed and forked.
    Shared state and open questions stay behind. With --without-contents it can be billed and traced; questions,
    reasons, texts of errors and what flows report of themselves are in events, and are in the file.

    \b
        outlay runs export last --output run.outlay
        outlay runs export 7f3a --output run.outlay --without-contents
    """
    from outlay.runtime.transfer import Carried, export_run

    if output.exists() and not force:
        raise Problem(f"{output} is there already: nothing was written", next="name another file, or add --force")
    if not output.parent.is_dir():
        raise Problem(f"there is no folder {output.parent}", next=f"mkdir -p {output.parent}")

    async def work(opened: Store) -> Carried:
        run_id = await find(opened, run)
        # Readable by its owner only, and in its place when it is whole.
        handle, part = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                done = await export_run(opened, run_id, file, contents=not without_contents)
            os.replace(part, output)
        except BaseException:
            os.unlink(part)
            raise
        return done

    done = reading(named_store(context, store), work)
    size = output.stat().st_size
    if as_json:
        facts = {"run_id": done.run, "runs": done.runs, "events": done.events, "contents": done.contents}
        click.echo(json.dumps({**facts, "bytes": size, "output": str(output)}, ensure_ascii=False, indent=2))
        return
    stands_on = f" · with {counted(len(done.runs) - 1, 'run')} it is a fork of" if len(done.runs) > 1 else ""
    what = f"{counted(done.events, 'event')} · {counted(done.contents, 'content')}{stands_on}"
    click.echo(f"wrote {output} · run {done.run} · {what} · {size / 2**20:,.1f} MiB")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--max-size", type=click.IntRange(1), default=2048, show_default=True, metavar="MIB", help="Unpack at most so much."
)
@store_option
@json_option
@debug_option
@click.pass_context
def import_(context: click.Context, file: Path, max_size: int, store: str | None, as_json: bool) -> None:
    """Take in a run from a file that `outlay runs export` wrote. To do it twice does no harm.

    Everything in the file is checked before an event of it is written. A run of the same id with other events is left
    as it is, and the file refused. Resuming it needs the flow's own code, which is not in the file.
    """
    from outlay.runtime.transfer import Carried, import_run

    if not file.is_file():
        kind = "a folder" if file.is_dir() else "not there"
        raise Problem(f"cannot read {file}: it is {kind}", next="name a file that `outlay runs export` wrote")

    async def work(opened: Store) -> Carried:
        with file.open("rb") as opened_file:
            return await import_run(opened, opened_file, max_bytes=max_size * 2**20)

    done = reading(named_store(context, store), work, make=True)
    if as_json:
        facts = {"run_id": done.run, "runs": done.runs, "events": done.events, "new_events": done.new}
        click.echo(json.dumps({**facts, "contents": done.contents}, indent=2))
        return
    new = f"{counted(done.new, 'event')} new" if done.new else "nothing new: it was here already"
    click.echo(f"run {done.run} · {counted(done.events, 'event')} · {counted(done.contents, 'content')} · {new}")
    click.echo(f"outlay bill {done.run} shows what it cost")
