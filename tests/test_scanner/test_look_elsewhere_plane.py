"""Euler characteristics of sets, and what they say of the maxima of random fields."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from scanner.errors import InputError
from scanner.stats.euler import euler_characteristic, fit_euler

SMOOTH = 5.0
"""Width of the kernel [points]: neighbours are then alike enough for a grid to stand for the plane."""


def disc(size, centre, radius):
    y, x = np.mgrid[:size, :size]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


@pytest.mark.parametrize(
    ("inside", "number"),
    [
        (np.zeros((5, 5), bool), 0),
        (np.ones((5, 5), bool), 1),
        (disc(60, (30, 30), 20), 1),
        (disc(60, (30, 30), 20) & ~disc(60, (30, 30), 8), 0),
        (disc(60, (15, 15), 8) | disc(60, (40, 40), 9), 2),
        (disc(60, (30, 30), 28) & ~disc(60, (20, 30), 6) & ~disc(60, (42, 30), 6), -1),
        (disc(60, (30, 30), 28) & ~disc(60, (30, 30), 20) | disc(60, (30, 30), 5), 1),
    ],
    ids=["nothing", "square", "disc", "ring", "two discs", "two holes", "disc in a ring"],
)
def test_known_shapes(inside, number):
    assert euler_characteristic(inside) == number
    assert euler_characteristic(np.stack([inside, inside.T])).tolist() == [number, number]


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_it_is_the_number_of_pieces_minus_that_of_holes(inside):
    """Pieces hang together along rows and columns; what surrounds them also along diagonals."""
    pieces = ndimage.label(inside)[1]
    outside = ndimage.label(~np.pad(inside, 1), np.ones((3, 3)))[1]
    assert euler_characteristic(inside) == pieces - (outside - 1)


def fields(number, rng, size=64, kept=40):
    """Return unit Gaussian fields with correlation e^(−r²/4s²): white noise, smoothed on a torus, cut out."""
    frequency = np.fft.fftfreq(size)
    kernel = np.exp(-0.5 * (2.0 * math.pi * SMOOTH) ** 2 * (frequency[:, None] ** 2 + frequency**2))
    noise = np.fft.rfft2(rng.standard_normal((number, size, size)))
    smooth = np.fft.irfft2(noise * kernel[:, : noise.shape[-1]], s=(size, size))
    return smooth[:, :kept, :kept] / np.sqrt((kernel**2).mean())


def compare(toys, brute, z, looked_at=None, rng=None):
    """Compare the prediction of some toys with the maxima of many other fields."""
    generator = rng or np.random.default_rng(1)
    region = np.ones((40, 40), bool) if looked_at is None else looked_at
    predicted = fit_euler(fields(toys, generator), looked_at=looked_at).p_global(z)
    maxima = np.concatenate(
        [np.where(region, fields(500, generator), -9.0).max(axis=(1, 2)) for _ in range(brute // 500)]
    )
    counted = (maxima >= z).mean()
    error = math.hypot(predicted.high - predicted.p, math.sqrt(counted * (1.0 - counted) / len(maxima)))
    assert abs(predicted.p - counted) < 3.0 * error
    return predicted, error


def test_the_maxima_of_gaussian_fields():
    predicted, error = compare(200, 5000, 3.0)
    assert error < 0.15 * predicted.p


def test_the_maxima_of_gaussian_fields_with_a_hole():
    ring = ~disc(40, (20, 20), 8)
    assert fit_euler(fields(20, np.random.default_rng(2)), looked_at=ring).region == 0
    compare(200, 4000, 3.0, ring, np.random.default_rng(3))


@pytest.mark.slow
@pytest.mark.parametrize("z", [3.0, 3.5, 4.0])
def test_the_tail_of_gaussian_fields(z):
    compare(400, 100_000, z)


def test_the_maxima_of_a_chi2_field_are_those_of_both_signs():
    """z² without regard of the sign is a χ² field: its excursions are those of z and of −z."""
    rng = np.random.default_rng(5)
    p = fit_euler(fields(200, rng)).p_global(3.5)
    counted = (np.abs(fields(4000, rng)).max(axis=(1, 2)) >= 3.5).mean()
    error = math.hypot(2.0 * (p.high - p.p), math.sqrt(counted / 4000))
    assert abs(2.0 * p.p - counted) < 3.0 * error


def test_the_constants_are_those_of_a_smooth_field():
    """E[φ] = 1−Φ(z) + e^(−z²/2)[L₁/2π + L₂ z/(2π)^{3/2}] with lengths in units of 1/√(2s²)."""
    model = fit_euler(fields(1000, np.random.default_rng(7)))
    side = 39.0 / (math.sqrt(2.0) * SMOOTH)
    n1, n2 = 2.0 * side / (2.0 * math.pi), side**2 / (2.0 * math.pi) ** 1.5
    errors = np.sqrt(np.diag(model.covariance))
    assert abs(model.n1 - n1) < 3.0 * errors[0] + 0.03 * n1
    assert abs(model.n2 - n2) < 3.0 * errors[1] + 0.03 * n2


@pytest.mark.parametrize(("toys", "levels"), [(1, (0.5, 2.0)), (5, (1.0, 1.0)), (5, (0.0, 1.0))])
def test_what_cannot_be_solved_is_refused(toys, levels):
    with pytest.raises(InputError, match="two toys or more"):
        fit_euler(np.zeros((toys, 4, 4)), levels=levels)
