"""The look-elsewhere effect of a cube with two mass axes: its largest excess among those of toys."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from scanner.errors import InputError
from scanner.stats.euler import EulerModel, fit_euler
from scanner.stats.look_elsewhere import GlobalP, p_from_toys

TOY = "toy"
"""Name of the dimension along which the maps of toys are stacked."""
HIGH = 2.5
"""Local significance below which more than one spot is likely, and their mean number no p-value."""

Maps = NDArray[np.float64]


@dataclass(frozen=True)
class PlaneSignificance:
    """The global significance of the largest excess of a map.

    Attributes
    ----------
    z : float
        Largest local significance.
    at : mapping
        Its masses [GeV] by the names of their axes.
    points : int
        Points of the map that are looked at.
    toys, toys_failed : int
        Maps of toys, and those with a point that has no significance although the data have one.
    by_euler, by_euler_half_step : GlobalP
        By the Euler characteristic of all points, and of every second one along both axes: where they
        differ by much, the steps of the scan are too wide to stand for the plane.
    by_toys : GlobalP
        By counting the toys with a larger excess; failed ones count.
    model : EulerModel
    """

    z: float
    at: Mapping[Hashable, float]
    points: int
    toys: int
    toys_failed: int
    by_euler: GlobalP
    by_euler_half_step: GlobalP
    by_toys: GlobalP
    model: EulerModel

    @property
    def euler_valid(self) -> bool:
        """Whether the excess is high enough for the Euler characteristic."""
        return self.z >= HIGH

    def attributes(self) -> dict[str, Any]:
        """Return attributes of a cube that hold the result."""
        best = self.by_euler if self.euler_valid else self.by_toys
        return {
            "p_global": best.p,
            "p_global_low": best.low,
            "p_global_high": best.high,
            "z_global": best.z,
            "p_global_method": "euler" if self.euler_valid else "toys",
            "p_global_toys": self.toys,
            "p_global_toys_failed": self.toys_failed,
            "p_global_by_toys": self.by_toys.p,
            "p_global_by_euler": self.by_euler.p,
            "p_global_by_euler_half_step": self.by_euler_half_step.p,
            "p_global_excess_z": self.z,
            **{f"p_global_excess_{name}": value for name, value in self.at.items()},
            "p_global_windows": self.points,
            "euler_n1": self.model.n1,
            "euler_n2": self.model.n2,
            "euler_region": self.model.region,
        }


def plane_significance(z: xr.DataArray, toys: xr.DataArray) -> PlaneSignificance:
    """Find the global significance of the largest excess of a map of local significances.

    Parameters
    ----------
    z : DataArray, (Y, X)
        Those of the data over two mass axes; NaN where the search does not look.
    toys : DataArray, (toy, Y, X)
        Those of toys without signal on the same axes, each a whole map: windows share their events.

    Raises
    ------
    InputError
        If the axes differ, no point has a significance, or fewer than two toys are sound.
    """
    maps = _checked(z, toys)
    data = z.to_numpy().astype(np.float64)
    looked_at = np.isfinite(data)
    failed: NDArray[np.bool_] = np.any(~np.isfinite(maps) & looked_at, axis=(1, 2))
    maxima = np.max(maps, axis=(1, 2), initial=0.0, where=looked_at & np.isfinite(maps))
    best = np.unravel_index(np.argmax(np.where(looked_at, data, -np.inf)), data.shape)
    height = float(data[best])
    sound = maps[~failed]
    whole = fit_euler(sound, looked_at=looked_at)
    half = fit_euler(sound[:, ::2, ::2], looked_at=looked_at[::2, ::2])
    return PlaneSignificance(
        z=height,
        at={name: float(z[name][i]) for name, i in zip(z.dims, best, strict=True)},
        points=int(looked_at.sum()),
        toys=len(maps),
        toys_failed=int(failed.sum()),
        by_euler=whole.p_global(height),
        by_euler_half_step=half.p_global(height),
        by_toys=p_from_toys(height, maxima, failed),
        model=whole,
    )


def _checked(z: xr.DataArray, toys: xr.DataArray) -> Maps:
    """Return the maps of the toys in the order of the data's axes."""
    if z.ndim != 2:
        raise InputError(
            f"this map has the axes {', '.join(map(str, z.dims))}: the Euler characteristic is for two "
            "mass axes, `darkscan significance` for one; select a configuration first if there are several"
        )
    if set(toys.dims) != {TOY, *z.dims}:
        raise InputError(
            f"the toys have the axes {', '.join(map(str, toys.dims))}: give them {TOY!r} and those of the "
            f"map, {', '.join(map(str, z.dims))}"
        )
    for name in z.dims:
        if not np.array_equal(z[name], toys[name]):
            raise InputError(f"the toys have other points along {name} than the map: scan them alike")
    if not bool(np.isfinite(z).any()):
        raise InputError("no point of this map has a significance: look at the status of its fits")
    maps: Maps = toys.transpose(TOY, *z.dims).to_numpy().astype(np.float64)
    return maps
