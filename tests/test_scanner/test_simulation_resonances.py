"""Narrow mesons beside a photon off the beams: cross sections, angles, masses, and where they peak."""

import math

import numpy as np
import pytest

from scanner.constants import ALPHA, HBARC2, SQRT_S
from scanner.simulation import generate_chunk, get, kinematics
from scanner.simulation.resonances import COS_MAX, MESONS
from scanner.simulation.sampling import generator

BY_TITLE = {meson.title: meson for meson in MESONS}


def radiator(x, cosine):
    """Return W of hep-ph/9910523 for photons within a cosine."""
    log = math.log((1 + cosine) / (1 - cosine))
    return ALPHA / (math.pi * x) * ((2 - 2 * x + x * x) * log - x * x * cosine)


@pytest.mark.parametrize("meson", MESONS, ids=lambda meson: meson.title)
@pytest.mark.parametrize("cosine", [0.5, COS_MAX])
def test_cross_sections_are_those_of_a_narrow_width(meson, cosine):
    """σ = 12π² Γ_ee B/(M s) W(s, x)."""
    s, mass = SQRT_S**2, meson.mass
    for lepton, share in meson.shares.items():
        expected = 12 * math.pi**2 * meson.to_electrons * share / (mass * s) * HBARC2
        expected *= radiator(1 - mass**2 / s, cosine)
        assert meson.cross_section(lepton, SQRT_S, cosine) == pytest.approx(expected, rel=1e-6)


def test_widths_are_consistent_and_that_of_the_jpsi_is_measured_in_this_way():
    """Γ_ee is Γ B_ee; BaBar has Γ_ee B_μμ = 0.330 ± 0.011 keV from γJ/ψ (hep-ex/0310027)."""
    for meson in MESONS:
        assert meson.to_electrons / meson.width == pytest.approx(meson.shares["e_e"], rel=0.04)
        assert meson.shares["mu_mu"] == pytest.approx(meson.shares["e_e"], rel=0.05)
    jpsi = BY_TITLE["J/ψ"]
    assert jpsi.to_electrons * jpsi.shares["mu_mu"] == pytest.approx(0.330e-6, abs=0.011e-6)


def test_soft_photons_are_not_made():
    """At the energy of the Υ(3S) itself there is no photon above 0.2 GeV beside it."""
    assert BY_TITLE["Υ(3S)"].cross_section("e_e", 10.36) == 0.0
    assert BY_TITLE["Υ(3S)"].cross_section("e_e", SQRT_S) > 0.0


@pytest.mark.parametrize("lepton", ["e_e", "mu_mu"])
def test_events_have_the_masses_shares_and_photon_angles_of_the_formula(lepton):
    process = get(f"{lepton}_resonances")
    n = 30_000
    momenta = process.drawn(generator("r", (2,)), n, SQRT_S)
    mass = kinematics.mass(momenta[0] + momenta[1])
    total = process.cross_section(SQRT_S, {})
    cosine = np.abs(kinematics.BEAM_AXIS @ momenta[2, 1:]) / momenta[2, 0]
    assert cosine.max() < COS_MAX
    for title in ("J/ψ", "Υ(1S)", "Υ(3S)"):
        meson = BY_TITLE[title]
        near = np.abs(mass - meson.mass) < 0.01
        share = meson.cross_section(lepton, SQRT_S) / total
        assert near.mean() == pytest.approx(share, abs=4 * math.sqrt(share / n))
        inside = meson.cross_section(lepton, SQRT_S, 0.5) / meson.cross_section(lepton, SQRT_S)
        found = np.mean(cosine[near] < 0.5)
        assert found == pytest.approx(inside, abs=4 * math.sqrt(inside / near.sum()))


def test_light_mesons_have_their_natural_width():
    """Half of a Breit-Wigner density is within half its width of the peak, more by what is cut off."""
    for title in ("ω", "φ"):
        meson = BY_TITLE[title]
        drawn = meson.masses(np.random.default_rng(3), 20_000)
        cut = 2 / math.pi * math.atan(20)
        assert np.mean(np.abs(drawn - meson.mass) < meson.width / 2) == pytest.approx(0.5 / cut, abs=0.015)


def test_the_measured_peak_holds_the_cross_section_times_the_efficiency():
    """Pairs near the J/ψ are as many as its cross section and the efficiency for a dark photon say."""
    n = 20_000
    process, meson = get("mu_mu_resonances"), BY_TITLE["J/ψ"]
    found = generate_chunk("mu_mu_resonances", n, (4,), sqrt_s=SQRT_S)["m_ll"]
    peak = np.sum(np.abs(found - meson.mass) < 0.05)
    luminosity = n / process.cross_section(SQRT_S, {})
    signal = {"mass": meson.mass, "cross_section": 1.0, "lepton": 13.0}
    kept = generate_chunk("gamma_aprime", 10_000, (5,), sqrt_s=SQRT_S, parameters=signal)["m_ll"]
    within = luminosity * meson.cross_section("mu_mu", SQRT_S, 0.9) * len(kept) / 10_000
    # Photons from 0.9 to 0.975 add to it, and not all of them are in the calorimeter.
    beyond = luminosity * (meson.cross_section("mu_mu", SQRT_S) - meson.cross_section("mu_mu", SQRT_S, 0.9))
    assert within - 4 * math.sqrt(within) < peak < within + beyond
    assert np.median(found[np.abs(found - meson.mass) < 0.05]) == pytest.approx(meson.mass, abs=0.001)
