"""Decays of τ leptons to one charged particle, parametrised: what a recoil or a pair mass needs of them.

Branching fractions and masses are those of the Particle Data Group. The τ is not polarised; leptons follow
the Michel spectrum, a pion comes alone or from a resonance that decays isotropically, the ρ with a
Breit-Wigner mass and three-pion states with a flat one.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_ELECTRON, MASS_MUON, MASS_PION, MASS_PION0, MASS_RHO, MASS_TAU
from scanner.simulation import kinematics

Array = NDArray[np.float64]
Kinds = NDArray[np.int64]

ELECTRON, MUON, HADRON, SEVERAL = range(4)
"""What a τ decays to: one charged particle of these kinds, or several."""
SHARES = {"e": 0.1782, "mu": 0.1739, "pion": 0.1152, "rho": 0.2593, "three": 0.1207}
"""Branching fractions; the pion with the kaon, ρ and three pions with what else has one charged hadron."""
WIDTH_RHO = 0.1474
THREE_PIONS = (0.9, 1.6)
"""Width of the ρ and range of the masses of three pions [GeV]."""
MASSES = np.array([MASS_ELECTRON, MASS_MUON, MASS_PION, MASS_PION])


def _michel(rng: Generator, events: int) -> Array:
    """Draw x = 2E/m_τ from 2x²(3 − 2x), by acceptance from 3x²."""
    x = np.empty(events)
    pending = np.arange(events)
    while len(pending):
        trial = np.cbrt(rng.random(len(pending)))
        kept = rng.random(len(pending)) < (3 - 2 * trial) / 3
        x[pending[kept]] = trial[kept]
        pending = pending[~kept]
    return x


def _rho_mass(rng: Generator, events: int) -> Array:
    low, high = MASS_PION + MASS_PION0 + 0.01, 1.5
    first, last = (np.arctan((m**2 - MASS_RHO**2) / (MASS_RHO * WIDTH_RHO)) for m in (low, high))
    square = MASS_RHO**2 + MASS_RHO * WIDTH_RHO * np.tan(first + (last - first) * rng.random(events))
    return np.asarray(np.sqrt(square))


def _from_resonance(rng: Generator, mass: Array, partner: Array | float) -> Array:
    """Draw the charged pion of τ → ν R, R → π + `partner`, in the rest frame of the τ."""
    n = len(mass)
    flight = kinematics.two_body_momentum(MASS_TAU, mass, 0.0) * kinematics.isotropic(rng, n)
    resonance = np.concatenate([np.sqrt(mass**2 + np.sum(flight**2, axis=0))[None], flight])
    p = kinematics.two_body_momentum(mass, MASS_PION, partner) * kinematics.isotropic(rng, n)
    pion = np.concatenate([np.sqrt(MASS_PION**2 + np.sum(p**2, axis=0))[None], p])
    return kinematics.boost_with(pion, resonance, mass)


def _lepton(rng: Generator, events: int, mass: float) -> Array:
    energy = np.maximum(_michel(rng, events) * (MASS_TAU**2 + mass**2) / (2 * MASS_TAU), mass * (1 + 1e-6))
    p = np.sqrt(energy**2 - mass**2) * kinematics.isotropic(rng, events)
    return np.concatenate([energy[None], p])


def one_prong(rng: Generator, tau: Array) -> tuple[Array, Kinds]:
    """Decay τ leptons (4, N); returns the charged particle (4, N) [GeV] and its kind (N,).

    Where the kind is SEVERAL the momentum means nothing.
    """
    n = tau.shape[1]
    mode = np.searchsorted(np.cumsum(list(SHARES.values())), rng.random(n), side="right")
    kind = np.array([ELECTRON, MUON, HADRON, HADRON, HADRON, SEVERAL])[mode]
    charged = np.zeros((4, n))
    charged[0] = 1.0
    for number in range(5):
        where = np.flatnonzero(mode == number)
        charged[:, where] = _decay(rng, number, len(where))
    return kinematics.boost_with(charged, tau, MASS_TAU), kind


def leptonic(rng: Generator, tau: Array) -> tuple[Array, Kinds]:
    """Decay τ leptons (4, N) to electrons and muons alone; returns them and their kinds."""
    n = tau.shape[1]
    share = SHARES["e"] / (SHARES["e"] + SHARES["mu"])
    kind = np.where(rng.random(n) < share, ELECTRON, MUON)
    charged = np.empty((4, n))
    for mode in (ELECTRON, MUON):
        where = np.flatnonzero(kind == mode)
        charged[:, where] = _decay(rng, mode, len(where))
    return kinematics.boost_with(charged, tau, MASS_TAU), kind


def _decay(rng: Generator, mode: int, events: int) -> Array:
    """Draw the charged particle of a mode, by its place in SHARES, in the rest frame of the τ."""
    if mode < 2:
        return _lepton(rng, events, (MASS_ELECTRON, MASS_MUON)[mode])
    if mode == 2:
        return kinematics.two_body(MASS_TAU, MASS_PION, 0.0, kinematics.isotropic(rng, events))[0]
    if mode == 3:
        return _from_resonance(rng, _rho_mass(rng, events), MASS_PION0)
    mass = rng.uniform(*THREE_PIONS, events)
    return _from_resonance(rng, mass, rng.uniform(2 * MASS_PION0, mass - MASS_PION))
