"""Υ(3S) → ππΥ(1S) against closed forms and the numbers of its definition."""

import numpy as np
import pytest

from scanner import definition
from scanner.constants import MASS_PION, MASS_UPSILON_1S
from scanner.errors import InputError
from scanner.simulation import expected_events, generate_chunk, kinematics, network, upsilon

MASS = upsilon.MASS_UPSILON_3S


def test_pions_recoil_against_the_mass():
    rng = np.random.default_rng(4)
    pions = upsilon.dipions(rng, 20_000)
    start = kinematics.to_laboratory(np.array([[MASS], [0.0], [0.0], [0.0]]))
    assert kinematics.mass(start - pions.sum(axis=0)) == pytest.approx(MASS_UPSILON_1S, abs=1e-6)
    assert kinematics.mass(pions[0]) == pytest.approx(MASS_PION, abs=1e-6)


def test_dipion_masses_follow_phase_space():
    """Dalitz (1953): flat in both squared masses, so one pion's energy has the mean over a flat plane."""
    rng = np.random.default_rng(5)
    pions = upsilon.dipions(rng, 40_000)
    found = kinematics.mass(pions.sum(axis=0))
    m = np.linspace(2 * MASS_PION, MASS - MASS_UPSILON_1S, 200_001)[1:-1]

    def momentum(total, a, b):
        return np.sqrt((total**2 - (a + b) ** 2) * (total**2 - (a - b) ** 2)) / (2 * total)

    density = momentum(MASS, m, MASS_UPSILON_1S) * momentum(m, MASS_PION, MASS_PION)
    mean = np.sum(density * m) / np.sum(density)
    spread = np.sqrt(np.sum(density * m**2) / np.sum(density) - mean**2)
    assert np.mean(found) == pytest.approx(mean, abs=4 * spread / np.sqrt(len(found)))


@pytest.mark.parametrize(("fraction", "cut"), [(0.849, 0.3), (0.007, 0.3), (0.7, 0.3), (0.5, 0.5)])
def test_outputs_above_a_cut(fraction, cut):
    output = network.output_above(fraction, cut, 100_000, np.random.default_rng(6))
    assert np.all((output >= 0) & (output <= 1))
    error = np.sqrt(fraction * (1 - fraction) / 100_000)
    assert np.mean(output > cut) == pytest.approx(fraction, abs=4 * error)


def test_backgrounds_have_the_numbers_of_the_experiment():
    search = definition.load("y1s_inv")
    numbers = {
        name: expected_events(name, sqrt_s=search.sqrt_s, luminosity=search.luminosity)
        for name in ("dipion_leptons", "dipion_combinations")
    }
    assert numbers["dipion_leptons"] * 0.849 == pytest.approx(806)
    assert numbers["dipion_combinations"] * (1 - 0.993) == pytest.approx(17281)
    assert search.background.peaks["leptons"].expected == 806
    one = {"branching_fraction": 3e-4}
    signal = expected_events("dipion_invisible", sqrt_s=MASS, luminosity=search.luminosity, parameters=one)
    assert signal == pytest.approx(91.4e6 * 0.0437 * 3e-4)


def test_spectra():
    line, peak = (
        generate_chunk(name, 50_000, (3,), sqrt_s=MASS) for name in ("dipion_combinations", "dipion_leptons")
    )
    low, high = upsilon.RANGE
    x = (2 * line["m_recoil"] - low - high) / (high - low)
    assert np.mean(x) == pytest.approx(upsilon.SLOPE / 3, abs=4 * 0.58 / np.sqrt(50_000))
    assert len(peak["event"]) == 50_000
    assert np.median(peak["m_recoil"]) == pytest.approx(MASS_UPSILON_1S, abs=1e-4)


def test_another_mass_moves_the_peak():
    parameters = {"mass": 9.7}
    with pytest.raises(InputError, match="not between 9 and"):
        generate_chunk("dipion_invisible", 3, (1,), sqrt_s=MASS, parameters={"mass": 3.0})
    assert (
        len(generate_chunk("dipion_invisible", 500, (1,), sqrt_s=MASS, parameters=parameters)["event"]) == 0
    )
