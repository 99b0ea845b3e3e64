"""`python -m outlay.cli`: the same as `outlay`."""

from outlay.cli import main

main()
