"""`python -m outlay`: the command line, for whoever has no `outlay` on the path."""

from outlay.cli import main

main()
