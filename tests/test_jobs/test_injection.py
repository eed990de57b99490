"""Signals that are injected into searches come back: as generated events, and on the mean of toys."""

import pytest

from jobs.executors import SerialExecutor
from jobs.searches import catalogue, injection
from jobs.searches import points as injection_points
from jobs.searches import tables as catalogue_tables
from scanner import definition, engine
from scanner.guide.tables import Table
from scanner.windows.channels import at_luminosity

SEARCHES = catalogue.runnable()
REDUCED = ("alp_gg", "y1s_inv", "zp_inv_emu")
"""A fit of a smooth background, one with a known peak below it, and a count."""


def inject(name, folder, **options):
    return injection.inject(definition.load(name), folder, SerialExecutor(), injection.Options(**options))


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_signals_come_back_from_every_search(name, tmp_path):
    found = inject(name, tmp_path)  # 1000 toys each, which tell means to 0.03
    spots = injection_points.choose(definition.load(name), 3)
    assert len(found) == len({(spot.configuration, *spot.values.items()) for spot in spots}) >= 1
    for one in found:
        assert not abs(one.generated_pull) > 3.0, one
        assert one.toys == 1000, one
        assert abs(one.pull_mean) < 0.2, one
        assert one.sound


@pytest.mark.parametrize("name", REDUCED)
def test_a_signal_comes_back_from_searches_of_each_kind(name, tmp_path):
    (one,) = inject(name, tmp_path, points=1, toys=60)
    assert abs(one.generated_pull) < 3.0
    assert one.generated_error < 0.5 * one.injected
    assert one.toys == 60
    assert abs(one.pull_mean) < 0.35  # 60 toys tell it to 0.13
    assert one.pull_width == pytest.approx(1.0, abs=0.3)


@pytest.mark.parametrize("name", SEARCHES)
def test_points_are_spread_over_the_searched_windows_of_a_grid(name):
    search = definition.load(name)
    spots = injection_points.choose(search, 3)
    assert len(spots) == (1 if name in ("tau_3mu", "tau_3mu_counts", "y1s_inv") else 3)
    few = injection_points.narrowed(search, spots)
    cells = [injection_points.find(few, spot) for spot in spots]
    assert len({(cell.region, cell.configuration, cell.index, cell.window) for cell in cells}) == len(spots)
    axis = search.scan_axis
    assert all(axis.low <= spot.values[axis.name] <= axis.high for spot in spots)
    assert len({spot.configuration for spot in spots}) == min(len(search.configurations), len(spots))


def test_stated_masses_of_one_region_leave_the_others_out():
    search = definition.parse("extends: alp_gg\nscan: {m_alp: {values: '1, 2 GeV'}}\n", where="few.yaml")
    assert engine.lengths(search) == {"diphoton": 2}


def test_known_peaks_grow_with_the_luminosity():
    """Without that, a tenth of the data lacks nine tenths of the peak, and the signal is negative."""
    search = definition.load("y1s_inv")
    tenth = at_luminosity(search, 0.1 * search.luminosity)
    assert tenth.background.peaks["leptons"].expected == pytest.approx(
        0.1 * search.background.peaks["leptons"].expected
    )
    assert at_luminosity(search, search.luminosity) is search


def test_the_command_writes_a_table_into_a_page(darkscan, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("Before.\n\n<!-- injections -->\n| old |\n\nAfter.\n")
    answer = darkscan(
        "searches", "inject", "zp_inv_emu", "--points", "1", "--toys", "20", "--no-events",
        "-o", tmp_path / "found", "--table", page, "--json",
    )  # fmt: skip
    assert answer.code == 0
    (row,) = answer.json
    assert row["sound"]
    assert row["toys"] == 20
    (one,) = catalogue_tables.injections(tmp_path / "found")
    assert one.pull_mean == row["pull_mean"]
    assert catalogue_tables.injection_table([one]).markdown in page.read_text()
    assert page.read_text().startswith("Before.\n\n<!-- injections -->\n| search |")
    assert page.read_text().endswith("\n\nAfter.\n")


def test_a_table_keeps_the_rows_of_other_searches(tmp_path):
    page, header = tmp_path / "page.md", catalogue_tables.EXPECTED_HEADER
    old = [[f"`{name}`", "old", *"abcde"] for name in ("alp_gg", "b_ka", "b_ka", "zp_mumu")]
    page.write_text(f"A page.\n\n<!-- expected -->\n{Table(header, old).markdown}\n\nAnd so on.\n")
    new = [["`b_ka`", "new", *"vwxyz"], ["`hnl_tau`", "new", *"vwxyz"]]
    catalogue_tables.fill(page, "expected", Table(header, new))
    both = Table(header, [old[0], *new, old[3]]).markdown
    assert page.read_text() == f"A page.\n\n<!-- expected -->\n{both}\n\nAnd so on.\n"


def test_a_signal_in_flight_comes_back_among_published_counts(tmp_path):
    text = """
extends: hnl_tau
scan:
  m_n: {values: "1, 1.2 GeV"}
  ctau_n: {values: "10, 100 cm"}
method: {limit: asymptotic}
simulation:
  - {process: tau_heavy_neutrino, role: signal}
  - process: tau_heavy_neutrino
    role: efficiency
    events: 20000
    masses: 1, 1.2 GeV
    parameters: {ctau_least: 1 cm, ctau: 100 cm}
"""
    options = injection.Options(points=1, toys=20)
    (one,) = injection.inject(definition.parse(text, where="hnl.yaml"), tmp_path, SerialExecutor(), options)
    assert one.generated_yield == pytest.approx(200.0, abs=60.0)
    assert 10.0 < one.generated_error < 40.0
    assert abs(one.generated_pull) < 3.0
