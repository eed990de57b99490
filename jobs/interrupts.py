"""What every worker process loads first: interrupts from the keyboard are the client's business.

The terminal sends Ctrl-C to all processes of a command. The client closes its cluster in order; workers
that reacted by themselves would print tracebacks over its message. One of them tells of compilation.
"""

import signal
from typing import Any

from jobs.notices import tell_of_compilation


def dask_setup(worker: Any) -> None:
    """Ignore SIGINT; Dask calls this when a worker has started."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if worker.name == 0:
        tell_of_compilation()
