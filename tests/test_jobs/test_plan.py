"""Plans: blocks cover everything once, identities say what matters."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.plan import FitBlock, Options, PassBlock, Plan, estimate, fit_blocks, pass_blocks, windows_a_block
from jobs.scanning.planning import planned_fits
from scanner import definition
from scanner.errors import InputError


def plan(**changes):
    given_plan = Plan(
        search="{}",
        store="events",
        store_digest="abc",
        method="auto",
        seed=0,
        luminosity=178.0,
        code="code",
        cpu="x86-64-v3",
        passes=(PassBlock("pass-000000", ((0, 0, 10),)),),
        fits=(FitBlock("fit-all-000000-000005", "all", 0, 5),),
    )
    return replace(given_plan, **changes)


@given(shards=st.lists(st.integers(1, 50), min_size=1, max_size=8), rows=st.integers(1, 60))
def test_pass_blocks_cover_every_row_once_and_in_order(shards, rows):
    blocks = list(pass_blocks(enumerate(shards), rows))
    pieces = [piece for block in blocks for piece in block.pieces]
    covered = [(shard, row) for shard, start, stop in pieces for row in range(start, stop)]
    assert covered == [(shard, row) for shard, length in enumerate(shards) for row in range(length)]
    assert all(block.rows == rows for block in blocks[:-1])
    assert len({block.key for block in blocks}) == len(blocks)


@given(regions=st.lists(st.integers(1, 500), min_size=1, max_size=3), windows=st.integers(1, 300))
def test_fit_blocks_cover_every_window_once(regions, windows):
    named = [(f"r{number}", length) for number, length in enumerate(regions)]
    covered = [(b.region, w) for b in fit_blocks(named, windows) for w in range(b.first, b.last)]
    assert covered == [(name, w) for name, length in named for w in range(length)]


def test_workers_share_the_windows_of_a_search_of_many_configurations():
    blocks = planned_fits(definition.load("idm_dark_higgs"), Options())
    assert len(blocks) >= 8
    assert sum(block.last - block.first for block in blocks) > 600
    assert len({block.key for block in blocks}) == len(blocks)
    few = planned_fits(definition.load("idm_dark_higgs"), Options(windows_a_block=7))
    assert max(block.last - block.first for block in few) == 7
    assert windows_a_block(256, 1) == 256
    assert windows_a_block(256, 10**9) == 1


def test_a_plan_survives_its_text():
    assert Plan.from_json(plan().to_json()) == plan()


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"nonsense", plan().to_json().replace(b"178.0", b"179.0")]
)
def test_a_plan_that_was_changed_is_refused(text):
    with pytest.raises(InputError, match="start the scan anew with --overwrite"):
        Plan.from_json(text)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"method": "counting"}, {"store_digest": "x"}, {"luminosity": 1.0}]
)
def test_what_may_change_a_number_changes_the_scan_identity(change):
    assert plan(**change).scan_identity != plan().scan_identity


@pytest.mark.parametrize("change", [{"store": "elsewhere"}, {"passes": ()}, {"fits": ()}, {"cpu": "znver4"}])
def test_what_cannot_change_a_number_leaves_the_scan_identity(change):
    assert plan(**change).scan_identity == plan().scan_identity


def test_the_estimate_counts_rows_and_windows_and_shares_them():
    one = estimate(plan(), columns=8, bins=1000, workers=1)
    assert (one.rows, one.windows, one.pass_blocks, one.fit_blocks) == (10, 5, 1, 1)
    assert estimate(plan(), columns=8, bins=1000, workers=2).seconds == one.seconds / 2
    many = estimate(plan(), columns=8, bins=1000, workers=1, points=100, rate=50.0)
    assert (many.windows, many.limits) == (5, 500)
    assert many.seconds == pytest.approx(10.0, rel=1e-3)
