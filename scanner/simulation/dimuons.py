"""Two muons and missing energy: what is measured of an event, for the search for dark Higgsstrahlung."""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from scanner.constants import MASS_MUON
from scanner.simulation import detector, kinematics
from scanner.simulation.base import Columns, as_columns

Array = NDArray[np.float64]

LOWEST_MASS = 1.5
"""Mass of the muons [GeV] from which candidates are kept."""
DIMUON_COLUMNS = {
    "m_mumu": "GeV", "m_recoil": "GeV", "p_t": "GeV", "cos_recoil": "1", "helicity": "1", "e_photon": "GeV",
}  # fmt: skip
"""Mass of the muons, mass against them, their transverse momentum and the cosine of the recoil against the
beam in the centre of mass, cosine of the decay angle, and energy of the most energetic photon found."""


def candidates(muons: Array, photons: Array, sqrt_s: float, rng: Generator) -> Columns:
    """Simulate the detector and build one candidate for every event with two identified muons.

    Parameters
    ----------
    muons
        Four-momenta of μ⁻ and μ⁺ (2, 4, N) in the centre of mass.
    photons
        Those of radiated photons (P, 4, N), P possibly 0.
    """
    lab = [kinematics.to_laboratory(k) for k in muons]
    kept = np.ones(muons.shape[2], dtype=np.bool_)
    for k in lab:
        kept &= detector.tracks_found(k, rng) & detector.muons_identified(k, rng)
    measured = [kinematics.to_centre_of_mass(detector.smear_tracks(k[:, kept], MASS_MUON, rng)) for k in lab]
    found = _hardest(photons[:, :, kept], rng)
    columns = _observables(measured[0], measured[1], sqrt_s) | {"e_photon": found}
    heavy = columns["m_mumu"] > LOWEST_MASS
    return as_columns(np.flatnonzero(kept)[heavy], {name: columns[name][heavy] for name in DIMUON_COLUMNS})


def _hardest(photons: Array, rng: Generator) -> Array:
    """Return the largest measured energy of photons that are found [GeV], 0 without."""
    hardest = np.zeros(photons.shape[2])
    for k in photons:
        there = k[0] > 0.0
        energy = np.zeros(len(there))
        if there.any():
            p = kinematics.to_laboratory(k[:, there])
            seen = detector.photons_found(p, rng)
            energy[there] = np.where(seen, detector.smear_photons(p, rng)[0], 0.0)
        hardest = np.maximum(hardest, energy)
    return hardest


def _observables(minus: Array, plus: Array, sqrt_s: float) -> dict[str, Array]:
    """Return what is computed of the measured muons (4, N) in the centre of mass."""
    pair = minus + plus
    mass = kinematics.mass(pair)
    square = sqrt_s**2 + mass**2 - 2 * sqrt_s * pair[0]
    p = np.maximum(kinematics.momentum(pair), 1e-9)
    along = np.sum(pair[1:] * kinematics.BEAM_AXIS[:, None], axis=0)
    momentum = np.maximum(kinematics.two_body_momentum(mass, MASS_MUON, MASS_MUON), 1e-9)
    # E₋* − E₊* = 2 γβ p* cosθ of the decay, with γβ = p/m.
    helicity = (minus[0] - plus[0]) * mass / (2 * p * momentum)
    return {
        "m_mumu": mass,
        "m_recoil": np.sqrt(np.maximum(square, 0.0)),
        "p_t": np.sqrt(np.maximum(p**2 - along**2, 0.0)),
        "cos_recoil": -along / p,
        "helicity": np.clip(helicity, -1.0, 1.0),
    }
