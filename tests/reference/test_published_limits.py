"""Limits from generated events beside the published ones: the tables of docs/searches.md, made anew.

`python tests/reference/test_published_limits.py FOLDER` prints the tables.
"""

import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.scan import scan
from scanner import definition, plots

ROOT = Path(__file__).resolve().parents[2]
NOTES = ROOT / "docs" / "searches.md"
REFERENCE = Path(os.environ.get("DARKSCAN_REFERENCE", ROOT.parent / "shared" / "reference"))
SEEDS = {"alp_gg": 11, "zp_mumu": 12, "s_mumu": 12}
TOLERANCE = 0.05
"""Of the tables: limits of few events jump by more when a single event moves, and none should."""
AROUND = {0.31: 0.129, 0.5: 0.157, 1: 0.212, 2: 0.412, 3: 0.549, 4: 0.554, 5: 0.649, 6: 0.544, 7: 0.637}
AROUND |= {8: 0.522, 9: 0.498}
"""Median [pb] of the limits of arXiv:2007.13071 within 10% of a mass [GeV], and within 0.35 GeV at least."""
BELOW = 6.0
"""Mass [GeV] below which the abstract of arXiv:2403.02841 quotes couplings."""
ABSTRACT = {
    "zp_mumu": {"cross section [fb]": (0.046, 0.97), "coupling": (0.0008, 0.039)},
    "s_mumu": {"cross section [fb]": (0.055, 1.3), "coupling": (0.0018, 0.040)},
}


def cubes_of(folder):
    """Generate at the published luminosities and scan; four muons are the background of two searches."""
    serial, made = SerialExecutor(), {}
    for name, source in (("alp_gg", "alp_gg"), ("zp_mumu", "zp_mumu"), ("s_mumu", "zp_mumu")):
        store = folder / f"{source}.zarr"
        if not store.exists():
            generate(definition.load(source), str(store), executor=serial, seed=SEEDS[name])
        made[name] = scan(
            definition.load(name), str(store), str(folder / f"{name}_limits.zarr"), executor=serial
        )
    return made


@pytest.fixture(scope="module")
def cubes(tmp_path_factory):
    return cubes_of(tmp_path_factory.mktemp("published"))


def alp_rows(cube):
    """Mass; expected −1σ, median, +1σ [pb]; published and the ratio to it; the same around; coupling."""
    published = definition.load("alp_gg").published
    limited = cube.isel(m_alp=np.isfinite(cube["cross_section_limit"].to_numpy()))
    rows = []
    values = dict(zip(published.mass, published.value, strict=True))
    for mass in AROUND:
        value = values[mass]
        window = limited.limits.at(m_alp=mass)
        low, median, high = 1e-3 * window["cross_section_limit_expected"].to_numpy()[1:4]
        coupling = 1e3 * float(window["coupling_limit_expected"].sel(quantile=0.5))
        around = AROUND[mass]
        rows.append(
            (
                mass,
                low,
                median,
                high,
                1e-3 * value,
                median / (1e-3 * value),
                around,
                median / around,
                coupling,
            )
        )
    return rows


def muon_rows(name, cube):
    """Lowest and highest observed limit of the paper and of ours, and our lowest and highest median."""
    axis = cube.limits.axis
    rows = []
    for title, published in ABSTRACT[name].items():
        variable = "coupling_limit" if title == "coupling" else "cross_section_limit"
        part = cube.isel({axis: cube[axis].to_numpy() < BELOW}) if title == "coupling" else cube
        observed, median = part[variable], part[f"{variable}_expected"].sel(quantile=0.5)
        rows += [
            (f"{title}, lowest", published[0], float(observed.min()), float(median.min())),
            (f"{title}, highest", published[1], float(observed.max()), float(median.max())),
        ]
    return rows


def rows_of(name, cube):
    return alp_rows(cube) if name == "alp_gg" else muon_rows(name, cube)


def noted(name):
    """Return the numbers of the table of a search in the notes, a tuple a row."""
    text = NOTES.read_text()
    table = re.search(rf"<!-- {name} -->\n(.*?)\n\n", text, re.DOTALL).group(1).splitlines()[2:]
    cells = [[cell.strip() for cell in line.strip("| ").split("|")] for line in table]
    return [[float(cell) for cell in row if re.fullmatch(r"[\d.e-]+", cell)] for row in cells]


def written(row):
    return "| " + " | ".join(cell if isinstance(cell, str) else f"{cell:.3g}" for cell in row) + " |"


@pytest.mark.parametrize("name", SEEDS)
def test_the_tables_of_the_notes_are_what_the_code_gives(cubes, name):
    found = [[value for value in row if not isinstance(value, str)] for row in rows_of(name, cubes[name])]
    assert len(noted(name)) == len(found)
    for stated, row in zip(noted(name), found, strict=True):
        assert stated == pytest.approx(row, rel=TOLERANCE)


def test_alp_limits_are_within_a_factor_of_two_of_those_published_around(cubes):
    ratios = {row[0]: row[7] for row in alp_rows(cubes["alp_gg"])}
    assert all(0.5 < ratio < 2.0 for ratio in ratios.values()), ratios


def test_alp_limits_are_within_a_factor_of_two_of_the_published_but_where_the_notes_say_why(cubes):
    ratios = {row[0]: row[5] for row in alp_rows(cubes["alp_gg"])}
    assert {mass for mass, ratio in ratios.items() if not 0.5 < ratio < 2.0} == {4.0, 8.0}


def test_no_median_sticks_out_at_the_border_of_the_regions(cubes):
    """The windows reach across it, so that a signal at an edge is not lost in the polynomial."""
    cube = cubes["alp_gg"]
    median = cube["cross_section_limit_expected"].sel(quantile=0.5)
    near = median.isel(m_alp=np.abs(cube["m_alp"].to_numpy() - 6.85) < 0.4)
    assert float(near.max() / near.min()) < 1.3


def test_couplings_follow_from_the_cross_sections_by_the_formula(cubes):
    """σ = g²α/24 (1−m²/s)³ with 1/GeV² = 0.3893794e9 pb, in every window."""
    cube = cubes["alp_gg"]
    mass = cube["m_alp"].to_numpy()
    sigma = 1e-3 * cube["cross_section_limit"].to_numpy() / 0.3893794e9
    coupling = np.sqrt(24.0 * 137.036 * sigma / (1.0 - (mass / 10.58) ** 2) ** 3)
    np.testing.assert_allclose(cube["coupling_limit"].to_numpy(), coupling, rtol=1e-5)


def test_the_plot_shows_cross_section_and_coupling_with_a_gap_between_the_regions(cubes, tmp_path):
    cube = cubes["alp_gg"]
    figure = plots.overview_plot(cube)
    sigma, coupling, _ = figure.axes
    assert "Cross section" in sigma.get_ylabel()
    assert "Coupling" in coupling.get_ylabel()
    for panel in (sigma, coupling):
        curves = [np.asarray(line.get_xdata(), dtype=float) for line in panel.get_lines()]
        long = [x for x in curves if x.size > 100]  # not the published points
        assert any(x.max() == 6.85 for x in long)
        assert not any(x.min() < 6.8 and x.max() > 6.9 for x in long)
    plots.save(figure, tmp_path / "alp_gg.png")


@pytest.mark.parametrize("name", ABSTRACT)
def test_four_muon_limits_begin_within_a_factor_of_two_of_the_published(cubes, name):
    """The lowest ones, where few events decide; the notes say why the highest ones differ."""
    for title, published, observed, _ in muon_rows(name, cubes[name]):
        if "lowest" in title:
            assert 0.5 < observed / published < 1.0, title


def test_the_published_file_has_the_numbers_that_are_entered(cubes):
    path = REFERENCE / "limits" / "Belle2_gamma_binned.txt"
    if not path.is_file():
        pytest.skip(f"no {path}")
    mass, end, limit = np.loadtxt(path).T
    for place, value in AROUND.items():
        near = np.abs(mass - place) < max(0.35, 0.1 * place)
        assert value == pytest.approx(np.median(limit[near]), abs=0.00051)
    published = definition.load("alp_gg").published
    median = 1e-3 * cubes["alp_gg"]["cross_section_limit_expected"].sel(quantile=0.5).to_numpy()
    ratio = median / np.interp(cubes["alp_gg"]["m_alp"].to_numpy(), mass, limit)
    assert 0.5 < np.nanmedian(ratio) < 1.0
    assert np.mean((ratio > 0.5) & (ratio < 2.0)) > 0.7  # of all windows, against observed limits
    for place, value in zip(published.mass, published.value, strict=True):
        beside = limit[(mass < place + 0.02) & (end > place - 0.02)]
        assert np.abs(beside - 1e-3 * value).min() < 0.0051, place


if __name__ == "__main__":
    for search, made in cubes_of(Path(sys.argv[1])).items():
        print(f"<!-- {search} -->", *(written(row) for row in rows_of(search, made)), sep="\n")
