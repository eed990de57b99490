"""B⁰ → Λψ: four-vectors, resolution and efficiency of the definition, and an injected signal."""

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.scan import scan
from scanner import definition
from scanner.constants import MASS_B0, SQRT_S
from scanner.errors import InputError
from scanner.simulation import calibrate_windows, generate_chunk, kinematics, lambda_invisible

SEARCH = definition.load("b_lambda_inv")
EVENTS = 100_000


@pytest.mark.parametrize("mass", [0.9, 1.5, 3.0, 4.0])
def test_the_momentum_is_that_of_two_bodies(mass):
    # p* = λ^½(m_B², m_Λ², m²)/2m_B
    a, b, c = 5.27972**2, 1.115683**2, mass**2
    momentum = np.sqrt(a * a + b * b + c * c - 2 * (a * b + b * c + c * a)) / (2 * 5.27972)
    assert kinematics.two_body_momentum(5.27972, 1.115683, mass) == pytest.approx(momentum, rel=1e-12)


def test_mesons_of_the_resonance():
    """dN/dcosθ ∝ sin²θ: ⟨cos²θ⟩ = 1/5; both have half of the energy, and their mass."""
    meson = lambda_invisible.mesons(np.random.default_rng(1), EVENTS, SQRT_S)
    assert kinematics.mass(meson) == pytest.approx(MASS_B0, abs=1e-6)
    cosine = kinematics.BEAM_AXIS @ meson[1:] / kinematics.momentum(meson)
    assert abs(np.mean(cosine**2) - 0.2) < 4 * np.std(cosine**2) / np.sqrt(EVENTS)
    assert meson[0] == pytest.approx(SQRT_S / 2)
    with pytest.raises(InputError, match="below the threshold of two B mesons"):
        lambda_invisible.meson_momentum(10.5)


@pytest.mark.parametrize("mass", [0.9, 2.5, 4.1])
def test_a_tag_without_error_tells_the_missing_mass(mass):
    rng = np.random.default_rng(2)
    meson = lambda_invisible.mesons(rng, 500, SQRT_S)
    isotropic = kinematics.isotropic(rng, 500)
    baryon, _ = kinematics.two_body(MASS_B0, lambda_invisible.MASS_LAMBDA, mass, isotropic)
    baryon = kinematics.boost_with(baryon, meson, MASS_B0)
    other = meson * np.array([[1.0], [-1.0], [-1.0], [-1.0]])
    found = lambda_invisible.missing_mass(other, baryon, SQRT_S)
    np.testing.assert_allclose(found, mass, rtol=1e-9)
    # The length of the momentum of the tag is known, whatever was measured.
    np.testing.assert_allclose(lambda_invisible.missing_mass(1.1 * other, baryon, SQRT_S), mass, rtol=1e-9)


def test_a_baryon_is_found_where_its_tracks_are():
    """Slow Λ decay early and their pions are lost; fast ones fly out of the vertex detector."""

    def found(mass):
        parameters = {"mass": mass, "branching_fraction": 1.0}
        columns = generate_chunk("lambda_invisible", 20_000, (3,), sqrt_s=SQRT_S, parameters=parameters)
        return len(columns["event"]) / 20_000

    fast, middle, slow = (found(mass) for mass in (1.2, 2.8, 4.1))
    assert slow < fast < middle < 0.6


@pytest.mark.parametrize("mass", [1.5, 2.5, 3.5])
def test_resolution_and_efficiency_of_the_definition_are_those_of_the_generator(mass):
    found = calibrate_windows.measure(SEARCH, "lambda_invisible", {"m_psi": mass}, EVENTS, 2)
    assert found.resolutions[0] == pytest.approx(float(SEARCH.signal.resolution(mass)), rel=0.03)
    efficiency, error = (lambda_invisible.FOUND * x for x in (found.efficiency, found.efficiency_error))
    assert abs(efficiency - float(SEARCH.signal.efficiency(mass))) < 4 * error + 5e-7


def test_an_injected_signal_comes_back(tmp_path):
    serial, store = SerialExecutor(), str(tmp_path / "events.zarr")
    signal = {"m_psi": 2.5, "branching_fraction": 3e-4}
    generate(SEARCH, store, executor=serial, seed=5, signals=[signal])
    cube = scan(SEARCH, store, str(tmp_path / "cube"), executor=serial)
    excess = cube.limits.largest_excess()
    assert excess.mass == pytest.approx(2.5, abs=0.03)
    expected = 3e-4 * 711 * 1.11e6 * 5.40e-4
    assert abs(excess.signal_yield - expected) < 3 * excess.signal_yield_error
    assert float(cube["branching_fraction_limit"].min()) < 1e-4
