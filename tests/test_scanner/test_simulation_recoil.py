"""Two leptons and lost particles: cross sections, recoil resolution and spectra."""

import math

import numpy as np
import pytest

from scanner.constants import ALPHA, HBARC2, MASS_MUON, SQRT_S
from scanner.errors import InputError
from scanner.simulation import generate_chunk, get, recoil


@pytest.mark.parametrize(("lowest", "expected"), [(0.5, 18.7e6), (1.0, 4.18e6), (4.0, 0.072e6)])
def test_two_photon_muons_by_their_mass(lowest, expected):
    """Independent equivalent-photon results for Q² up to W²/4 + m² over all angles."""
    pair, weight = recoil._two_photon(np.random.default_rng(1).random((4, 1 << 18)), SQRT_S)
    total = pair.sum(axis=0)
    mass2 = total[0] ** 2 - np.sum(total[1:] ** 2, axis=0)
    assert np.mean(np.where(mass2 > lowest**2, weight, 0.0)) == pytest.approx(expected, rel=0.015)


def test_angles_of_two_photon_muons_integrate_to_the_total_cross_section():
    """4πα²/W² [(1 + 4r − 8r²) L − β(1 + 4r)] with r = m²/W², at W = 1 GeV."""
    r = MASS_MUON**2
    beta = math.sqrt(1 - 4 * r)
    log = math.log((1 + beta) / (1 - beta))
    total = 4 * math.pi * ALPHA**2 * HBARC2 * ((1 + 4 * r - 8 * r * r) * log - beta * (1 + 4 * r))
    c, w = np.polynomial.legendre.leggauss(200)
    bc = beta * c
    shape = (1 - bc**4 + 2 * (1 - beta**2) * (beta**2 - bc**2)) / (1 - bc**2) ** 2
    assert 2 * math.pi * ALPHA**2 * HBARC2 * beta * np.sum(w * shape) == pytest.approx(total, rel=1e-9)


def test_tau_and_muon_pairs_have_the_cross_sections_of_full_generators():
    """0.919 nb of τ pairs; 0.831 nb of muon pairs with both above 0.5 GeV in the drift chamber."""
    assert recoil.TAUS.integral(SQRT_S).cross_section == pytest.approx(0.919e6, rel=0.02)
    assert recoil.MUONS.integral(SQRT_S).cross_section == pytest.approx(0.831e6, rel=0.05)


RESOLUTION = [(1.0, 108), (2.0, 61), (3.0, 41), (4.0, 29), (5.0, 20), (6.0, 14), (7.0, 10), (8.0, 6.4)]


@pytest.mark.parametrize(("mass", "width"), RESOLUTION)
def test_recoil_resolution(mass, width):
    given = {"mass": mass, "cross_section": 1.0}
    found = generate_chunk("mu_mu_zprime_invisible", 8000, (3,), sqrt_s=SQRT_S, parameters=given)["m_recoil"]
    half = (np.quantile(found, 0.8413) - np.quantile(found, 0.1587)) / 2
    assert 1e3 * half == pytest.approx(width, rel=0.2)
    assert np.median(found) == pytest.approx(mass, abs=0.3e-3 * width)


def test_backgrounds_take_turns_along_the_recoil_mass():
    """Lost photons at zero, τ pairs in the middle, two-photon muons at the end."""
    names = ("mu_mu_lost", "tau_tau_lost", "e_e_mu_mu")
    columns = [generate_chunk(name, 4000, (2,), sqrt_s=SQRT_S) for name in names]
    middle = [float(np.median(found["m_recoil"])) for found in columns]
    assert middle[0] < 1.0
    assert 5.0 < middle[1] < 8.0
    assert middle[2] > 8.0
    # Along the beams nothing takes transverse momentum, but neutrinos do.
    assert np.quantile(columns[0]["p_t"], 0.9) < 0.1
    assert np.median(columns[1]["p_t"]) > 0.5


def test_flavours_of_tau_pairs_and_of_the_signal():
    columns = generate_chunk("tau_tau_lost", 6000, (5,), sqrt_s=SQRT_S)
    pairs = columns["n_muons"] * 10 + columns["n_electrons"]
    assert set(np.unique(pairs)) == {2.0, 11.0, 20.0}
    signal = generate_chunk(
        "e_mu_zprime", 500, (5,), sqrt_s=SQRT_S, parameters={"mass": 2.0, "cross_section": 1.0}
    )
    assert np.all(signal["n_muons"] == 1)
    assert np.all(signal["n_electrons"] == 1)
    with pytest.raises(InputError, match="must not be negative"):
        get("e_mu_zprime").cross_section(SQRT_S, {"mass": 2.0, "cross_section": -1.0})
