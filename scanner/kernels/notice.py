"""Word of kernels that are being compiled: it takes minutes once, and nothing after that."""

import time
from collections.abc import Callable
from typing import Any

from numba.core import event

PATIENCE = 5.0
"""Seconds of compilation that nobody needs to hear of."""


class _Notice(event.Listener):
    """Calls `say` once, when compilations have taken longer than `PATIENCE`."""

    def __init__(self, say: Callable[[], None]) -> None:
        self.say, self.said = say, False
        self.spent, self.begun, self.depth = 0.0, 0.0, 0

    def on_start(self, event: Any) -> None:
        """Take note of a compilation, and of those within it."""
        del event
        now = time.monotonic()
        self.begun = self.begun if self.depth else now
        self.depth += 1
        if not self.said and self.spent + now - self.begun > PATIENCE:
            self.said = True
            self.say()

    def on_end(self, event: Any) -> None:
        """Add up what the outermost compilation took."""
        del event
        self.depth -= 1
        if not self.depth:
            self.spent += time.monotonic() - self.begun


def when_compiling(say: Callable[[], None]) -> event.Listener:
    """Have `say` called once, if kernels take long to compile in this process; kept ones do not."""
    listener = _Notice(say)
    event.register("numba:compile", listener)  # type: ignore[no-untyped-call]  # numba
    return listener
