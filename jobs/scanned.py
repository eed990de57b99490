"""A cube and the run that it was made by."""

from collections.abc import Iterator
from dataclasses import dataclass

import xarray as xr

from jobs.likelihoods import Spot, open_cube_run
from jobs.scanning.run import Run
from scanner.errors import InputError
from scanner.windows.axes import outer_points, window_axes
from scanner.windows.floating import floats
from storage import cubes as cube_store


@dataclass(frozen=True)
class Scanned:
    """A cube and its run."""

    name: str
    cube: xr.Dataset
    run: Run

    @property
    def axes(self) -> list[str]:
        """Names of the mass axes."""
        return [axis.name for axis in window_axes(self.run.search)]

    @property
    def spots(self) -> Iterator[Spot]:
        """Every configuration at every point of the outer axes, in the order of the cube."""
        for number in range(len(self.run.search.configurations)):
            for index, point in enumerate(outer_points(self.run.search)):
                yield Spot(number, index, point)

    def values(self, spot: Spot) -> dict[str, float]:
        """Return the parameters of a configuration and the values of the outer axes."""
        return {**self.run.search.configurations[spot.configuration].parameters, **spot.point}

    def at(self, spot: Spot) -> xr.Dataset:
        """Return the cube's windows of one configuration at one point of the outer axes."""
        chosen = self.cube.isel(configuration=spot.configuration, missing_dims="ignore")
        return chosen.sel(dict(spot.point)).transpose(*self.axes, ...)


def opened(cube: str, what: str, number: int = 0) -> Scanned:
    """Open a cube and the run beside it, for what needs the likelihoods of its windows.

    Raises
    ------
    InputError
        If there is no run, or parameters of its signal float.
    """
    run = open_cube_run(cube)
    if floats(run.search):
        raise InputError(
            f"{what} of search {run.search.name!r} with floating parameters is not possible: hold them"
        )
    return Scanned(f"{run.search.name}_{number}", cube_store.open(cube), run)
