"""`outlay deny`: say no to what a run waits for."""

from outlay.cli.approve import deny_command as command

__all__ = ["command"]
