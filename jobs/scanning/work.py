"""What a worker does with one block of a plan: run it, and commit its part."""

from jobs.plan import PassBlock
from jobs.scanning.fits import run_fit
from jobs.scanning.passes import run_pass
from jobs.scanning.run import run_of


def execute(ticket: str, key: str) -> str:
    """Run one block of the run that a ticket names and commit its part; return the key."""
    run = run_of(ticket)
    block = run.blocks[key]
    arrays = run_pass(run, block) if isinstance(block, PassBlock) else run_fit(run, block)
    run.parts.commit(key, arrays)
    return key
