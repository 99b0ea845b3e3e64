"""The `outlay` command itself: which commands there are, and what becomes of their errors."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import MutableMapping, Sequence
from importlib import import_module
from typing import Any, NoReturn

import click

from outlay import __version__
from outlay.cli import problems

#: Every command with its line in `outlay --help`: listing them imports none of them.
COMMANDS = {
    "demo": "See it work: the triage example, with no key and no server.",
    "init": "Write a small flow and its input here, to start from.",
    "check": "Check a flow before it runs: caps, prices, prompt cache, warnings, ten points for production.",
    "run": "Run a flow on one input.",
    "map": "Run a flow on every row of a file; run it again to go on.",
    "forecast": "Say what a flow will cost and take, before it is run.",
    "frontier": "Say which designs of a flow nothing beats, and what to change.",
    "compare": "Compare two flows on the same cases within the same budget.",
    "eval": "Measure what a policy keeps: what an agent still knows when its conversation was shortened.",
    "diff": "Say what a change of the code changes in what its flows cost.",
    "advise": "Say whether it should be one agent or several, and which, and why.",
    "claims": "Recompute the published arithmetic of multi-agent systems.",
    "runs": "List the runs in the store.",
    "report": "Report what each workload cost, and what is out of bounds.",
    "bill": "Show what a run cost, agent by agent.",
    "trace": "Show what a run did, call by call.",
    "health": "Say how agents, tools and providers fared in the stored runs.",
    "resume": "Go on with a run that waited, was stopped or broke off.",
    "fork": "Branch off a run: do part of it again on what it paid for.",
    "approvals": "List what runs wait for.",
    "approve": "Say yes to what a run waits for, or answer it.",
    "deny": "Say no to what a run waits for.",
    "simulate": "Prove it: runs under faults and crashes on virtual time, and what must hold of them.",
    "router": "Train a router from a table of outcomes, and measure it.",
    "cache": "Calibrate stored answers to similar questions, and count the false ones.",
    "distill": "Train a small local student on what an agent answered, where that is worth it.",
    "emulator": "Serve the providers' protocols on this machine, to test without a key.",
    "doctor": "Check keys, store, prices and versions.",
}


class Commands(click.Group):
    """A group that imports `outlay.cli.NAME` when NAME is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return import_module(f"outlay.cli.{cmd_name}").command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            raise problems.Problem(
                f"there is no command {args[0]!r}", next=f"outlay {close[0]}" if close else "outlay --help"
            )
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run, and end the process with the code that CONTRACT gives to the outcome."""
        given = list(sys.argv[1:] if args is None else args)
        debug = "--debug" in given or bool(os.environ.get("OUTLAY_DEBUG"))
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # pyright: ignore  # a terminal that cannot show · still shows the rest
        try:
            # Not standalone: what click would print and exit with by itself is decided here.
            code: Any = click.Group.main(
                self, given, prog_name or "outlay", complete_var, standalone_mode=False, **extra
            )
        except problems.Quiet as quiet:
            code = quiet.code
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            code = problems.INTERRUPTED
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)  # its help: nothing was wrong, something was left out
            code = problems.USAGE
        except click.ClickException as error:
            problems.show(_usage(error, given))
            code = problems.USAGE
        except Exception as error:
            if debug:
                click.echo(problems.frames(error), err=True)
            problem = problems.as_problem(error)
            if problem.code == problems.ERROR and not debug and not problem.next:
                problem.next = ("the same command with --debug shows where",)
            problems.show(problem)
            code = problem.code
        sys.exit(code if isinstance(code, int) else 0)


#: What people call the types that click names in its messages.
_TYPES = {"integer range": "a whole number", "integer": "a whole number", "float range": "a number"}


def _usage(error: click.ClickException, given: Sequence[str]) -> problems.Problem:
    context = getattr(error, "ctx", None)  # not known where an option lacks its argument
    command = next((word for word in given if word in COMMANDS), "") if context is None else ""
    path = f"outlay {command}".rstrip() if context is None else context.command_path
    text = error.format_message()
    for name, word in _TYPES.items():
        text = text.replace(f"is not a valid {name}", f"is not {word}")
    return problems.Problem(text, next=f"{path} --help")


CONTEXT: MutableMapping[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(cls=Commands, context_settings=CONTEXT)
@click.version_option(__version__, message="outlay %(version)s")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def cli(debug: bool) -> None:
    """Multi-agent LLM workflows that know what they cost.

    A FLOW is `path/to/file.py:attribute` or `package.module:attribute`. Progress goes to stderr, results to stdout.

    Exit codes: 0 completed, 1 error, 2 usage (nothing was spent), 3 stopped early with partial results, 4 waiting
    for approval, 130 interrupted.
    """
