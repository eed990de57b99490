"""A scalar that mixes with the Higgs boson, and its production in B decays."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from scanner.constants import MASS_PION0, VACUUM_EXPECTATION
from scanner.models.b_decays import PARENTS, scalar_fraction
from scanner.models.base import Array, DecayModel, checked_mass
from scanner.models.leptons import LEPTONS, scalar_width
from scanner.models.tabulated import linear, log_linear, table


@dataclass(frozen=True)
class DarkScalar(DecayModel):
    """Dark scalar S, or dark Higgs boson, produced in B → K⁽*⁾S.

    Parameters
    ----------
    parent : str
        "B+ -> K+" or "B0 -> K*0".
    """

    parent: str = "B+ -> K+"

    name: ClassVar[str] = "dark_scalar"
    title: ClassVar[str] = "dark scalar that mixes with the Higgs boson"
    coupling: ClassVar[str] = "sin θ"
    coupling_name: ClassVar[str] = "mixing angle of the dark scalar with the Higgs boson"
    unit: ClassVar[str] = "1"
    power: ClassVar[int] = 2
    largest: ClassVar[float] = 1.0
    reference: ClassVar[str] = "M. Winkler, 1809.01876"
    final_states: ClassVar[tuple[str, ...]] = (*LEPTONS, "pi_pi", "K_K", "other_hadrons")

    def __post_init__(self) -> None:
        """Refuse a decay that is not known."""
        PARENTS.check(self.parent)

    def decay_range(self) -> tuple[float, float]:
        """Return the lowest and highest mass [GeV]: 2m_e, and the end of the B decay."""
        return 1.1e-3, PARENTS.end(self.parent)

    def parent_fraction(self, m: ArrayLike) -> Array:
        """Return B(B → K⁽*⁾S) at sin θ = 1."""
        return scalar_fraction(self.parent, checked_mass(m))

    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return Γ_ll = m_l²m/(8πv²)(1−4r)^{3/2}, and tabulated hadronic widths [GeV], at sin θ = 1.

        Both charges of pions and of kaons are summed: two thirds of ``pi_pi`` are π⁺π⁻, half of ``K_K``
        is K⁺K⁻. The hadronic widths of 1809.01876 are uncertain by more than a factor of two from 1.1
        to 2 GeV.
        """
        mass = checked_mass(m)
        found = {
            pair: (lepton / VACUUM_EXPECTATION) ** 2 * scalar_width(mass, lepton)
            for pair, lepton in LEPTONS.items()
        }
        return found | _hadronic(mass)


def _hadronic(m: Array) -> dict[str, Array]:
    """Return the hadronic widths; below the table's first mass they close as the pions' velocity."""
    data = table("dark_scalar")
    masses, first = data["mass"]["values"], data["mass"]["values"][0]
    velocity = _velocity(m) / _velocity(np.asarray(first))
    total = log_linear(m, masses, data["hadrons"]["values"]) * np.where(m < first, velocity, 1.0)
    pions = linear(m, masses, data["share"]["pi_pi"])
    kaons = linear(m, masses, data["share"]["K_K"])
    return {
        "pi_pi": np.asarray(total * pions),
        "K_K": np.asarray(total * kaons),
        "other_hadrons": np.asarray(total * (1.0 - pions - kaons)),
    }


def _velocity(m: Array) -> Array:
    return np.asarray(np.sqrt(np.clip(1 - (2 * MASS_PION0 / m) ** 2, 0, None)))
