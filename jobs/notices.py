"""What a terminal is told beside the progress of work."""

import sys
from functools import cache

COMPILING = "compiling kernels: this takes some minutes on the first run, and they are kept for the next"


@cache
def tell_of_compilation() -> None:
    """Say on the terminal, once a process, that kernels are being compiled, if that takes long."""
    if sys.stderr.isatty():
        from scanner.kernels.notice import when_compiling

        when_compiling(lambda: print(COMPILING, file=sys.stderr, flush=True))  # noqa: T201 - for users
