"""The command line `darkscan`: parses, calls one function, prints."""

import os
import sys

import typer

from jobs.commands import bench, counting, cubes, demo, events, scans, searches

app = typer.Typer(
    name="darkscan",
    help="Scan dark-sector parameters: events in, limit cubes out.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(searches.app, name="searches")
for module in (events, scans, cubes, counting, demo, bench):
    module.register(app)


def main() -> None:
    """Run the command line; errors become one message and an exit code.

    2 is bad input, 3 an incomplete run, 1 a defect. `DARKSCAN_DEBUG=1` shows the traceback.
    """
    try:
        app()
    except Exception as error:  # the last resort: users see a sentence, never a traceback
        if os.environ.get("DARKSCAN_DEBUG"):
            raise
        code = getattr(error, "exit_code", 1)
        kind = "error" if code != 1 else f"defect ({type(error).__name__})"
        hint = "" if code != 1 else "\nSet DARKSCAN_DEBUG=1 to see where, and please report it."
        print(f"{kind}: {error}{hint}", file=sys.stderr)  # noqa: T201 - standard error of the command
        sys.exit(code)
    except KeyboardInterrupt:
        print("interrupted: what is committed is kept, --resume goes on", file=sys.stderr)  # noqa: T201
        sys.exit(3)
