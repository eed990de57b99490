"""Matrix elements against Dirac traces with explicit gamma matrices, and phase space against quadrature."""

import itertools
import math

import numpy as np
import pytest
from scipy.integrate import quad

from scanner.constants import E_CHARGE, MASS_MUON, SQRT_S
from scanner.models import radiation
from scanner.simulation import kinematics, three_photons
from scanner.simulation.amplitudes import weight

METRIC = np.diag([1.0, -1.0, -1.0, -1.0])
PAULI = (np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1]))
ZERO, ONE = np.zeros((2, 2)), np.eye(2)
GAMMA = [np.block([[ONE, ZERO], [ZERO, -ONE]]).astype(complex)]
GAMMA += [np.block([[ZERO, sigma], [-sigma, ZERO]]) for sigma in PAULI]
GAMMA5 = 1j * GAMMA[0] @ GAMMA[1] @ GAMMA[2] @ GAMMA[3]


def dot(a, b):
    return a @ METRIC @ b


def slash(p):
    return sum(METRIC[i, i] * p[i] * GAMMA[i] for i in range(4))


def bar(matrix):
    return GAMMA[0] @ matrix.conj().T @ GAMMA[0]


def emission_events(mass, n, seed):
    """Flat three-body events k1, k2, p (4, n) by a chain of two-body decays."""
    rng = np.random.default_rng(seed)
    pair = rng.uniform(2 * MASS_MUON, SQRT_S - mass, n)
    momentum = kinematics.two_body_momentum(SQRT_S, pair, mass) * kinematics.isotropic(rng, n)
    square = np.sum(momentum**2, axis=0)
    q = np.concatenate([np.sqrt(square + pair**2)[None], momentum])
    p = np.concatenate([np.sqrt(square + mass**2)[None], -momentum])
    rest = kinematics.two_body(pair, MASS_MUON, MASS_MUON, kinematics.isotropic(rng, n))
    return *(kinematics.boost_with(k, q, pair) for k in rest), p


def trace_of_emission(k1, k2, p, kind):
    """−g_{μν}H^{μν} for one event, from the traces."""
    d1, d2 = (dot(k + p, k + p) - MASS_MUON**2 for k in (k1, k2))
    first = (slash(k1 + p) + MASS_MUON * np.eye(4)) / d1
    second = (MASS_MUON * np.eye(4) - slash(k2 + p)) / d2
    muon, antimuon = slash(k1) + MASS_MUON * np.eye(4), slash(k2) - MASS_MUON * np.eye(4)
    alone = {
        "scalar": np.eye(4),
        "pseudoscalar": 1j * GAMMA5,
        "derivative": slash(p) @ GAMMA5 / (2 * MASS_MUON),
    }
    vertices = [(alone[kind], 1.0)] if kind in alone else [(GAMMA[a], -METRIC[a, a]) for a in range(4)]
    total = 0.0
    for (vertex, sign), i in itertools.product(vertices, range(4)):
        matrix = vertex @ first @ GAMMA[i] + GAMMA[i] @ second @ vertex
        total += -METRIC[i, i] * sign * np.trace(muon @ matrix @ antimuon @ bar(matrix)).real
    return total


@pytest.mark.parametrize("kind", list(radiation.MATRIX_ELEMENTS))
@pytest.mark.parametrize("mass", [0.25, 2.0, 8.0])
def test_contracted_tensor_equals_the_traces(kind, mass):
    k1, k2, p = emission_events(mass, 20, seed=3)
    d1, d2 = (kinematics.minkowski(k + p, k + p) - MASS_MUON**2 for k in (k1, k2))
    formula = radiation.MATRIX_ELEMENTS[kind](d1, d2, SQRT_S**2, mass**2, MASS_MUON**2)
    traces = [trace_of_emission(*event, kind) for event in zip(k1.T, k2.T, p.T, strict=True)]
    np.testing.assert_allclose(formula, traces, rtol=1e-8)


def test_a_pseudoscalar_coupling_is_a_derivative_one():
    """∂_μX ū γ^μγ₅ u/2m_μ gives the same as i X ū γ₅ u: the photon's current is conserved."""
    for event in zip(*(k.T for k in emission_events(1.5, 10, seed=6)), strict=True):
        one, other = (trace_of_emission(*event, kind) for kind in ("pseudoscalar", "derivative"))
        assert other == pytest.approx(one, rel=1e-8)


@pytest.mark.parametrize("kind", ["vector", "scalar"])
def test_amplitudes_summed_over_polarisations_equal_the_tensor(kind):
    mass, n = 1.3, 50
    k1, k2, p = emission_events(mass, n, seed=4)
    units = [np.tile(np.eye(4)[i][:, None], (1, n)) for i in (1, 2, 3)]
    emission = [(kinematics.boost_with(e, p, mass), np.ones(n)) for e in units]
    total = weight(k1, k2, p, units, emission if kind == "vector" else None)
    d1, d2 = (kinematics.minkowski(k + p, k + p) - MASS_MUON**2 for k in (k1, k2))
    formula = radiation.MATRIX_ELEMENTS[kind](d1, d2, SQRT_S**2, mass**2, MASS_MUON**2)
    np.testing.assert_allclose(total, formula, rtol=1e-8)


@pytest.mark.parametrize("mass", [0.05, 1.0, 6.0, 10.2])
def test_dalitz_nodes_integrate_the_three_body_phase_space(mass):
    s, u2 = SQRT_S**2, MASS_MUON**2
    _, _, weights = radiation.dalitz_nodes(np.array([mass]), s, 64)

    def width(w):
        s12 = w * w
        flight = (s - (w + mass) ** 2) * (s - (w - mass) ** 2)
        return 2 * w * math.sqrt(max(flight, 0) * max(1 - 4 * u2 / s12, 0))

    expected, _ = quad(width, 2 * MASS_MUON, SQRT_S - mass, epsrel=1e-10, limit=400)
    assert float(weights.sum()) == pytest.approx(expected, rel=1e-6)


def three_photon_trace(photons, axis):
    """Spin-averaged |M|²/e⁶ of one event from the traces of the six diagrams."""
    half = SQRT_S / 2
    p, q = (np.concatenate([[half], sign * half * axis]) for sign in (1, -1))
    total = 0.0
    for index in itertools.product(range(4), repeat=3):
        matrix = 0
        for a, b, c in itertools.permutations(range(3)):
            first, second = p - photons[a], p - photons[a] - photons[b]
            chain = GAMMA[index[c]] @ slash(second) @ GAMMA[index[b]] @ slash(first) @ GAMMA[index[a]]
            matrix = matrix + chain / (dot(first, first) * dot(second, second))
        sign = math.prod(-METRIC[i, i] for i in index)
        total += sign * np.trace(slash(q) @ matrix @ slash(p) @ bar(matrix)).real
    return total / 4


def test_three_photon_matrix_element_equals_the_traces():
    trial = three_photons.trial(np.random.default_rng(9).random((5, 100)))
    events = np.flatnonzero(trial.weight > 0)[:4]
    photons = trial.photons[:, :, events] * SQRT_S / 2
    formula = three_photons.matrix_element(photons, kinematics.BEAM_AXIS, SQRT_S)
    traces = [three_photon_trace(photons[:, :, i], kinematics.BEAM_AXIS) for i in range(4)]
    np.testing.assert_allclose(formula, E_CHARGE**6 * np.array(traces), rtol=1e-8)
