"""Figures hold the lines, labels, units and gaps of what they are given."""

import json

import matplotlib as mpl
import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import PolyCollection

from scanner import plots
from scanner.constants import QUANTILES
from scanner.errors import InputError
from scanner.plots import curves, labels, overlays, pieces, projections

WINDOWS = 60
VETO = slice(20, 24)


def limit_cube(windows=WINDOWS):
    mass = np.linspace(1.0, 9.0, windows)
    median = 1e-3 * mass
    expected = median[:, None] * np.array([0.5, 0.7, 1.0, 1.4, 1.9])
    observed = median * 1.1
    z_local = np.sin(mass)
    z_local[windows // 2] = 4.5
    coordinates = {
        "m_zprime": ("m_zprime", mass, {"units": "GeV", "long_name": "Z′ mass"}),
        "quantile": list(QUANTILES),
        "region": ("m_zprime", np.full(windows, "all")),
    }
    wide = ("m_zprime", "quantile")
    variables = {
        "coupling_limit": ("m_zprime", observed, {"units": "1", "long_name": "coupling g′"}),
        "coupling_limit_expected": (wide, expected, {"units": "1", "long_name": "coupling g′"}),
        "cross_section_limit": (
            "m_zprime",
            1e6 * observed**2,
            {"units": "fb", "long_name": "upper limit on the cross section"},
        ),
        "cross_section_limit_expected": (wide, 1e6 * expected**2, {"units": "fb"}),
        "yield_limit": ("m_zprime", 1e4 * observed, {"units": "1", "long_name": "signal yield"}),
        "z_local": ("m_zprime", z_local, {"units": "1"}),
    }
    attributes = {
        "search": "zp_mumu",
        "title": "e+e- → μ+μ-Z′, Z′ → μ+μ-",
        "experiment": "Belle II",
        "confidence_level": 0.9,
        "luminosity": 178.0,
        "sqrt_s": 10.58,
    }
    return xr.Dataset(variables, coordinates, attributes)


def vetoed():
    cube = limit_cube()
    for name in ("coupling_limit", "coupling_limit_expected", "z_local"):
        cube[name][VETO] = np.nan
    return cube


def projection(scenarios=("statistical", "constant systematics")):
    luminosity = np.array([1000.0, 178.0, 50000.0])
    expected = limit_cube()["coupling_limit_expected"]
    scale = xr.DataArray((178.0 / luminosity) ** 0.25, {"luminosity": luminosity}, "luminosity")
    size = xr.DataArray([1.0, 1.2][: len(scenarios)], {"scenario": list(scenarios)}, "scenario")
    cube = (expected * scale * size).assign_attrs(expected.attrs).to_dataset(name="coupling_limit_expected")
    return cube.assign_attrs(limit_cube().attrs)


def line(axes, label):
    (found,) = [entry for entry in axes.lines if entry.get_label() == label]
    return found


def texts(axes):
    return [entry.get_text() for entry in axes.texts]


def entries(axes):
    return [entry.get_text() for entry in axes.get_legend().get_texts()]


def test_limit_plot_draws_the_numbers_of_the_cube():
    cube = limit_cube()
    upper, lower = plots.limit_plot(cube).axes
    np.testing.assert_array_equal(line(upper, pieces.OBSERVED).get_ydata(), cube["coupling_limit"])
    np.testing.assert_array_equal(
        line(upper, pieces.MEDIAN).get_ydata(), cube["coupling_limit_expected"].sel(quantile=0.5)
    )
    np.testing.assert_array_equal(lower.lines[0].get_ydata(), cube["z_local"])
    assert upper.get_yscale() == "log"
    assert upper.get_ylim()[1] > cube["coupling_limit_expected"].max()


def test_bands_reach_from_quantile_to_quantile():
    cube = limit_cube()
    upper, _ = plots.limit_plot(cube).axes
    fills = {entry.get_label(): entry for entry in upper.collections if isinstance(entry, PolyCollection)}
    for label, low, high in ((pieces.BAND_95, 0.025, 0.975), (pieces.BAND_68, 0.16, 0.84)):
        corners = fills[label].get_paths()[0].vertices
        first = corners[corners[:, 0] == cube["m_zprime"].values[7]][:, 1]
        ends = cube["coupling_limit_expected"].isel(m_zprime=7).sel(quantile=[low, high])
        assert {first.min(), first.max()} == set(ends.values.tolist())


@pytest.mark.parametrize(
    ("variable", "label"),
    [
        ("coupling", "Coupling g′"),
        ("cross_section", "Cross section [fb]"),
        ("yield", "Signal yield"),
        (None, "Coupling g′"),
    ],
)
def test_axes_carry_name_and_unit(variable, label):
    upper, lower = plots.limit_plot(limit_cube(), variable).axes
    assert upper.get_ylabel() == label
    assert lower.get_xlabel() == "$m_{Z′}$ [GeV]"


def test_legend_and_header_say_what_is_drawn():
    upper, _ = plots.limit_plot(limit_cube()).axes
    assert entries(upper) == [pieces.OBSERVED, pieces.MEDIAN, pieces.BAND_68, pieces.BAND_95]
    assert upper.get_legend().get_title().get_text().endswith("90% CL upper limits")
    assert "Belle II" in texts(upper)
    (right,) = [text for text in texts(upper) if "sqrt" in text]
    assert "178 fb$^{-1}$" in right
    assert "10.58 GeV" in right


@pytest.mark.parametrize("luminosity", [np.nan, None, 0.0])
def test_an_unknown_luminosity_is_left_out(luminosity):
    upper, _ = plots.limit_plot(limit_cube().assign_attrs(luminosity=luminosity)).axes
    assert "$\\sqrt{s}$ = 10.58 GeV" in texts(upper)


def test_simulated_data_are_named_as_such():
    upper, _ = plots.limit_plot(limit_cube().assign_attrs(data_kind="pseudodata")).axes
    assert "pseudodata" in texts(upper)


def test_vetoes_are_gaps_on_grey():
    cube = vetoed()
    upper, lower = plots.limit_plot(cube).axes
    assert np.isnan(line(upper, pieces.OBSERVED).get_ydata()[VETO]).all()
    mass = cube["m_zprime"].values
    for axes in (upper, lower):
        (grey,) = [entry for entry in axes.collections if entry.get_label() == pieces.NO_LIMIT]
        (path,) = grey.get_paths()
        low, high = path.vertices[:, 0].min(), path.vertices[:, 0].max()
        assert mass[19] < low < mass[20]
        assert mass[23] < high < mass[24]


def test_regions_are_not_joined():
    cube = limit_cube().assign_coords(region=("m_zprime", np.repeat(["diphoton", "recoil"], [25, 35])))
    upper, lower = plots.limit_plot(cube).axes
    for axes in (upper, lower):
        lengths = [len(entry.get_xdata()) for entry in axes.lines if len(entry.get_xdata()) > 2]
        assert set(lengths) == {25, 35}
    assert entries(upper).count(pieces.OBSERVED) == 1


def test_a_value_alone_between_gaps_is_a_dot():
    cube = limit_cube()
    cube["coupling_limit"][10] = np.nan
    cube["coupling_limit"][12] = np.nan
    upper, _ = plots.limit_plot(cube).axes
    (dot,) = [entry for entry in upper.lines if entry.get_marker() == "."]
    assert dot.get_xdata() == cube["m_zprime"].values[[11]]


def test_largest_excess_is_marked():
    _, lower = plots.limit_plot(limit_cube()).axes
    (ring,) = [entry for entry in lower.lines if entry.get_marker() == "o"]
    assert ring.get_ydata() == [4.5]
    assert any(text.startswith("4.5$\\sigma$ at 5.") and text.endswith("GeV") for text in texts(lower))


def test_an_infinite_significance_is_an_arrow_at_the_top():
    cube = limit_cube()
    cube["z_local"][7] = np.inf
    _, lower = plots.limit_plot(cube).axes
    (arrow,) = [entry for entry in lower.lines if entry.get_marker() == "^"]
    assert arrow.get_xdata() == cube["m_zprime"].values[[7]]
    assert 4.5 < arrow.get_ydata()[0] < lower.get_ylim()[1]


def test_overlay_is_drawn_and_named():
    published = plots.Overlay("PRL $5 (2024)", [2.0, 4.0, 6.0], [1e-2, 2e-2, 3e-2])
    upper, _ = plots.limit_plot(limit_cube(), overlay=published).axes
    assert r"PRL \$5 (2024)" in entries(upper)
    assert upper.get_ylim()[1] > 3e-2


def test_published_limits_of_the_cube_follow_the_variable():
    published = {"quantity": "coupling", "label": "Published", "mass": [2, 3, 4], "value": [0.1, None, 0.1]}
    cube = limit_cube().assign_attrs(published=json.dumps(published))
    assert "Published" in entries(plots.limit_plot(cube, "coupling").axes[0])
    assert "Published" not in entries(plots.limit_plot(cube, "cross_section").axes[0])
    assert np.isnan(line(plots.limit_plot(cube).axes[0], "Published").get_ydata()[1])


def test_draw_takes_one_limit_or_all():
    assert len(plots.draw(limit_cube()).axes) == 3
    assert plots.draw(limit_cube(), "yield").axes[0].get_ylabel() == "Signal yield"


def test_overview_stacks_cross_section_and_coupling():
    figure = plots.overview_plot(limit_cube())
    assert [axes.get_ylabel() for axes in figure.axes[:2]] == ["Cross section [fb]", "Coupling g′"]
    assert len(figure.axes) == 3
    assert figure.axes[0].get_xlim() == figure.axes[2].get_xlim()


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_saved_bytes_are_the_same_each_time(tmp_path, suffix):
    first = plots.save(plots.limit_plot(vetoed()), tmp_path / f"a.{suffix}").read_bytes()
    second = plots.save(plots.limit_plot(vetoed()), tmp_path / f"b.{suffix}").read_bytes()
    assert first == second
    assert b"Date" not in first
    assert plots.save(plots.limit_plot(limit_cube()), tmp_path / f"b.{suffix}").read_bytes() != first


def test_users_settings_do_not_leak_in_or_out():
    plain = plots.files.render(plots.limit_plot(limit_cube()), ".svg")
    with mpl.rc_context({"font.size": 30.0, "lines.linewidth": 9.0}):
        assert plots.files.render(plots.limit_plot(limit_cube()), ".svg") == plain
        assert mpl.rcParams["font.size"] == 30.0


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("plot.gif", "ends in one of .png, .pdf, .svg"),
        ("missing/plot.png", "does not exist; make it first"),
        ("folder.png", "cannot be written"),
    ],
)
def test_save_refuses_what_it_cannot_write(tmp_path, name, message):
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(InputError, match=message):
        plots.save(plots.limit_plot(limit_cube()), tmp_path / name)


@pytest.mark.parametrize("windows", [1, 2])
def test_few_windows(windows):
    figure = plots.limit_plot(limit_cube(windows))
    assert plots.files.render(figure, ".png")
    low, high = figure.axes[-1].get_xlim()
    assert low < high


@pytest.mark.parametrize("name", ["coupling_limit", "coupling_limit_expected", "z_local"])
def test_variables_without_a_number(name):
    cube = limit_cube()
    cube[name][:20], cube[name][20:40], cube[name][40:] = np.nan, np.inf, 0.0
    assert plots.files.render(plots.limit_plot(cube), ".png")


def test_no_limit_at_all_is_said():
    cube = limit_cube()
    for name in ("coupling_limit", "coupling_limit_expected", "z_local"):
        cube[name][:] = np.nan
    upper, _ = (figure := plots.limit_plot(cube)).axes
    assert "no limit in any window" in texts(upper)
    assert plots.files.render(figure, ".png")


def test_a_cube_without_expectation_or_significance():
    figure = plots.limit_plot(limit_cube()[["yield_limit"]])
    assert len(figure.axes) == 1
    assert entries(figure.axes[0]) == [pieces.OBSERVED]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda cube: cube[["z_local"]], "no limits to draw"),
        (lambda cube: cube.isel(m_zprime=[]), "no windows along m_zprime"),
        (lambda cube: cube.expand_dims(configuration=["a", "b"]), "choose a point of the others"),
        (lambda cube: cube.isel(quantile=[0, 2]), "lacks some of the quantiles"),
        (lambda cube: cube.assign_attrs(published="[1, 2]"), "`published` cannot be drawn"),
    ],
)
def test_cubes_that_cannot_be_drawn(change, message):
    with pytest.raises(InputError, match=message):
        plots.limit_plot(change(limit_cube()))


def test_unknown_variable_names_those_there_are():
    with pytest.raises(InputError, match=r"no limit on 'mass': choose one of \['coupling', 'cross_section'"):
        plots.limit_plot(limit_cube(), "mass")


def test_one_configuration_needs_no_choice():
    cube = limit_cube().expand_dims(configuration=["only"])
    assert plots.limit_plot(cube).axes[0].get_ylabel() == "Coupling g′"


@pytest.mark.parametrize(
    "title", ["a $ b $\\frac{", "x_{", "line\nbreak\x00", "%s {0} \\", "very long " * 40]
)
def test_hostile_titles_are_drawn_as_text(title):
    figure = plots.limit_plot(limit_cube().assign_attrs(title=title, experiment=title))
    assert plots.files.render(figure, ".svg")


def test_overlays_need_equal_lengths():
    with pytest.raises(InputError, match="two lists of equal length"):
        plots.Overlay("published", [1.0, 2.0], [1.0])


def test_projection_names_each_luminosity_beside_its_curve():
    (axes,) = plots.projection_plot(projection()).axes
    ends = {entry.get_text(): entry.xy[1] for entry in axes.texts if "b$^{-1}$" in entry.get_text()}
    assert sorted(ends, key=ends.get) == ["50 ab$^{-1}$", "1 ab$^{-1}$", "178 fb$^{-1}$"]
    colours = {entry.get_color() for entry in axes.texts if entry.get_text() in ends}
    assert len(colours) == 3


def test_projection_draws_scenarios_in_line_styles():
    (axes,) = plots.projection_plot(projection()).axes
    drawn = [entry for entry in axes.lines if len(entry.get_xdata()) == WINDOWS]
    assert len(drawn) == 6
    assert {entry.get_linestyle() for entry in drawn} == {"-", "--"}
    assert {"statistical", "constant systematics"} <= set(entries(axes))
    assert any("95% expected, 178 fb" in text for text in entries(axes))


def test_projection_at_one_luminosity_without_scenarios():
    cube = projection(("statistical",)).isel(scenario=0, drop=True).isel(luminosity=2)
    (axes,) = plots.projection_plot(cube.assign_attrs(systematics="statistical errors only")).axes
    assert axes.get_legend().get_title().get_text().endswith("statistical errors only")
    assert "50 ab$^{-1}$" in texts(axes)


def test_projection_needs_luminosities():
    with pytest.raises(InputError, match="darkscan project"):
        plots.projection_plot(limit_cube())


def test_crowded_labels_are_moved_apart_as_little_as_needed():
    spaced = projections._apart(np.array([0.5, 0.1, 0.5]))
    np.testing.assert_allclose(
        spaced, [0.5 - projections.SPACING / 2, 0.1, 0.5 + projections.SPACING / 2], rtol=1e-12
    )


def test_spectrum_is_the_whole_histogram_with_its_markers():
    counts = np.array([1000, 400, 0, 30, 1])
    figure = plots.spectrum_plot(
        np.linspace(0.0, 5.0, 6), counts, label="m(μμ)", markers=[plots.Marker(3.2, "here")]
    )
    (axes,) = figure.axes
    np.testing.assert_array_equal(axes.patches[0].get_data().values, counts)
    assert axes.get_yscale() == "log"
    assert axes.get_xlabel() == "m(μμ) [GeV]"
    (marker,) = [entry for entry in axes.texts if entry.get_text() == "here"]
    assert marker.xy == (3.2, 30.0)
    assert plots.files.render(figure, ".png")


def test_an_empty_spectrum_is_drawn():
    assert plots.files.render(plots.spectrum_plot([0.0, 1.0, 2.0], [0, 0], label="m"), ".png")


def test_window_shows_pulls_to_the_fit():
    edges, counts = np.linspace(3.0, 3.4, 5), np.array([12.0, 25.0, 9.0, 0.0])
    figure = plots.window_plot(edges, counts, [9.0, 9.0, 9.0, 0.0], [0.0, 7.0, 0.0, 0.0], label="m(μμ)")
    upper, lower = figure.axes
    heights = [bar.get_height() for bar in lower.patches]
    np.testing.assert_allclose(heights, [1.0, 9.0 / 4.0, 0.0, np.nan])
    assert entries(upper) == ["Data", "Signal + background", "Background"]
    assert plots.files.render(figure, ".png")


@pytest.mark.parametrize(
    ("edges", "counts", "message"),
    [([0, 1, 2], [1], "one edge more than bins"), ([0], [], "at least one bin"), ([0, 2, 1], [1, 1], "rise")],
)
def test_histograms_that_do_not_fit(edges, counts, message):
    with pytest.raises(InputError, match=message):
        plots.spectrum_plot(edges, counts, label="m")


@pytest.mark.parametrize(
    ("value", "text"),
    [(178.0, "178 fb$^{-1}$"), (0.445, "445 pb$^{-1}$"), (5e4, "50 ab$^{-1}$"), (1000.0, "1 ab$^{-1}$")],
)
def test_luminosities_read_well(value, text):
    assert labels.luminosity(value) == text


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("e+e- → γa", "e$^{+}$e$^{-}$ → γa"),
        ("mu+mu-", "mu$^{+}$mu$^{-}$"),
        ("1e+4", "1e+4"),
        ("fb⁻¹", "fb$^{-1}$"),
        ("χ₁", "χ$_{1}$"),
        ("scale+offset", "scale+offset"),
        ("g_aγγ", "g$_{aγγ}$"),
        ("my_file_name", "my_file_name"),
    ],
)
def test_charges_and_powers_are_raised(text, drawn):
    assert labels.plain(text) == drawn


@pytest.mark.parametrize(
    ("units", "drawn"),
    [("fb^-1", "fb$^{-1}$"), ("GeV**-2", "GeV$^{-2}$"), ("1", ""), ("", ""), ("GeV", "GeV")],
)
def test_units(units, drawn):
    assert labels.unit(units) == drawn


def test_gaps_reach_half_way_to_their_neighbours():
    mass, values = np.arange(6.0), np.array([np.nan, 1.0, np.nan, np.nan, 1.0, np.nan])
    assert list(curves.gaps(mass, values, (slice(0, 6),))) == [(0.0, 0.5), (1.5, 3.5), (4.5, 5.0)]
    assert list(curves.gaps(mass, values, (slice(0, 3), slice(3, 6)))) == [
        (0.0, 0.5),
        (1.5, 2.0),
        (3.0, 3.5),
        (4.5, 5.0),
    ]


def test_limits_of_prompt_decays_are_nearest_to_a_lifetime_of_zero():
    lifetimes = np.array([0.0, 0.1, 1.0, 10.0])
    assert overlays.apart(lifetimes, 0.0).argmin() == 0
    assert [int(overlays.apart(lifetimes, value).argmin()) for value in (0.08, 2.0, 400.0)] == [1, 2, 3]
    prompt, late = (xr.Dataset(coords={"ctau": value}) for value in (0.0, 1.0))
    assert overlays.distance(prompt, {"ctau": 0.0}) == 0.0
    assert overlays.distance(prompt, {"ctau": 1.0}) > overlays.distance(late, {"ctau": 10.0})
