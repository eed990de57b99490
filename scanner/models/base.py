"""What every coupling model answers, and the step from a cross-section limit to a coupling limit."""

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scanner.constants import HBARC_CM
from scanner.errors import InputError

Array = NDArray[np.float64]


class CouplingModel(ABC):
    """A new particle whose production is production(m, s, g) = production(m, s, 1) g^power.

    Production is a cross section, or the branching fraction of a meson or lepton. Branching fractions of
    the particle do not depend on the coupling. Where its decay is prompt, a limit on the production gives
    one coupling limit (a half-line); where it is not, see `scanner.couplings`.
    """

    name: ClassVar[str]
    """Key in `scanner.models.MODELS`."""
    title: ClassVar[str]
    coupling: ClassVar[str]
    """Symbol of the coupling, as on a plot's axis."""
    coupling_name: ClassVar[str]
    """The coupling in words, the `long_name` of a limit."""
    unit: ClassVar[str]
    """Unit of the coupling; "1" when it has none."""
    power: ClassVar[int]
    """σ ∝ coupling**power; 0 where the coupling sets a lifetime alone, which limits follow by `flights`."""
    largest: ClassVar[float] = math.inf
    """Largest coupling that has a meaning: 1 of a sine of a mixing angle."""
    reference: ClassVar[str]
    final_states: ClassVar[tuple[str, ...]]
    """Decays that `branching_fraction` knows."""
    quantity: ClassVar[str] = "cross_section"
    """What `production` is: "cross_section" [fb] or "branching_fraction" [1]."""

    @abstractmethod
    def mass_range(self, sqrt_s: float) -> tuple[float, float]:
        """Return the lowest and highest mass [GeV] at which the model's formulas hold."""

    @abstractmethod
    def production(self, m: ArrayLike, sqrt_s: float) -> Array:
        """Return the cross section [fb] or branching fraction at unit coupling; 0 above the threshold."""

    @abstractmethod
    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return the partial widths [GeV] at unit coupling, by final state, each of the shape of m."""

    def largest_coupling(self, m: ArrayLike, sqrt_s: float) -> Array:
        """Return the largest coupling that has a meaning at each mass.

        That is `largest`, or the coupling at which the parent would have no other decay, if that is smaller.
        """
        end = np.full(np.shape(m), self.largest)
        if self.quantity != "branching_fraction" or self.power == 0:
            return end
        reach = self.production(m, sqrt_s)
        with np.errstate(divide="ignore"):
            return np.asarray(np.minimum(end, reach ** (-1.0 / self.power)))

    def width(self, m: ArrayLike) -> Array:
        """Return the total width [GeV] at unit coupling; it scales with coupling**power."""
        return np.asarray(sum(self.widths(m).values(), start=np.zeros(np.shape(m))))

    def decay_length(self, m: ArrayLike) -> Array:
        """Return the proper decay length cτ [cm] at unit coupling; it scales with coupling**-power.

        Infinite where no decay is open.
        """
        with np.errstate(divide="ignore"):
            return np.asarray(HBARC_CM / self.width(m))

    def flights(self, m: ArrayLike) -> dict[str, tuple[Array, int]]:
        """Return the proper decay lengths of several particles, by the names of the axes they are scanned on.

        Returns
        -------
        dict of (Array, int)
            cτ [cm] at unit coupling, and the power of the coupling that it falls with, 0 where parameters of
            the model set it. Empty where `decay_length` is all there is, whatever the axis is called.
        """
        del m
        return {}

    def branching_fraction(self, m: ArrayLike, final_state: str) -> Array:
        """Return the branching fraction to `final_state` at mass m [GeV].

        Raises
        ------
        InputError
            For a final state that the model does not have.
        """
        if final_state not in self.final_states:
            raise InputError(
                f"model {self.name} has no final state {final_state!r}; it has {', '.join(self.final_states)}"
            )
        widths = self.widths(m)
        total = np.asarray(sum(widths.values(), start=np.zeros(np.shape(m))))
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(total > 0, widths[final_state] / total, 0.0))

    def coupling_limit(
        self, production_limit: ArrayLike, m: ArrayLike, sqrt_s: float, final_state: str | None = None
    ) -> Array:
        """Turn a limit on the production into the limit on the coupling.

        Parameters
        ----------
        production_limit
            Upper limit on the production [fb, or 1], times the decay's branching fraction when
            `final_state` is given. Shapes that
            broadcast with `m`.
        m
            Mass [GeV].
        sqrt_s
            Centre-of-mass energy [GeV].
        final_state
            The decay that the search looks at.

        Returns
        -------
        Array
            (limit / (production(g=1) B))^(1/power); infinite where the production or the decay is closed, NaN
            where the limit is NaN.
        """
        if self.power == 0:
            raise InputError(f"the production of {self.name} does not depend on its coupling {self.coupling}")
        limit, mass = np.asarray(production_limit, dtype=np.float64), np.asarray(m, dtype=np.float64)
        reach = self.production(mass, sqrt_s)
        if final_state is not None:
            reach = reach * self.branching_fraction(mass, final_state)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(reach > 0, limit / reach, np.where(np.isnan(limit), np.nan, np.inf))
            return np.asarray(ratio ** (1.0 / self.power))


class InvisibleModel(CouplingModel):
    """A new particle that is never seen: what it decays to, and how fast, is not stated."""

    final_states: ClassVar[tuple[str, ...]] = ("invisible",)

    def widths(self, m: ArrayLike) -> dict[str, Array]:
        """Return NaN [GeV]: no width is stated."""
        return {"invisible": np.full(np.shape(checked_mass(m)), np.nan)}

    def branching_fraction(self, m: ArrayLike, final_state: str) -> Array:
        """Return 1 for "invisible"."""
        super().branching_fraction(m, final_state)
        return np.ones(np.shape(m))


class DecayModel(CouplingModel):
    """A new particle that comes from the decay of a meson or lepton, whatever the beams' energy."""

    quantity: ClassVar[str] = "branching_fraction"

    @abstractmethod
    def decay_range(self) -> tuple[float, float]:
        """Return the lowest and highest mass [GeV] at which the model's formulas hold."""

    @abstractmethod
    def parent_fraction(self, m: ArrayLike) -> Array:
        """Return the branching fraction of the parent at unit coupling; 0 above the end of the decay."""

    def mass_range(self, sqrt_s: float) -> tuple[float, float]:  # noqa: ARG002 - the parent decays at rest
        """Return `decay_range`."""
        return self.decay_range()

    def production(self, m: ArrayLike, sqrt_s: float) -> Array:  # noqa: ARG002 - the parent decays at rest
        """Return `parent_fraction`."""
        return self.parent_fraction(m)


def checked_mass(m: ArrayLike) -> Array:
    """Return m as float64, after refusing what is not a positive finite mass."""
    mass = np.asarray(m, dtype=np.float64)
    good = np.isfinite(mass) & (mass > 0)
    if not np.all(good):
        raise InputError(f"mass {mass[~good].flat[0]} GeV: a positive finite mass is needed")
    return mass
