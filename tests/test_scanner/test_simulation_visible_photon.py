"""A photon and two leptons: the angles of the dark photon, its decays, and radiative pairs."""

import numpy as np
import pytest

from scanner import definition
from scanner.constants import MASS_MUON, SQRT_S
from scanner.errors import InputError
from scanner.models import MODELS
from scanner.simulation import calibrate, generate_chunk, get, kinematics, radiative
from scanner.simulation.sampling import generator
from scanner.simulation.single_photon import dark_photon_cosine
from scanner.simulation.visible_photon import signal_events
from scanner.windows.channels import view


@pytest.mark.parametrize(("mass", "lepton"), [(0.3, "mu_mu"), (5.0, "e_e")])
def test_signal_angles_follow_the_matrix_element_of_initial_state_radiation(mass, lepton):
    """Means of an angle over drawn events, and over flat events with the squared matrix element as weight."""
    draws, events = generator("a", (1,)), 40_000
    cosine = dark_photon_cosine(draws, events, mass, SQRT_S)
    drawn = signal_events(draws, cosine, np.full(events, mass), lepton, SQRT_S)
    np.testing.assert_allclose(drawn.sum(axis=0)[0], SQRT_S, atol=1e-8)
    np.testing.assert_allclose(kinematics.mass(drawn[0] + drawn[1]), mass, rtol=1e-6)
    rng, n = np.random.default_rng(3), 400_000
    own = MASS_MUON if lepton == "mu_mu" else 5.11e-4
    photon, boson = kinematics.two_body(
        SQRT_S, 0.0, mass, kinematics.direction(rng.uniform(-0.9, 0.9, n), rng.uniform(0, 6.2832, n))
    )
    decay = kinematics.two_body(mass, own, own, kinematics.isotropic(rng, n))
    flat = np.stack([*(kinematics.boost_with(q, boson, mass) for q in decay), photon])
    weight = radiative.muon_element(flat, SQRT_S, own, final=False)
    beam = kinematics.BEAM_AXIS
    for part, axis in ((0, beam), (2, beam)):
        found = (axis @ drawn[part, 1:] / kinematics.momentum(drawn[part])) ** 2
        expected = np.average((flat[part, 3] / kinematics.momentum(flat[part])) ** 2, weights=weight)
        assert abs(found.mean() - expected) < 5 * found.std() / np.sqrt(30_000)


def test_decays_are_shared_as_the_model_has_it():
    given = {"mass": 0.5, "cross_section": 10.0}
    model = MODELS["dark_photon"]
    shares = [float(model.branching_fraction(0.5, pair)) for pair in ("e_e", "mu_mu")]
    process = get("gamma_aprime")
    assert process.cross_section(SQRT_S, given) == pytest.approx(10 * sum(shares))
    assert process.cross_section(SQRT_S, given | {"lepton": 13}) == pytest.approx(10 * shares[1])
    coupled = {"mass": 2.0, "coupling": 1e-3, "lepton": 11}
    assert process.cross_section(SQRT_S, coupled) == pytest.approx(
        5.10 * float(model.branching_fraction(2.0, "e_e")), rel=2e-3
    )
    muons = generate_chunk("gamma_aprime", 20_000, (1,), sqrt_s=SQRT_S, parameters=given)["n_muons"]
    only = generate_chunk("gamma_aprime", 5000, (1,), sqrt_s=SQRT_S, parameters=given | {"lepton": 11})
    assert np.mean(muons > 0) == pytest.approx(shares[1] / sum(shares), abs=0.05)
    assert np.all(only["n_muons"] == 0)
    with pytest.raises(InputError, match="must be 11 or 13"):
        process.cross_section(SQRT_S, given | {"lepton": 15})


POINTS = [("electrons", 11, 0.1), ("electrons", 11, 4.0), ("muons", 13, 0.5), ("muons", 13, 8.0)]


@pytest.mark.parametrize(("channel", "lepton", "mass"), POINTS)
def test_tables_of_the_definition_are_what_the_generator_gives(channel, lepton, mass):
    search = view(definition.load("ap_vis"), channel)
    masses = calibrate.true_masses(search, "gamma_aprime", mass, 12_000, 11, {"lepton": lepton})
    (stated,) = search.channels.values()
    efficiency = float(stated.efficiency(mass))
    assert len(masses) / 12_000 == pytest.approx(efficiency, abs=4 * 0.0046)
    half = (np.quantile(masses, 0.8413) - np.quantile(masses, 0.1587)) / 2
    resolution = float(search.signal.resolution(mass))
    assert resolution < half < 1.35 * resolution
    assert float(stated.branching_fraction(mass)) == pytest.approx(
        float(MODELS["dark_photon"].branching_fraction(mass, "e_e" if lepton == 11 else "mu_mu")), rel=0.05
    )


@pytest.mark.parametrize("name", ["e_e_gamma", "mu_mu_gamma"])
def test_radiative_pairs_are_reconstructed_at_the_beam_energy(name):
    columns = generate_chunk(name, 1500, (2,), sqrt_s=SQRT_S)
    assert np.median(columns["m_llg"]) == pytest.approx(SQRT_S, abs=0.05)
    recoil = np.sqrt(np.abs(SQRT_S**2 - 2 * SQRT_S * columns["e_gamma"].astype(float)))
    assert np.median(np.abs(columns["m_ll"] - recoil)) < 0.1
    assert np.all(columns["n_muons"] == 0) if name == "e_e_gamma" else np.mean(columns["n_muons"] == 2) > 0.7
