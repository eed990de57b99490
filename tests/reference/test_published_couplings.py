"""Published rates through the models give the published couplings; definitions quote what is published.

Files are those of `DARKSCAN_REFERENCE`; tests of absent ones are skipped. There is no pair to compare where
couplings alone are published, of the visible and the invisible dark photon (1406.2980, 1702.03327) and the
pilot search for Z′ → invisible (1912.11276), or branching fractions alone, of B⁺ → K⁺a, B → KS and τ → lα.
Couplings become cross sections there, and branching fractions couplings, whose sizes other numbers bound.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from scanner import definition
from scanner.constants import SQRT_S
from scanner.islands import Curve
from scanner.models import MODELS
from scanner.models.dark_higgsstrahlung import DarkHiggsstrahlung
from scanner.models.hadrons import r_ratio

REFERENCE = Path(
    os.environ.get("DARKSCAN_REFERENCE", Path(__file__).resolve().parents[3] / "shared" / "reference")
)


def table(name, **options):
    path = REFERENCE / name
    if not path.is_file():
        pytest.skip(f"no {name} in {REFERENCE}: set DARKSCAN_REFERENCE to the folder of the published tables")
    rows = np.loadtxt(path, **options)
    return rows[np.isfinite(rows).all(axis=1)].T


def test_cross_sections_of_alps_give_the_coupling_of_the_paper():
    """2007.13071: "95% confidence level upper limits on the coupling … at the level of 10⁻³ GeV⁻¹"."""
    low, high, sigma = table("limits/Belle2_gamma_binned.txt")
    mass = 0.5 * (low + high)
    g = MODELS["alp_photon"].coupling_limit(1e3 * sigma, mass, SQRT_S)
    assert 0.5e-3 < g.min() < 1e-3
    assert (g[mass < 5.0] < 4e-3).all()


@pytest.mark.parametrize(
    ("model", "sigma", "coupling"),
    [
        ("zprime_lmu_ltau", (0.046, 0.97), (0.0008, 0.039)),
        ("muonphilic_scalar", (0.055, 1.3), (0.0018, 0.040)),
    ],
)
def test_cross_sections_of_four_muons_bracket_the_couplings_of_the_abstract(model, sigma, coupling):
    """2403.02841: ranges of σ×B [fb] over all masses, and of the coupling below 6 GeV.

    The lowest and the highest coupling each lie between those of the lowest and the highest cross section.
    """
    mass = np.linspace(0.2125, 6.0, 400)
    least, most = (MODELS[model].coupling_limit(s, mass, SQRT_S, "mu_mu") for s in sigma)
    assert least.min() < coupling[0] < most.min()
    assert least.max() < coupling[1] < most.max()


def test_cross_sections_of_dark_higgsstrahlung_bracket_those_of_the_abstract():
    """2207.00509: 1.7 to 5.0 fb in A′ → μμ are ε²α_D of 1.7e-8 to 2.0e-6 for 4.0 < m_A′ < 9.7 GeV."""
    photon, light, heavy = np.linspace(4.0, 9.7, 58), 0.01, []
    fraction = MODELS["dark_photon"].branching_fraction(photon, "mu_mu")
    best = DarkHiggsstrahlung(m_hprime=light).production(photon, SQRT_S) * fraction
    assert (1.7 / best).min() < 1.7e-8 < (5.0 / best).min()
    # The largest is at the kinematic end of the plane, m_h′ just below m_A′.
    for mass, share in zip(photon, fraction, strict=True):
        end = min(mass, 10.51 - mass)
        heavy.append(float(DarkHiggsstrahlung(m_hprime=end).production(mass, SQRT_S)) * share)
    assert 1.7 / min(heavy) < 2.0e-6
    assert 5.0 / min(heavy) == pytest.approx(2.0e-6, rel=0.15)


WEAK_CHARGE = 0.302822
"""What couplings of the file of 1912.11276 are to be multiplied with: the charge of the positron."""
QUOTED = {
    "alp_gg": ("limits/Belle2_gamma_binned.txt", 1e3),
    "b_ka": ("limits/babar_bkphotons_prompt.txt", 1.0),
    "tau_lalpha": ("limits/BelleII_tau_e.txt", 1.0),
    "ap_inv": ("limits/BaBar_Lees2017lec.lmt", 1.0),
    "ap_vis": ("limits/BaBar_Lees2014xha.lmt", 1.0),
    "zp_inv": ("limits/BelleII_Adachi2019otg.lmt", WEAK_CHARGE),
}


@pytest.mark.parametrize("name", QUOTED)
def test_a_definition_quotes_what_is_published(name):
    """To the digits that a definition has: at its masses the file has that value, or one on either side."""
    file, scale = QUOTED[name]
    columns = table(file)
    mass, value = 0.5 * (columns[0] + columns[-2 if len(columns) > 2 else 0]), scale * columns[-1]
    known = value < 1e4 * scale
    mass, value = mass[known], value[known]
    published = definition.load(name).published
    for m, quoted in zip(published.mass, published.value, strict=True):
        near = value[np.argsort(np.abs(mass - m))[:4]]
        assert near.min() * 0.99 < quoted < near.max() * 1.01, f"{quoted} at {m} GeV"


def lived_limits():
    """Return masses, lifetimes [cm] and limits (mass, lifetime) on B⁺ → K⁺S, S → μμ of 2306.02830."""
    columns = table("limits/belleII_BKmumu_displ.csv", delimiter=",", skiprows=1)
    names = (REFERENCE / "limits/belleII_BKmumu_displ.csv").read_text().partition("\n")[0].split(",")[1:]
    lengths = [float(name.removeprefix("BRUL_ctau_").removesuffix("cm")) for name in names]
    return columns[0], np.array(lengths), columns[1:].T


def test_the_definition_of_b_ks_llp_quotes_the_limits_at_its_lifetimes():
    """To two digits, at the nearest mass."""
    mass, lengths, limits = lived_limits()
    published = definition.load("b_ks_llp").published
    nearest = np.abs(mass[:, None] - published.mass).argmin(axis=0)
    assert len(published.places) == 6
    for place in published.places:
        (column,) = np.flatnonzero(lengths == place["ctau_s"])
        np.testing.assert_allclose(published.curve(place), limits[nearest, column], rtol=0.05)


def test_limits_on_a_scalar_are_an_island_of_its_mixing_angle():
    """No couplings are published: those that `scanner.islands` finds are held against a fine grid."""
    mass, lengths, limits = lived_limits()
    chosen = np.abs(mass[:, None] - (0.25, 0.4, 0.7, 1.5, 2.0)).argmin(axis=0)
    mass, limits, scalar = mass[chosen], limits[chosen], MODELS["dark_scalar"]
    reach = scalar.production(mass, SQRT_S) * scalar.branching_fraction(mass, "mu_mu")
    curve = Curve((lengths,), reach, ((scalar.decay_length(mass), 2.0),), 2.0, scalar.largest)
    found = curve.excluded(limits)
    angles = np.geomspace(1e-6, 1.0, 60_001)
    for window in range(len(mass)):
        ctau = scalar.decay_length(mass[window]) / angles**2
        known = (ctau >= lengths[0]) & (ctau <= lengths[-1])
        limit = np.exp(np.interp(np.log(ctau), np.log(lengths), np.log(limits[window])))
        excluded = angles[known & (reach[window] * angles**2 > limit)]
        np.testing.assert_allclose(found[window, 0], [excluded[0], excluded[-1]], rtol=5e-4)
        assert np.isnan(found[window, 1:]).all()
        assert np.all(np.diff(np.log(excluded)) < 1e-3)
    # Lifetimes from 10 µm on leave the upper ends of light scalars open.
    np.testing.assert_array_equal(curve.open(limits, found)[:2, 0], [[0, 1], [0, 1]])


def test_lifetimes_of_alps_are_those_of_foresee():
    """2105.07077 takes ħc as 2e-14 GeV cm, and for the W coupling sin²θ_W of 0.2229, of the W mass."""
    mass, ctau = table("tables/foresee/ALP-photon/ctau.txt")
    ours = MODELS["alp_photon"].decay_length(mass) / 100.0
    np.testing.assert_allclose(ours, ctau * 1.973269804 / 2.0, rtol=1e-4)
    mass, ctau = table("tables/foresee/ALP-W/ctau.txt")
    ours = MODELS["alp_w"].decay_length(mass) / 100.0
    np.testing.assert_allclose(ours, ctau * 1.973269804 / 2.0 * (0.2229 / 0.2312) ** 2, rtol=1e-3)


@pytest.mark.parametrize(("state", "file"), [("e_e", "bfrac_elec"), ("mu_mu", "bfrac_muon")])
def test_leptons_of_the_dark_photon_are_those_of_foresee(state, file):
    mass, fraction = table(f"tables/foresee/DarkPhoton/{file}.txt")
    chosen = (fraction > 0) & (mass > 0.02) & ((mass < 0.6) | ((mass > 1.1) & (mass < 1.9)))
    ours = MODELS["dark_photon"].branching_fraction(mass[chosen], state)
    assert np.median(np.abs(ours / fraction[chosen] - 1)) < 0.02
    np.testing.assert_allclose(ours, fraction[chosen], rtol=0.12)


def test_the_ratio_of_hadrons_is_that_of_alpinist():
    """2201.05170; narrow steps of ω and φ are interpolated, and left out here."""
    mass, ratio = table("tables/alpinist_R/R_hadrons.dat")
    chosen = (mass > 0.3) & (mass < 2.0) & (np.abs(mass - 1.02) > 0.04)
    np.testing.assert_allclose(r_ratio(mass[chosen]), ratio[chosen], rtol=0.07)


def test_the_note_of_tau_lalpha_quotes_the_limits_with_muons():
    mass, _, limit = table("limits/BelleII_tau_mu.txt")
    published = definition.load("tau_lalpha").published
    assert mass[1:].tolist() == list(published.mass[1:])
    quoted = published.note.split(":")[1].removesuffix("e-3").split(",")
    assert [float(each) for each in quoted] == pytest.approx(1e3 * limit)


@pytest.mark.parametrize("file", ["BelleII_tau_e.txt", "BelleII_tau_mu.txt"])
def test_limits_on_tau_to_alpha_are_scales_of_millions_of_gev(file):
    """At F = 10⁷ GeV a massless α has a branching fraction of 4.9·10⁻⁴."""
    mass, _, limit = table(f"limits/{file}")
    inverse = MODELS["tau_alpha"].coupling_limit(limit[0], 1e-6, SQRT_S)
    assert inverse == pytest.approx(1e-7 * np.sqrt(limit[0] / 4.9e-4), rel=5e-3)
    scales = 1 / MODELS["tau_alpha"].coupling_limit(limit[1:], mass[1:], SQRT_S)
    assert ((scales > 2e6) & (scales < 1.2e7)).all()


def test_limits_on_b_to_kaon_alp_are_couplings_whose_decays_are_prompt_above_1_gev():
    """2111.01800 takes decays for prompt; at 2 GeV the models have B = 2.1·10⁻⁷ and 0.93 mm at 10⁻⁵/GeV."""
    mass, _, limit = table("limits/babar_bkphotons_prompt.txt")
    model = MODELS["alp_w"]
    coupling = model.coupling_limit(limit, mass, SQRT_S)
    at = np.argmin(np.abs(mass - 2.0))
    assert coupling[at] == pytest.approx(1e-5 * np.sqrt(limit[at] / 2.1e-7), rel=0.03)
    length = model.decay_length(mass) / coupling**2
    assert length[at] == pytest.approx(0.093 * 2.1e-7 / limit[at], rel=0.05)
    assert ((length < 1.0) == (mass > 1.0))[np.abs(mass - 1.0) > 0.4].all()


def test_couplings_of_the_pilot_search_are_cross_sections_above_the_counts_that_it_could_see():
    """1912.11276: 0.276 fb⁻¹ and no event in most windows; 2.3 of them at 90% are σ B of 8.3 fb at least."""
    mass, coupling = table("limits/BelleII_Adachi2019otg.lmt")
    model = MODELS["zprime_lmu_ltau"]
    chosen = (mass > 0.1) & (coupling < 1e4)
    mass, g = mass[chosen], WEAK_CHARGE * coupling[chosen]
    seen = g**2 * model.production(mass, SQRT_S) * model.branching_fraction(mass, "invisible")
    print(np.round(seen, 1))
    assert (seen > 2.3 / 0.276).all()
    assert np.median(seen) < 1e3


def test_the_projection_of_visible_dark_photons_is_the_root_of_the_luminosity_and_a_better_detector():
    """1808.10567: 514 fb⁻¹ of BaBar at 50 ab⁻¹ are ε × 0.318 by statistics alone.

    The projection further has masses twice as well known and a trigger up to twice as efficient, each worth a
    factor of 2^¼ at most.
    """
    curves = [table(f"limits/{name}.lmt") for name in ("BaBar_Lees2014xha", "reach_BelleII_Kou2018nap")]
    (mass, today), (further, later) = (curve[:, curve[1] < 1e4] for curve in curves)
    ratio = np.median(later / np.interp(further, mass, today))
    statistics = (514 / 50_000) ** 0.25
    print(f"{ratio:.3f} between {statistics / np.sqrt(2):.3f} and {statistics:.3f}")
    assert statistics / np.sqrt(2) < ratio < statistics
