"""The command line `darkscan`: parses, calls one function, prints."""

import io
import os
import sys
from typing import Annotated

import typer

from jobs.commands import bench, counting, cubes, demo, events, exports, scans, searches, significance, study

INTERRUPTED = 130
"""Exit code that typer gives an interrupt from the keyboard."""

app = typer.Typer(
    name="darkscan",
    help="Scan dark-sector parameters: events in, limit cubes out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(searches.app, name="searches")
for module in (events, scans, study, significance, cubes, exports, counting, demo, bench):
    module.register(app)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"darkscan {version('darkscan')}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Scan dark-sector parameters: events in, limit cubes out."""


def main() -> None:
    """Run the command line; errors become one message and an exit code.

    2 is bad input, 3 an incomplete run, 1 a defect. `DARKSCAN_DEBUG=1` shows the traceback.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters shows question marks
    try:
        app()
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        _stop("interrupted: what is committed is kept; `scan --resume`, or the same command, goes on", 3)
    except Exception as error:  # the last resort: users see a sentence, never a traceback
        if os.environ.get("DARKSCAN_DEBUG"):
            raise
        _stop(*_explained(error))


def _explained(error: Exception) -> tuple[str, int]:
    """Return what to tell the user about an error, and the exit code."""
    code = int(getattr(error, "exit_code", 1))
    if code != 1:
        return f"error: {error}", code
    if isinstance(error, OSError) and error.filename is not None:
        return f"error: {error.filename}: {error.strerror}; check the path and its permissions", 2
    text = f"defect ({type(error).__name__}): {error}"
    return f"{text}\nSet DARKSCAN_DEBUG=1 to see where, and please report it.", 1


def _stop(message: str, code: int) -> None:
    print(message, file=sys.stderr)  # noqa: T201 - standard error of the command
    sys.exit(code)
