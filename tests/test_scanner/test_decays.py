"""Decays in flight against thrown decays, and identities."""

import numpy as np
import pytest
from scipy.integrate import quad

from scanner.decays import effective_events, flight_probability, lifetime_weights
from scanner.errors import InputError


@pytest.mark.parametrize(("ctau", "boost", "sine"), [(0.1, 2.0, 1.0), (10.0, 0.7, 0.5), (300.0, 3.0, 0.9)])
def test_probability_is_the_integral_of_the_decay_law(ctau, boost, sine):
    length = ctau * boost * sine
    exact = quad(lambda r: np.exp(-r / length) / length, 0.9, 60.0, epsrel=1e-12)[0]
    assert flight_probability(0.9, 60.0, boost, ctau, sine) == pytest.approx(exact, rel=1e-10)


def test_shells_add_up_to_one():
    edges = [0.0, 1.0, 16.0, 113.0, np.inf]
    parts = flight_probability(edges[:-1], edges[1:], 2.0, 7.0)
    assert parts.sum() == pytest.approx(1.0, rel=1e-14)


def test_prompt_and_stable_limits():
    assert flight_probability(0.0, 1.0, 2.0, 0.0) == 1.0
    assert flight_probability(0.5, 1.0, 2.0, 0.0) == 0.0
    assert flight_probability(0.0, 100.0, 2.0, np.inf) == 0.0
    assert flight_probability(1.0, 3.0, 2.0, 1e12) == pytest.approx(1e-12, rel=1e-9)


def test_weights_turn_one_lifetime_into_another():
    rng = np.random.default_rng(1)
    t = rng.exponential(5.0, 200_000)
    for wanted in (1.0, 5.0, 8.0):
        w = lifetime_weights(t, 5.0, wanted)
        error = 1 / np.sqrt(effective_events(w))
        seen = np.sum(w * ((t > 2.0) & (t < 9.0))) / t.size
        exact = np.exp(-2.0 / wanted) - np.exp(-9.0 / wanted)
        assert seen == pytest.approx(exact, abs=5 * error)
    np.testing.assert_array_equal(lifetime_weights(t, 5.0, 5.0), 1.0)


def test_weights_of_lifetimes_that_are_even_in_the_logarithm():
    rng = np.random.default_rng(2)
    low, high = 0.01, 100.0
    t = rng.exponential(low * (high / low) ** rng.random(200_000))
    for wanted in (0.01, 0.3, 8.0, 100.0, 150.0):
        w = lifetime_weights(t, high, wanted, low)
        for first, last in ((0.0, np.inf), (0.5 * wanted, 2.0 * wanted)):
            inside = (t >= first) & (t < last)
            error = np.sqrt(np.sum(w[inside] ** 2)) / t.size
            assert error < 0.02
            exact = np.exp(-first / wanted) - np.exp(-last / wanted)
            assert np.sum(w[inside]) / t.size == pytest.approx(exact, abs=5 * error)


def test_a_range_of_one_lifetime_is_that_lifetime():
    t = np.array([0.0, 1e-9, 0.5, 4.0])
    exact = lifetime_weights(t, 2.0, 3.0)
    np.testing.assert_allclose(lifetime_weights(t, 2.0, 3.0, 2.0), exact, rtol=1e-14)
    np.testing.assert_allclose(lifetime_weights(t, 2.0, 3.0, 2.0 - 1e-8), exact, rtol=1e-7)
    with pytest.raises(InputError, match="not above the largest"):
        lifetime_weights(t, 2.0, 3.0, 2.5)


def test_effective_events_of_equal_weights_are_their_number():
    assert effective_events(np.full(7, 0.3)) == pytest.approx(7.0)
    assert effective_events([]) == 0.0


def test_impossible_flights_are_refused():
    with pytest.raises(InputError, match="inner ≤ outer"):
        flight_probability(2.0, 1.0, 1.0, 1.0)
    with pytest.raises(InputError, match="must not be negative"):
        flight_probability(1.0, 2.0, 1.0, -1.0)
    with pytest.raises(InputError, match="must be positive"):
        lifetime_weights([1.0], 0.0, 1.0)
