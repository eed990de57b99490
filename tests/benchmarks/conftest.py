"""How every benchmark states who runs, on what, and what bounds it."""

import pytest


@pytest.fixture
def race(benchmark):
    """Time one competitor of a group; `darkscan bench` prints each over the one named darkscan."""

    def run(group, who, work, *, items, unit, rounds=5, bound=""):
        benchmark.group = group
        benchmark.extra_info.update(who=who, items=items, unit=unit, bound=bound)
        return benchmark.pedantic(work, rounds=rounds, warmup_rounds=1)

    return run
