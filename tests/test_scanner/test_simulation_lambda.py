"""B⁰ → Λψ: two-body kinematics, resolution and efficiency of the definition, and an injected signal."""

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.scan import scan
from scanner import definition
from scanner.simulation import lambda_invisible
from scanner.simulation.kinematics import two_body_momentum

SEARCH = definition.load("b_lambda_inv")


@pytest.mark.parametrize("mass", [0.9, 1.5, 3.0, 4.0])
def test_the_missing_mass_is_that_of_two_bodies(mass):
    # p* = λ^½(m_B², m_Λ², m²)/2m_B
    a, b, c = 5.27972**2, 1.115683**2, mass**2
    momentum = np.sqrt(a * a + b * b + c * c - 2 * (a * b + b * c + c * a)) / (2 * 5.27972)
    assert two_body_momentum(5.27972, 1.115683, mass) == pytest.approx(momentum, rel=1e-12)
    assert lambda_invisible.missing_mass(np.array([momentum]))[0] == pytest.approx(mass, rel=1e-9)


@pytest.mark.parametrize("mass", [1.5, 2.5, 3.5])
def test_resolution_and_efficiency_of_the_definition_are_those_of_the_generator(mass):
    process, events = lambda_invisible.LambdaInvisible(), 100_000
    columns = process.generate(
        events, np.random.default_rng(2), 10.58, {"mass": mass, "branching_fraction": 1.0}
    )
    near = columns["e_ecl"] < 0.4
    assert np.std(columns["m_missing"]) == pytest.approx(float(SEARCH.signal.resolution(mass)), rel=0.03)
    efficiency = lambda_invisible.FOUND * near.sum() / events
    assert efficiency == pytest.approx(float(SEARCH.signal.efficiency(mass)), rel=0.01)


def test_an_injected_signal_comes_back(tmp_path):
    serial, store = SerialExecutor(), str(tmp_path / "events.zarr")
    signal = {"m_psi": 2.5, "branching_fraction": 3e-4}
    generate(SEARCH, store, executor=serial, seed=5, signals=[signal])
    cube = scan(SEARCH, store, str(tmp_path / "cube"), executor=serial)
    excess = cube.limits.largest_excess()
    assert excess.mass == pytest.approx(2.5, abs=0.03)
    expected = 3e-4 * 711 * 1.11e6 * 5.79e-4
    assert abs(excess.signal_yield - expected) < 3 * excess.signal_yield_error
    assert float(cube["branching_fraction_limit"].min()) < 1e-4
