"""Progress of long work: blocks done, rate and time left, on standard error."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Advance = Callable[[float], None]


@contextmanager
def progress(label: str, total: float, unit: str) -> Iterator[Advance]:
    """Show a bar with a rate while the block runs; nothing where nobody watches.

    Parameters
    ----------
    label, unit : str
        What is done, and what is counted.
    total : float
        The whole amount.
    """
    if not sys.stderr.isatty() or total <= 0:
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(label, total=total, rate="")

        def advance(amount: float) -> None:
            bar.advance(task, amount)
            speed = bar.tasks[0].finished_speed or bar.tasks[0].speed
            if speed:
                bar.update(task, rate=f"{quantity(speed)} {unit}/s")

        yield advance


def quantity(value: float) -> str:
    """Write a number with a prefix: 12.3 M."""
    for factor, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= factor:
            return f"{value / factor:.3g} {prefix}"
    return f"{value:.3g} "
