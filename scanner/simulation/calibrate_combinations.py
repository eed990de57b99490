"""Spectra of combinations that look like B → K⁺γγ, from particles that PYTHIA makes.

`tests/reference/oracles/pythia_combinations.py` writes the true momenta of K⁺γγ in e⁺e⁻ → qq̄ and BB̄ that
are loosely at the energy and the mass of a B meson. Here they pass through the detector of the search,
several times each with random numbers of their own, and what is found gives the generator's table:

    python -m scanner.simulation.calibrate_combinations FILES...
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from scanner.constants import MASS_B, MASS_KAON, SQRT_S
from scanner.simulation import kinematics
from scanner.simulation.b_to_kaon_photons import BC_RANGE, DE_RANGE, argus, candidates
from scanner.simulation.tabulated import FOLDER

Array = NDArray[np.float64]
Arrays = Mapping[str, NDArray[Any]]

REPEATS = 10
"""Passes of every true combination through the detector."""
WIDE_BC, WIDE_DE = (5.20, 5.29), 0.30
"""Ranges of M_bc and |ΔE| [GeV] for the shape of the mass: more events than in those of the generator."""
NODES = (
    0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.95, 1.1, 1.3, 1.5, 1.7, 1.9, 2.15, 2.4, 2.65, 2.9,
    3.2, 3.5, 3.8, 4.1, 4.4, 4.65, MASS_B - MASS_KAON,
)  # fmt: skip
"""Masses of the photons at which their density is kept [GeV]."""
PION = 111
"""Code of the π⁰, whose photons are kept apart; those of η and η′, one in a hundred, are with the others."""
B_MESONS = 4
"""Number of the sample of B mesons."""
EXACT = 0.002
"""A combination is all of a B meson where its true energy and mass are known to this [GeV]."""


def merged(paths: Sequence[Path]) -> tuple[dict[str, NDArray[Any]], float]:
    """Return the columns of several files, one after the other, and their luminosity [fb⁻¹]."""
    files = [dict(np.load(path)) for path in paths]
    columns = ("photons_sample", "photons", "photons_parent")
    whole = {name: np.concatenate([each[name] for each in files], axis=-1) for name in columns}
    kept = ~_whole_decays(whole["photons"])
    whole = {name: values[..., kept] for name, values in whole.items()}
    return whole, float(sum(each["luminosity"] for each in files))


def _whole_decays(momenta: Array) -> NDArray[np.bool_]:
    """Return which combinations are decays of a B meson to K⁺γγ, which another process generates."""
    total = momenta.sum(axis=0)
    return np.asarray(
        (np.abs(total[0] - SQRT_S / 2) < EXACT) & (np.abs(kinematics.mass(total) - MASS_B) < EXACT)
    )


def measured(whole: Arrays, repeats: int = REPEATS, seed: int = 1) -> dict[str, NDArray[Any]]:
    """Pass combinations through the detector, and return the candidates in the wide ranges.

    Returns
    -------
    dict of arrays
        Columns of the candidates (N,), the code `parent` of the meson that both photons come from, or 0, the
        number of their `sample`, and whether the candidate is `inside` the ranges of the generator.
    """
    rng = np.random.default_rng(seed)
    laboratory = np.stack([kinematics.to_laboratory(kinematics.turn_to_beam(p)) for p in whole["photons"]])
    parts = [candidates(laboratory[0], laboratory[1:], SQRT_S, rng) for _ in range(repeats)]
    found: dict[str, NDArray[Any]] = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
    found["parent"] = whole["photons_parent"][found["event"]]
    found["sample"] = whole["photons_sample"][found["event"]]
    wide = _within(found, WIDE_BC, WIDE_DE)
    found = {name: values[wide] for name, values in found.items()}
    return found | {"inside": _within(found, BC_RANGE, DE_RANGE)}


def _within(found: Arrays, bc: tuple[float, float], de: float) -> NDArray[np.bool_]:
    return np.asarray((found["m_bc"] > bc[0]) & (found["m_bc"] < bc[1]) & (np.abs(found["delta_e"]) < de))


def polygon(values: Array, nodes: Array) -> Array:
    """Estimate a density at nodes, linear between them: what hats around the nodes hold of the values."""
    place = np.interp(values, nodes, np.arange(len(nodes)))
    low = np.minimum(place.astype(int), len(nodes) - 2)
    share = place - low
    held = np.bincount(low, 1 - share, len(nodes)) + np.bincount(low + 1, share, len(nodes))
    width = np.diff(nodes, prepend=nodes[0], append=nodes[-1])
    return np.asarray(held / len(values) / ((width[1:] + width[:-1]) / 2))


def curvature(m_bc: Array) -> float:
    """Return the exponent of the ARGUS shape of greatest likelihood."""
    axis = np.linspace(*BC_RANGE, 2001)

    def nll(c: float) -> float:
        norm = np.trapezoid(argus(axis, c), axis)
        return float(-np.mean(np.log(argus(m_bc, c) / norm)))

    return float(minimize_scalar(nll, bounds=(-50.0, 150.0), method="bounded").x)


def kaon_photons(paths: Sequence[Path], repeats: int = REPEATS) -> dict[str, Any]:
    """Return the table of K⁺γγ combinations."""
    whole, luminosity = merged(paths)
    found = measured(whole, repeats)
    inside, pions = found["inside"], found["parent"] == PION
    density = polygon(found["m_gg"][~pions].astype(np.float64), np.array(NODES))
    count = np.count_nonzero(inside) / repeats
    return {
        "quantity": "combinations of a charged kaon and two photons in e+e- -> qq and BB",
        "source": "computed with PYTHIA 8.317",
        "made_by": "pythia_combinations.py among the tests, and scanner.simulation.calibrate_combinations",
        "luminosity": {"value": _rounded(luminosity), "unit": "fb^-1"},
        "cross_section": {"value": _rounded(count / luminosity), "unit": "fb"},
        "share_of_b_mesons": _rounded(np.mean(found["sample"][inside] == B_MESONS)),
        "mass": {"unit": "GeV", "values": list(NODES)},
        "density": [_rounded(value) for value in density],
        "argus_curvature": _rounded(curvature(found["m_bc"][inside].astype(np.float64))),
        "delta_e_slope": _rounded(3 * np.mean(found["delta_e"][inside]) / DE_RANGE),
        "pi0_share": _rounded(np.mean(pions[inside])),
        "pi0_resolution": {"value": _half_width(found["m_gg"][inside & pions]), "unit": "GeV"},
    }


def _half_width(values: Array) -> float:
    """Return half of the central 68%."""
    low, high = np.quantile(values, [0.1587, 0.8413])
    return _rounded(high - low) / 2


def _rounded(value: float | np.floating[Any]) -> float:
    """Return a number to the three digits that the events tell, at most."""
    return float(f"{float(value):.3g}")


def main(paths: Sequence[str]) -> None:
    """Write the table that is shipped."""
    text = json.dumps(kaon_photons([Path(p) for p in paths]), indent=1)
    (FOLDER / "kaon_photons.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
