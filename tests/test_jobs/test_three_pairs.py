"""Searches for three dark photons from the command line: counts in boxes over sidebands."""

import pytest

SEARCHES = {
    "dark_higgsstrahlung_6": (
        "m_hprime: {range: [2.8 GeV, 3.2 GeV], step: 6 resolution(m_two), title: dark Higgs mass}",
        "m_aprime=0.5 GeV,m_hprime=3 GeV",
    ),
    "darkonium": (
        "m_upsilon: {range: [2.8 GeV, 3.2 GeV], step: 6 resolution(m_six), title: mass of the bound state}",
        "m_aprime=0.5 GeV,m_upsilon=3 GeV",
    ),
}


@pytest.mark.parametrize("name", SEARCHES)
def test_an_injected_signal_is_the_largest_excess(darkscan, tmp_path, name):
    axis, point = SEARCHES[name]
    file, store, cube = tmp_path / "own.yaml", tmp_path / "events.zarr", tmp_path / "cube.zarr"
    file.write_text(
        f"extends: {name}\nname: own\nscan:\n"
        f"  m_aprime: {{range: [0.4 GeV, 0.6 GeV], step: 6 resolution}}\n  {axis}\n"
    )
    darkscan("generate", file, store, "--luminosity", "50/fb", "--inject", f"{point},cross_section=2fb")
    report = darkscan("scan", file, store, "-o", cube, "--json").json
    masses = list(report["largest_excess"]["place"].values())
    assert masses[0] == pytest.approx(0.5, abs=0.01)
    assert masses[1] == pytest.approx(3.0, abs=0.05)
    assert report["largest_excess"]["z_local"] > 5.0
    assert report["method"] == {"counting": report["status"]["ok"]}
