"""Expected limits beside the published ones, from all events or from a part that is scaled."""

from pathlib import Path

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.scan import scan
from jobs.searches import catalogue, expected, injection
from jobs.searches import tables as catalogue_tables
from scanner import definition


def compare(name, folder, events=1e6):
    return expected.compare(definition.load(name), folder, SerialExecutor(), events)


def test_published_counts_give_what_a_scan_gives(tmp_path):
    (one,) = compare("tau_3mu_counts", tmp_path / "compared")
    cube = scan(definition.load("tau_3mu_counts"), "", str(tmp_path / "cube"), executor=SerialExecutor())
    median = cube["branching_fraction_limit_expected"].sel(quantile=0.5).to_numpy().item()
    assert one.expected == pytest.approx(median, rel=1e-12)
    assert one.published == 1.9e-8
    assert (one.source, one.generated) == ("arXiv:2405.07386", 1.0)
    assert one.ratio == one.expected / 1.9e-8


def test_a_part_of_the_events_tells_the_limits_of_all(tmp_path):
    """A tenth has √10 times the fluctuations; the limits follow them by a half."""
    whole, part = (compare("alp_gg", tmp_path / str(n), n) for n in (1e6, 5000.0))
    assert {one.generated for one in whole} == {1.0}
    assert all(one.generated == pytest.approx(0.098, rel=0.01) for one in part)
    ratio = np.array([b.expected / a.expected for a, b in zip(whole, part, strict=True)])
    np.testing.assert_allclose(ratio, 1.0, atol=0.25)
    assert [one.published for one in whole] == [180.0, 431.0, 537.0, 417.0, 282.0]  # none in a veto


def test_limits_published_along_a_lifetime_are_compared_at_each_in_the_final_state_that_they_are_of():
    search = expected.alone(definition.load("b_ks_llp"))
    assert list(search.channels) == ["kplus_mumu"]
    assert search.channels["kplus_mumu"].branching_fraction is None
    spots = [spot.values for spot in expected.places(search)]
    assert len(spots) == expected.MASSES * 6
    assert {spot["ctau_s"] for spot in spots} == {0.001, 0.01, 0.1, 1.0, 10.0, 100.0}
    found = [
        expected.Compared(
            "b_ks_llp", "default", spot, "branching_fraction", 3e-8 * n, 2e-8, 2e-8, "here", 1.0
        )
        for n, spot in enumerate(spots, start=1)
    ]
    tables = catalogue_tables.expected_tables(found)
    assert tables["expected"].rows[0][1] == "m_s = 0.3003, ctau_s = 1"
    assert len(tables["expected"].rows) == len(tables["lifetimes"].rows) == expected.MASSES
    assert tables["lifetimes"].rows[1][:3] == ["`b_ks_llp`", "0.6499", "2.1e-07 / 2e-08 = 10"]
    assert tables["lifetimes"].header[2:5] == ("0.001 cm", "0.01 cm", "0.1 cm")


def test_a_range_of_an_abstract_has_a_ratio_to_its_nearest_end():
    known = ("search", "default", {}, "cross_section")
    below, inside, above = (
        expected.Compared(*known, value, 0.7, 24.0, "arXiv:2306.12294", 1.0).ratio
        for value in (0.35, 3.0, 48.0)
    )
    assert (below, inside, above) == (0.5, 1.0, 2.0)


@pytest.mark.parametrize("name", expected.ABSTRACTS)
def test_ranges_stand_in_for_curves_that_definitions_have_not(name):
    search, abstract = definition.load(name), expected.ABSTRACTS[name]
    assert search.published is None or search.published.source != abstract.source
    assert abstract.low < abstract.high
    assert abstract.source == f"arXiv:{search.reference.arxiv}"
    spots = expected.places(search)
    first = search.scan_axis.name
    assert any(abstract.masses[0] <= spot.values[first] <= abstract.masses[1] for spot in spots)


def section(title):
    text = (Path(__file__).resolve().parents[2] / "docs" / "searches.md").read_text()
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", catalogue.runnable())
def test_the_notes_have_every_search_in_both_tables_and_explain_what_is_off(name):
    beside, injected = section("All searches beside what is published"), section("Injected signals")
    rows = [line.split(" | ") for line in beside.splitlines() if line.startswith(f"| `{name}` |")]
    assert 1 <= len(rows) <= expected.MASSES
    assert any(line.startswith(f"| `{name}` |") for line in injected.splitlines())
    ratios = [row[5] for row in rows]
    close = all(ratio == "within" or (ratio != "–" and 0.5 <= float(ratio) <= 2.0) for ratio in ratios)
    explained = [line for line in beside.splitlines() if line.startswith("- ") and f"`{name}`" in line]
    assert close or explained


def test_the_pulls_of_the_notes_are_within_what_is_asked_for():
    """Columns: search, point, injected, fitted, pull of events, mean pull of toys, width."""
    rows = [line.strip("| ").split(" | ") for line in section("Injected signals").splitlines()]
    rows = [row for row in rows if row[0].startswith("`") and len(row) == 7]
    assert len(rows) > 50
    large = {row[0] for row in rows if row[4] != "–" and abs(float(row[4])) > injection.MOST_PULL}
    said = section("Injected signals").partition("do not come back")[2]
    assert all(name in said for name in large)
    assert all(abs(float(row[5].partition(" ")[0])) < injection.MOST_MEAN for row in rows)


def test_the_command_writes_a_table_into_a_page(darkscan, tmp_path):
    page = tmp_path / "page.md"
    page.write_text("<!-- expected -->\n| old |\n\nAfter.\n")
    answer = darkscan(
        "searches", "expected", "tau_3mu_counts", "-o", tmp_path / "found", "--table", page, "--json"
    )
    assert answer.code == 0
    (one,) = catalogue_tables.comparisons(tmp_path / "found")
    assert answer.json[0]["expected"] == one.expected
    assert "| `tau_3mu_counts` | m_3mu = 1.777 | branching fraction |" in page.read_text()
