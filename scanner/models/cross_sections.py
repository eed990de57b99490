"""The shipped table of σ(e⁺e⁻ → μ⁺μ⁻X) and its interpolation.

At the energy of the table the cross section is interpolated, at any other one it is integrated for
each mass. `write_table` makes the table anew.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.interpolate import CubicSpline

from scanner.constants import ALPHA, HBARC2, MASS_MUON, SQRT_S
from scanner.models import radiation
from scanner.models.base import Array, checked_mass

TABLE = Path(__file__).parent / "tables" / "mu_mu_x.json"
TABULATED = ("vector", "scalar")
LOWEST, MARGIN, POINTS = 1e-3, 1e-3, 240
"""Lowest tabulated mass, distance of the highest from the threshold [GeV], number of masses."""


def _logit(m: ArrayLike, sqrt_s: float) -> Array:
    """Coordinate in which ln σ becomes a straight line at both ends of the mass range."""
    m = np.asarray(m, dtype=np.float64)
    return np.asarray(np.log(m / (radiation.threshold(sqrt_s) - m)))


def tabulate(sqrt_s: float = SQRT_S, points: int = POINTS) -> dict[str, Any]:
    """Compute the table that is shipped: masses, cross sections at unit coupling and provenance."""
    top = radiation.threshold(sqrt_s)
    t = np.linspace(_logit(LOWEST, sqrt_s), _logit(top - MARGIN, sqrt_s), points)
    mass = np.array([float(f"{m:.9e}") for m in top / (1 + np.exp(-t))])
    sigma = {kind: radiation.cross_section(kind, mass, sqrt_s) for kind in TABULATED}
    return {
        "quantity": "total cross section of e+e- -> mu+mu-X at unit coupling",
        "source": "computed: tree-level quadrature by scanner.models.cross_sections.tabulate",
        "approximation": "one virtual photon, radiation off the muons, no initial-state radiation",
        "sqrt_s": {"value": sqrt_s, "unit": "GeV"},
        "constants": {"alpha": ALPHA, "mass_muon": MASS_MUON, "hbarc2": HBARC2},
        "mass": {"unit": "GeV", "values": mass.tolist()},
        "cross_section": {
            "unit": "fb",
            **{kind: [float(f"{v:.9e}") for v in values] for kind, values in sigma.items()},
        },
    }


@cache
def shipped() -> dict[str, Any]:
    """Return the shipped table, of the form of `tabulate`."""
    loaded: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
    return loaded


@cache
def _spline(kind: str) -> CubicSpline:
    table = shipped()
    x = _logit(table["mass"]["values"], table["sqrt_s"]["value"])
    return CubicSpline(x, np.log(table["cross_section"][kind]))


def mu_mu_x(kind: str, m: ArrayLike, sqrt_s: float = SQRT_S) -> Array:
    """Cross section of e⁺e⁻ → μ⁺μ⁻X [fb] at unit coupling, of the shape of m.

    Parameters
    ----------
    kind
        "vector" or "scalar".
    m
        Mass of X [GeV]; above √s − 2m_μ the result is 0.
    sqrt_s
        Centre-of-mass energy [GeV]. At the table's energy the result is interpolated, to better than
        1e-5; elsewhere, and outside the table's masses, it is integrated, 2 ms a mass.

    Raises
    ------
    InputError
        For a mass that is not positive and finite.
    """
    mass, table = checked_mass(m), shipped()
    masses = table["mass"]["values"]
    inside = (mass >= masses[0]) & (mass <= masses[-1]) & (sqrt_s == table["sqrt_s"]["value"])
    result = np.zeros(mass.shape)
    result[inside] = np.exp(_spline(kind)(_logit(mass[inside], sqrt_s)))
    result[~inside] = radiation.cross_section(kind, mass[~inside], sqrt_s)
    return result


def write_table(path: Path = TABLE) -> None:
    """Write the table; needed only after a change of the matrix elements or of the constants."""
    path.write_text(json.dumps(tabulate(), indent=1) + "\n", encoding="utf-8")
