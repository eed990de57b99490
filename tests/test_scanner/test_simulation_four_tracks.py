"""Decays of τ leptons, and four tracks with two of them."""

import numpy as np
import pytest

from scanner import definition, shapes
from scanner.constants import MASS_MUON, MASS_TAU, SQRT_S
from scanner.models import radiation
from scanner.simulation import calibrate, four_muons, four_tracks, generate_chunk, kinematics, tau_decays
from scanner.simulation.radiated import emitted
from scanner.simulation.sampling import generator


def resting(count):
    tau = np.zeros((4, count))
    tau[0] = MASS_TAU
    return tau


def test_decays_at_rest_have_the_shares_and_spectra_of_the_tau():
    """Mean x of the Michel spectrum is 7/10; a lone pion has (m_τ² + m_π²)/2m_τ."""
    charged, kind = tau_decays.one_prong(np.random.default_rng(1), resting(100_000))
    shares = np.bincount(kind, minlength=4) / 100_000
    np.testing.assert_allclose(shares[:2], [0.1782, 0.1739], atol=0.005)
    assert shares[tau_decays.SEVERAL] == pytest.approx(0.1527, abs=0.005)
    energy = charged[0, kind == tau_decays.ELECTRON] / (MASS_TAU / 2)
    assert energy.mean() == pytest.approx(0.7, abs=0.005)
    assert np.mean(energy**2) == pytest.approx(2 * (3 / 5 - 2 / 6), abs=0.006)
    hadrons = charged[0, kind == tau_decays.HADRON]
    lone = np.abs(hadrons - (MASS_TAU**2 + 0.13957039**2) / (2 * MASS_TAU)) < 1e-9
    assert lone.mean() == pytest.approx(0.1152 / 0.4952, abs=0.01)
    mass = kinematics.mass(charged[:, kind < 3])
    np.testing.assert_allclose(mass, tau_decays.MASSES[kind[kind < 3]], atol=1e-4)


@pytest.mark.parametrize(("kind", "lepton"), [("scalar", MASS_TAU), ("vector", MASS_MUON)])
def test_emission_conserves_momentum_and_follows_the_dalitz_density(kind, lepton):
    momenta = emitted(generator("e", (1,)), kind, np.full(20_000, 2.0), SQRT_S, lepton)
    np.testing.assert_allclose(momenta.sum(axis=0)[0], SQRT_S, atol=1e-8)
    np.testing.assert_allclose(momenta.sum(axis=0)[1:], 0.0, atol=1e-8)
    for p, mass in zip(momenta, (lepton, lepton, 2.0), strict=True):
        np.testing.assert_allclose(kinematics.mass(p), mass, atol=1e-5)
    d1, d2, weight = radiation.dalitz_nodes(np.array([2.0]), SQRT_S**2, 64, lepton)
    weight = weight * radiation.MATRIX_ELEMENTS[kind](d1, d2, SQRT_S**2, 4.0, lepton**2)
    expected = np.average((d1 + d2) / (2 * SQRT_S), weights=weight)
    found = momenta[2, 0]
    assert abs(found.mean() - expected) < 5 * found.std() / np.sqrt(20_000)


def test_virtual_photons_of_muons_are_those_of_the_four_muon_background():
    """The same spectrum with muons as both pairs."""
    ours = four_tracks.virtual_photons("mu_mu", "mu_mu", SQRT_S).integral
    assert ours == pytest.approx(four_muons.radiated_mass_spectrum(SQRT_S).integral, rel=0.01)


@pytest.mark.parametrize(("mass", "width"), [(4.0, 29), (6.0, 14), (8.0, 6.4)])
def test_recoil_resolution(mass, width):
    given = {"mass": mass, "cross_section": 1.0}
    columns = generate_chunk("mu_mu_zprime_tautau", 12_000, (3,), sqrt_s=SQRT_S, parameters=given)
    chosen = (columns["flavour"] == 13) & (columns["m_tracks"] < 9.5)
    recoil = columns["m_recoil"][chosen]
    half = (np.quantile(recoil, 0.8413) - np.quantile(recoil, 0.1587)) / 2
    assert 1e3 * half == pytest.approx(width, rel=0.2)


POINTS = [
    ("zp_tautau", "mu_mu_zprime_tautau", 5.0, {}),
    ("tautau_ll", "tau_tau_scalar", 0.1, {"lepton": 11}),
    ("tautau_ll", "tau_tau_scalar", 3.0, {"lepton": 13}),
]


@pytest.mark.parametrize(("name", "process", "mass", "parameters"), POINTS)
def test_tables_of_a_definition_are_what_the_generator_gives(name, process, mass, parameters):
    """Efficiencies count what is within ten resolutions: further away is a wrong pair."""
    search, m = definition.load(name), np.array([mass])
    masses = calibrate.true_masses(search, process, mass, 12_000, 11, parameters)
    resolution, efficiency = search.signal.resolution(m), float(search.signal.efficiency(m)[0])
    near = masses[np.abs(masses - mass) < 10 * resolution]
    assert len(near) / 12_000 == pytest.approx(efficiency, abs=4 * np.sqrt(efficiency / 12_000))
    extra = {key: function(m) for key, function in search.signal.parameters.items()}
    for width in (1, 2, 4):
        edges = mass + np.array([[-width, width]]) * resolution
        inside = float(shapes.signal_integrals(search.signal.shape, edges, m, resolution, extra)[0, 0])
        assert np.mean(np.abs(near - mass) < width * resolution) == pytest.approx(inside, abs=0.03)


@pytest.mark.parametrize(
    ("label", "process", "kind"),
    [("scalar", "mu_mu_scalar_tautau", "scalar"), ("alp", "mu_mu_alp_tautau", "pseudoscalar")],
)
def test_interpretations_have_the_efficiency_of_their_own_events(label, process, kind):
    search = definition.load("zp_tautau")
    own = search.interpretations[label].efficiency
    for mass in (4.0, 8.0):
        masses = calibrate.true_masses(search, process, mass, 12_000, 31, {})
        near = np.abs(masses - mass) < 10 * search.signal.resolution(np.array([mass]))
        stated = float(own(mass))
        assert np.sum(near) / 12_000 == pytest.approx(stated, abs=4 * np.sqrt(stated / 12_000))
    momenta, _ = four_tracks.events_with(
        generator("e", (2,)), kind, np.full(4000, 6.0), "mu_mu", "tau_tau", SQRT_S
    )
    vector, _ = four_tracks.events_with(
        generator("e", (2,)), "vector", np.full(4000, 6.0), "mu_mu", "tau_tau", SQRT_S
    )
    energies = [np.sort(p[:2, 0], axis=0).mean(axis=1) for p in (momenta, vector)]
    assert abs(energies[0][0] - energies[1][0]) > 0.05  # the softer muon tells the spin


def test_one_pair_of_leptons_is_chosen():
    columns = generate_chunk("tau_tau_pair", 8000, (4,), sqrt_s=SQRT_S)
    muons = columns["flavour"] == 13
    assert np.all(columns["n_muons"][muons] == 2)
    assert np.all(columns["n_electrons"][~muons] == 2)
    assert set(np.unique(columns["flavour"])) == {11.0, 13.0}
    assert np.median(columns["p_missing"]) > 0.5
