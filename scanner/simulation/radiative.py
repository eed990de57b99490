"""Tree-level e⁺e⁻ → l⁺l⁻γ: the squared matrix element with initial- and final-state radiation.

For massless leptons (F. Berends et al., Phys. Lett. B 103, 124 (1981)), with s = (p₊+p₋)², t = (p₊−q₊)²,
u = (p₊−q₋)² and the primed ones those of the other legs, and v_p = p₊/p₊k − p₋/p₋k, v_q likewise,

    Σ|M|²/4 = −e⁶ (v_p − v_q)² (t² + t′² + u² + u′²)/(s s′)                              for muons,
    Σ|M|²/4 = −e⁶ (v_p − v_q)² [ss′(s²+s′²) + tt′(t²+t′²) + uu′(u²+u′²)]/(s s′ t t′)       for electrons.

The muons' mass is kept in the momenta; as 2m²/s′ [(t+u)² + (t′+u′)²] beside t² …, with t = −2p₊q₊ …, which
makes radiation off the beams exact; and in radiation along the muons. Other powers of m²/s are left out,
and the mass of electrons beside a photon at a wide angle. With v_p or v_q alone there is no interference.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scanner.constants import E_CHARGE, HBARC2, MASS_ELECTRON
from scanner.simulation import kinematics

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Products:
    """Scalar products p·q of e⁺, e⁻, l⁺, l⁻ and the photon [GeV²]."""

    s: Array | float
    s1: Array
    t: Array
    t1: Array
    u: Array
    u1: Array
    pk: tuple[Array, Array]
    qk: tuple[Array, Array]


def products(momenta: Array, sqrt_s: float) -> Products:
    """Return the invariants of l⁻, l⁺, γ (3, 4, N) whose z axis is the electron's direction.

    The beam electrons are massless but for the squared momentum transfers, which do not fall below
    m_e²(E−E′)²/EE′.
    """
    minus, plus, k = momenta
    half = sqrt_s / 2

    def beam(p: Array, sign: float) -> Array:
        # E − p_z loses digits along the beam: take (p_T² + m²)/(E + p_z) there.
        ahead = sign * p[3] > 0
        square = np.maximum(p[0] ** 2 - p[3] ** 2, 0.0)
        behind = p[0] + np.abs(p[3])
        return np.asarray(half * np.where(ahead, square / behind, behind))

    s1 = sqrt_s**2 - 2 * sqrt_s * k[0]
    least = [(MASS_ELECTRON * (half - p[0])) ** 2 / (half * p[0]) for p in (plus, minus)]
    return Products(
        sqrt_s**2,
        s1,
        -2 * beam(plus, -1) - least[0],
        -2 * beam(minus, +1) - least[1],
        -2 * beam(minus, -1),
        -2 * beam(plus, +1),
        (beam(k, -1), beam(k, +1)),
        (kinematics.minkowski(plus, k), kinematics.minkowski(minus, k)),
    )


def _eikonal(v: Products, momenta: Array, *, final: bool, initial: bool, mass: float) -> Array:
    """Return −(v_p − v_q)², without m²/(qk)², or one of its two parts [GeV⁻²]."""
    total = np.zeros(momenta.shape[2])
    if initial:
        total += v.s / (v.pk[0] * v.pk[1])
    if final:
        total += (v.s1 - 2 * mass**2) / (v.qk[0] * v.qk[1])
    if final and initial:
        for sign, transfer, i, j in ((-1, v.t, 0, 0), (-1, v.t1, 1, 1), (1, v.u, 0, 1), (1, v.u1, 1, 0)):
            total += sign * transfer / (v.pk[i] * v.qk[j])
    return np.maximum(total, 0.0)


def _collinear_loss(v: Products, mass: float) -> Array:
    """Return what the mass takes from radiation along a lepton: m²/(qk)² times twice the Born factor."""
    plus = (v.t1**2 + v.u**2) / v.qk[0] ** 2
    minus = (v.t**2 + v.u1**2) / v.qk[1] ** 2
    return np.asarray(2 * mass**2 * (plus + minus) / v.s**2)


def muon_element(
    momenta: Array, sqrt_s: float, mass: float, *, initial: bool = True, final: bool = True
) -> Array:
    """Return Σ|M|²/4 [GeV⁻²] for l⁻, l⁺, γ (3, 4, N) of a lepton that is no electron."""
    v = products(momenta, sqrt_s)
    pairs = v.t**2 + v.t1**2 + v.u**2 + v.u1**2
    pairs = pairs + 2 * mass**2 / v.s1 * ((v.t + v.u) ** 2 + (v.t1 + v.u1) ** 2)
    eikonal = _eikonal(v, momenta, final=final, initial=initial, mass=mass)
    loss = _collinear_loss(v, mass) if final else 0.0
    return np.asarray(E_CHARGE**6 * np.maximum(eikonal * pairs / (v.s * v.s1) - loss, 0.0))


def electron_element(momenta: Array, sqrt_s: float) -> Array:
    """Return Σ|M|²/4 [GeV⁻²] for e⁻, e⁺, γ (3, 4, N), with exchange and annihilation."""
    v = products(momenta, sqrt_s)
    s, t, u = v.s * v.s1, v.t * v.t1, v.u * v.u1
    pairs = s * (v.s**2 + v.s1**2) + t * (v.t**2 + v.t1**2) + u * (v.u**2 + v.u1**2)
    eikonal = _eikonal(v, momenta, final=True, initial=True, mass=MASS_ELECTRON)
    return np.asarray(E_CHARGE**6 * eikonal * pairs / (s * t))


def phase_space(photon_energy: Array, velocity: Array | float, sqrt_s: float) -> Array:
    """Return dΦ/(ds′ dΩ_k dΩ*) times the flux factor 1/2s and (ħc)² [fb], for |M|² in GeV⁻².

    Ω* is the direction of a lepton in the rest frame of the pair, `velocity` its velocity there.
    """
    photon = photon_energy / (2 * sqrt_s * 2 * (2 * math.pi) ** 3)
    pair = velocity / (8 * math.pi * 4 * math.pi)
    return np.asarray(HBARC2 * photon * pair / (2 * sqrt_s**2))
