"""e⁺e⁻ → l⁺l⁻γ: its matrix element against others, its regions and their sampling."""

import math
from dataclasses import replace

import numpy as np
import pytest

from scanner.constants import ALPHA, E_CHARGE, HBARC2, MASS_MUON, SQRT_S
from scanner.models import radiation
from scanner.models.dark_photon import DarkPhoton
from scanner.simulation import kinematics, radiative, radiative_events, weighted
from scanner.simulation.sampling import generator

S = SQRT_S**2


def events(count=4000, seed=1, mass=MASS_MUON, energy=None):
    """l⁻, l⁺, γ flat in angles and in the photon's energy, z along the electron."""
    rng = np.random.default_rng(seed)
    energy = rng.uniform(0.3, 5.0, count) if energy is None else np.full(count, energy)
    k = np.concatenate([energy[None], energy * kinematics.isotropic(rng, count)])
    pair = np.concatenate([(SQRT_S - energy)[None], -k[1:]])
    total = np.sqrt(S - 2 * SQRT_S * energy)
    decay = kinematics.two_body(total, mass, mass, kinematics.isotropic(rng, count))
    return np.stack([*(kinematics.boost_with(q, pair, total) for q in decay), k])


def test_radiation_off_the_beams_is_that_of_a_dark_photon_of_this_mass():
    """Summed over the leptons' angles it is the cross section of γA′ times the spectrum of A′ → μμ."""
    momenta = events(400_000, energy=3.0)
    element = radiative.muon_element(momenta, SQRT_S, MASS_MUON, final=False)
    s1 = S - 2 * SQRT_S * 3.0
    velocity = math.sqrt(1 - 4 * MASS_MUON**2 / s1)
    weight = element * radiative.phase_space(np.full(400_000, 3.0), velocity, SQRT_S) * (4 * math.pi) ** 2
    cosine = momenta[2, 3] / momenta[2, 0]
    found = np.mean(np.where(np.abs(cosine) < 0.9, weight, 0.0))
    spectrum = ALPHA / (3 * math.pi * s1) * (1 + 2 * MASS_MUON**2 / s1) * velocity
    expected = float(DarkPhoton().production(math.sqrt(s1), SQRT_S)) * spectrum
    assert found == pytest.approx(expected, rel=0.02)


def test_radiation_off_the_muons_is_the_matrix_element_of_a_massless_vector():
    """Averaged over the beams' direction, against `scanner.models.radiation` at m = 0."""
    momenta = events(800_000, energy=3.0, seed=2)
    element = radiative.muon_element(momenta, SQRT_S, MASS_MUON, initial=False)
    minus, plus, k = momenta
    d = [2 * kinematics.minkowski(q, k) for q in (plus, minus)]
    tensor = radiation.vector(d[0], d[1], S, 0.0, MASS_MUON**2)
    # Σ|M|²/4 = e⁶ W/(3 s) after that average, with W the contracted tensor.
    assert element.mean() == pytest.approx(E_CHARGE**6 * tensor.mean() / (3 * S), rel=0.02)


@pytest.mark.parametrize("lepton", ["e_e", "mu_mu"])
def test_a_soft_photon_is_the_born_matrix_element_times_the_eikonal_factor(lepton):
    momenta = events(2000, energy=1e-4)
    v = radiative.products(momenta, SQRT_S)
    s, t, u = S, v.t, v.u
    if lepton == "e_e":
        element, born = radiative.electron_element(momenta, SQRT_S), (s**4 + t**4 + u**4) / (s * t) ** 2
    else:
        element, born = radiative.muon_element(momenta, SQRT_S, 1e-6), (t**2 + u**2) / s**2
    eikonal = s / (v.pk[0] * v.pk[1]) + s / (v.qk[0] * v.qk[1])
    for transfer, i, j, sign in ((t, 0, 0, -1), (t, 1, 1, -1), (u, 0, 1, 1), (u, 1, 0, 1)):
        eikonal = eikonal + sign * transfer / (v.pk[i] * v.qk[j])
    wide = (np.abs(t) > 5) & (np.abs(u) > 5) & (eikonal > 1e-3 * np.median(eikonal))
    ratio = (element / (2 * E_CHARGE**6 * born * eikonal))[wide]
    assert wide.sum() > 1000
    np.testing.assert_allclose(np.quantile(ratio, [0.05, 0.5, 0.95]), 1.0, rtol=0.01)


def radiated(cosine, softest):
    """Return σ(e⁺e⁻ → μμγ) [fb], without interference: W(s, x) off the beams, and collinear off the muons."""
    x, weights = np.polynomial.legendre.leggauss(200)
    start, end = 2 * softest / SQRT_S, 1 - 4 * MASS_MUON**2 / S
    x = 1 - (1 - start) * ((1 - end) / (1 - start)) ** ((x + 1) / 2)
    measure = (1 - x) * weights / 2 * math.log((1 - start) / (1 - end))
    beta2 = 1 - 4 * MASS_MUON**2 / (S * (1 - x))
    born = 4 * math.pi * ALPHA**2 / (3 * S) * HBARC2
    pairs = born / (1 - x) * np.sqrt(beta2) * (3 - beta2) / 2
    log = math.log((1 + cosine) / (1 - cosine))
    off_beams = ALPHA / (math.pi * x) * ((2 - 2 * x + x * x) * log - x * x * cosine) * pairs
    collinear = np.log(S * np.maximum(1 - x, 1e-3) / MASS_MUON**2) - 1
    inside = (cosine + cosine**3 / 3) / (4 / 3)
    off_muons = ALPHA / math.pi * (1 + (1 - x) ** 2) / x * np.maximum(collinear, 0) * born * inside
    return np.sum(measure * (off_beams + off_muons))


def test_mu_mu_gamma_with_a_hard_photon():
    """All muons, a photon above 0.5 GeV within |cosθ*| < 0.9: 0.09 nb, by formulas for either radiation."""
    region, n = replace(radiative_events.VISIBLE_MUONS, lowest_energy=0.5), 1 << 18
    uniform = np.random.default_rng(1).random((7, n))
    s1, k, density = radiative_events._photon(uniform[:4], region, MASS_MUON, SQRT_S)
    pair = radiative_events.pair_along(uniform[4:], s1, k, region, MASS_MUON, SQRT_S)
    momenta = np.concatenate([pair, k[None]])
    density = density * radiative_events.pair_density(momenta, s1, region, MASS_MUON)
    velocity = np.sqrt(np.maximum(1 - 4 * MASS_MUON**2 / s1, 0))
    weight = radiative.muon_element(momenta, SQRT_S, MASS_MUON) / density
    weight *= radiative.phase_space(k[0], velocity, SQRT_S) * (np.abs(k[3]) < 0.9 * k[0])
    assert weight.std() / math.sqrt(n) < 0.01 * weight.mean()
    assert weight.mean() == pytest.approx(radiated(0.9, 0.5), rel=0.04)


REGIONS = (
    ("mu_mu", radiative_events.VISIBLE_MUONS),
    ("e_e", replace(radiative_events.LOST_ELECTRONS, photon=(50.0, 115.0))),
)


@pytest.mark.parametrize(("lepton", "region"), REGIONS)
def test_events_are_in_their_region_and_conserve_momentum(lepton, region):
    momenta = radiative_events.reaction(lepton, region).draw(generator("llg", (1,)), 300, SQRT_S)
    total = momenta.sum(axis=0)
    np.testing.assert_allclose(total[0], SQRT_S, atol=1e-8)
    np.testing.assert_allclose(total[1:], 0.0, atol=1e-8)
    theta = [np.degrees(kinematics.polar_angle(kinematics.to_laboratory(q))) for q in momenta]
    assert momenta[2, 0].min() >= region.lowest_energy * (1 - 1e-9)
    assert theta[2].min() > region.photon[0]
    assert theta[2].max() < region.photon[1]
    seen = (np.stack(theta[:2]) > 17) & (np.stack(theta[:2]) < 150)
    assert np.all(seen) if region.seen else not np.any(seen)


def test_drawn_events_follow_the_weights():
    reaction = radiative_events.reaction(*REGIONS[0])
    momenta, weight = reaction.trial(np.random.default_rng(6).random((7, 400_000)), SQRT_S)
    drawn = reaction.draw(generator("llg", (3,)), 6000, SQRT_S)
    for part in (lambda p: p[2, 0], lambda p: kinematics.mass(p[0] + p[1])):
        expected, found = np.average(part(momenta), weights=weight), part(drawn)
        assert abs(found.mean() - expected) < 5 * found.std() / np.sqrt(6000)


def test_the_integral_of_a_known_density():
    """∫ 3 (x/0.7)² dx over x < 0.7 times a step in y of 1%."""

    def trial(uniform, sqrt_s):
        weight = np.where(uniform[0] < 0.7, (uniform[0] / 0.7) ** 2, 0.0) * np.where(
            uniform[1] < 0.01, 3.0, 0.0
        )
        return np.stack([np.stack([uniform[0], uniform[1], *uniform * 0])]), weight * sqrt_s

    integral = weighted.Reaction("test", 2, 1, trial).integral(2.0)
    exact = 2 * 3 * 0.01 * 0.7 / 3
    assert abs(integral.cross_section - exact) < 5 * integral.error
    assert integral.error < 0.02 * exact
    events_ = weighted.Reaction("test", 2, 1, trial).draw(generator("t", (1,)), 5000, 2.0)[0]
    assert events_[0].mean() == pytest.approx(0.75 * 0.7, abs=0.01)
    assert events_[1].max() < 0.01


def test_bhabha_scattering_in_the_calorimeter():
    """74.4 nb of e⁺e⁻(γ) with both electrons in the calorimeter; the Born cross section is near it."""
    rng = np.random.default_rng(1)
    c = np.tanh(rng.uniform(-3, 3, 400_000))
    flight = kinematics.direction(c, rng.uniform(0, 2 * math.pi, 400_000))
    pair = [np.concatenate([np.ones((1, c.size)), sign * flight]) for sign in (1, -1)]
    inside = np.ones(c.size, dtype=bool)
    for q in pair:
        theta = np.degrees(kinematics.polar_angle(kinematics.to_laboratory(kinematics.turn_to_beam(q))))
        inside &= (theta > 12.4) & (theta < 155.1)
    density = math.pi * ALPHA**2 / (2 * S) * ((3 + c * c) / (1 - c)) ** 2 * HBARC2 * (1 - c * c) * 6
    assert np.mean(np.where(inside, density, 0)) == pytest.approx(74.4e6, rel=0.15)
