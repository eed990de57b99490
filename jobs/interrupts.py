"""What every worker process loads first: interrupts from the keyboard are the client's business.

The terminal sends Ctrl-C to all processes of a command. The client closes its cluster in order; workers
that reacted by themselves would print tracebacks over its message.
"""

import signal


def dask_setup(_worker: object) -> None:
    """Ignore SIGINT; Dask calls this when a worker has started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
