"""The rate of e⁺e⁻ → γγγ, integrated a second time: flat phase space, exact traces, 1/3! for the photons."""

import numpy as np
import pytest

from scanner.constants import E_CHARGE, HBARC2
from scanner.simulation import kinematics, three_photons

SQRT_S = 10.58
BARREL = (37.3, 123.7)
"""Polar angles in the laboratory [degree]."""
SOFTEST = 0.65
"""Least energy in the laboratory [GeV]."""
IN_BARREL = 14.27e3
"""σ [fb] with all three photons in BARREL and above SOFTEST; statistical error 0.1%."""


def matrix_element(near, far, s):
    """e⁶ s Σ K K′ (K² + K′²) / Π K K′, photons along the first axis."""
    return E_CHARGE**6 * s * np.sum(near * far * (near**2 + far**2), axis=0) / np.prod(near * far, axis=0)


def flat_phase_space(rng, events):
    """Draw photons (3, 4, N) [GeV] in the centre of mass: Dalitz triangle and orientation, both flat."""
    x = rng.random((2, events))
    x = np.where(x.sum(axis=0) < 1.0, 1.0 - x, x)
    x = np.stack([*x, 2.0 - x.sum(axis=0)])
    cosine = 1.0 - 2.0 * (x[0] + x[1] - 1.0) / (x[0] * x[1])
    sine = np.sqrt(np.maximum(1.0 - cosine**2, 0.0))
    zero = np.zeros(events)
    first = np.stack([zero, zero, zero + 1.0])
    second = np.stack([sine, zero, cosine])
    third = -(x[0] * first + x[1] * second) / x[2]
    turns, upper = np.linalg.qr(rng.standard_normal((events, 3, 3)))
    turns *= np.sign(np.diagonal(upper, axis1=1, axis2=2))[:, None, :]
    turned = [np.einsum("nij,jn->in", turns, d) for d in (first, second, third)]
    return np.stack([np.concatenate([e[None], e * d]) for e, d in zip(x * SQRT_S / 2, turned, strict=True)])


def in_barrel(photons):
    inside = np.ones(photons.shape[2], dtype=bool)
    for k in photons:
        lab = kinematics.to_laboratory(k)
        theta = np.degrees(kinematics.polar_angle(lab))
        inside &= (theta > BARREL[0]) & (theta < BARREL[1]) & (lab[0] > SOFTEST)
    return inside


def test_the_rate_in_the_barrel_by_flat_phase_space():
    """σ = 1/(2s) × 1/3! × ∫ dΦ₃ |M|², ∫ dΦ₃ = s/256π³. Without the 1/3! and twice that it were 28.5 pb."""
    photons = flat_phase_space(np.random.default_rng(5), 600_000)
    s = SQRT_S**2
    along = np.einsum("i,kin->kn", kinematics.BEAM_AXIS, photons[:, 1:])
    near, far = (SQRT_S / 2 * (photons[:, 0] - sign * along) for sign in (1, -1))
    weight = np.where(in_barrel(photons), matrix_element(near, far, s), 0.0)
    weight *= HBARC2 / (2.0 * s) / 6.0 * s / (256.0 * np.pi**3)
    error = weight.std() / np.sqrt(weight.size)
    assert error < 0.003 * IN_BARREL
    assert weight.mean() == pytest.approx(IN_BARREL, abs=3.0 * error)


def test_the_rate_in_the_barrel_by_the_generator():
    photons = three_photons.three_photon_events(np.random.default_rng(6), 100_000, SQRT_S)
    share = in_barrel(photons).mean()
    error = np.sqrt(share * (1.0 - share) / photons.shape[2])
    rate = three_photons.cross_section(SQRT_S)
    assert rate * share == pytest.approx(IN_BARREL, abs=3.0 * rate * error + 0.001 * IN_BARREL)


@pytest.mark.parametrize("cosine", [0.0, 0.3, -0.7])
def test_a_soft_photon_factorises_from_two_photons(cosine):
    """|M|² → e² s/(K K′) × 2e⁴ (K₁/K₁′ + K₁′/K₁): the eikonal factor times the Born process."""
    half, soft = SQRT_S / 2, 1e-7
    sine = np.sqrt(1.0 - cosine**2)
    hard = half * np.array([1.0, sine, 0.0, cosine])
    third = soft * np.array([1.0, 0.0, 0.8, 0.6])
    photons = np.stack([hard, np.array([2 * half, 0, 0, 0]) - hard - third, third])[:, :, None]
    axis = np.array([0.0, 0.0, 1.0])
    near, far = (half * (photons[:, 0, 0] - sign * photons[:, 3, 0]) for sign in (1, -1))
    born = 2.0 * E_CHARGE**4 * (near[0] / far[0] + far[0] / near[0])
    eikonal = E_CHARGE**2 * SQRT_S**2 / (near[2] * far[2])
    found = three_photons.matrix_element(photons, axis, SQRT_S)[0]
    assert found == pytest.approx(born * eikonal, rel=1e-6)


def test_the_born_process_has_the_textbook_cross_section():
    """dσ/dcosθ = 2πα²/s (1+c²)/(1−c²) for 0 < c < 1, from the same 2e⁴ (K/K′ + K′/K)."""
    c, s = 0.4, SQRT_S**2
    born = 2.0 * E_CHARGE**4 * ((1 - c) / (1 + c) + (1 + c) / (1 - c))
    alpha = E_CHARGE**2 / (4.0 * np.pi)
    textbook = 2.0 * np.pi * alpha**2 / s * (1 + c * c) / (1 - c * c)
    assert born / (2.0 * s) / (16.0 * np.pi) == pytest.approx(textbook, rel=1e-12, abs=0.0)
