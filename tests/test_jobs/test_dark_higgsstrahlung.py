"""The search for dark Higgsstrahlung from the command line: pseudodata, simulation, plane of limits."""

import pytest

SEARCH = """
extends: dark_higgsstrahlung
name: narrow
scan:
  m_aprime: {range: [5.6 GeV, 6.4 GeV], step: 2 resolution, title: dark photon mass}
  m_hprime: {range: [1.4 GeV, 2.6 GeV], step: 1.5 resolution(m_recoil), title: dark Higgs mass}
"""


@pytest.fixture
def search(tmp_path):
    path = tmp_path / "narrow.yaml"
    path.write_text(SEARCH)
    return path


def test_an_injected_signal_is_found_in_the_plane(darkscan, search, tmp_path):
    store, cube = tmp_path / "events.zarr", tmp_path / "cube.zarr"
    inject = "m_aprime=6 GeV,m_hprime=2 GeV,cross_section=1500fb"
    made = darkscan("generate", search, store, "--luminosity", "20/pb", "--inject", inject, "--json")
    assert made.json["luminosity"] == 0.02
    report = darkscan("scan", search, store, "-o", cube, "--json").json
    assert report["method"] == {"bayesian": report["status"]["ok"]}
    assert report["largest_excess"]["place"]["m_aprime"] == pytest.approx(6.0, abs=0.04)
    assert report["largest_excess"]["place"]["m_hprime"] == pytest.approx(2.0, abs=0.15)
    window = darkscan("query", cube, "--at", "m_aprime=6,m_hprime=2", "--json").json["values"]
    # 30 events of the signal are produced, and 57% of them counted.
    assert window["n_observed"] - window["n_background"] == pytest.approx(17, abs=12)
    assert window["cross_section_limit"] == pytest.approx(
        window["yield_limit"] / (0.02 * window["efficiency"]), rel=1e-9
    )
