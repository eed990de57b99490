"""An axion-like particle that couples to W bosons, −(g/4) a W W̃, and its production in B decays."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from scanner.constants import SIN2_THETA_W
from scanner.models.b_decays import PARENTS, pseudoscalar_fraction
from scanner.models.base import Array, DecayModel, checked_mass


@dataclass(frozen=True)
class ALPW(DecayModel):
    """Axion-like particle produced in B → K⁽*⁾a by a W loop; it decays to photons alone.

    Parameters
    ----------
    parent : str
        "B+ -> K+" or "B0 -> K*0".
    """

    parent: str = "B+ -> K+"

    name: ClassVar[str] = "alp_w"
    title: ClassVar[str] = "axion-like particle coupled to W bosons"
    coupling: ClassVar[str] = "g_aW"
    coupling_name: ClassVar[str] = "coupling of the axion-like particle to W bosons"
    unit: ClassVar[str] = "GeV^-1"
    power: ClassVar[int] = 2
    reference: ClassVar[str] = "E. Izaguirre, T. Lin, B. Shuve, 1611.09355"
    final_states: ClassVar[tuple[str, ...]] = ("gamma_gamma",)

    def __post_init__(self) -> None:
        """Refuse a decay that is not known."""
        PARENTS.check(self.parent)

    def decay_range(self) -> tuple[float, float]:
        """Return the lowest and highest mass [GeV]; the latter is the end of the B decay."""
        return 1e-3, PARENTS.end(self.parent)

    def parent_fraction(self, m: ArrayLike) -> Array:
        """Return B(B → K⁽*⁾a) at g = 1/GeV.

        Examples
        --------
        >>> f"{1e-10 * float(ALPW().parent_fraction(2.0)):.1e}"
        '2.1e-07'
        """
        return pseudoscalar_fraction(self.parent, checked_mass(m))

    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return Γ(a → γγ) = sin⁴θ_W m³/64π [GeV] at g = 1/GeV."""
        return {"gamma_gamma": np.asarray(SIN2_THETA_W**2 * checked_mass(m) ** 3 / (64 * math.pi))}
