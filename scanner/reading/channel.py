"""What one channel of a search selects and fills, as plain facts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanner.reading.plane import PlaneTable

Function = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class WindowTable:
    """Windows on the fine bins of the observable, and the values of the window variables.

    Attributes
    ----------
    variables
        Values of each window variable: (windows,).
    first
        First fine bin of each window, not decreasing: (windows,).
    stride
        Fine bins a bin of each window: (windows,).
    bins
        Bins of every window.
    """

    variables: Mapping[str, NDArray[np.float64]]
    first: NDArray[np.int64]
    stride: NDArray[np.int64]
    bins: int

    @property
    def shape(self) -> tuple[int, int]:
        """Windows, and bins of each."""
        return self.first.size, self.bins

    @property
    def last(self) -> NDArray[np.int64]:
        """One past the last fine bin of each window: (windows,)."""
        return np.asarray(self.first + self.stride * self.bins)


@dataclass(frozen=True, eq=False)
class ChannelPlan:
    """One channel of one search.

    Attributes
    ----------
    cuts
        Conditions, applied in turn.
    observable
        The number whose histogram is filled; of columns, constants and configuration parameters.
    edges
        Edges of the fine bins in the observable, increasing: (bins + 1,).
    columns
        The stored columns.
    derived
        Columns computed from others, as expressions.
    constants
        Numbers by name.
    configurations
        Parameters of each configuration; all have the same names.
    windows
        The windows: runs of fine bins, for cuts that depend on them, or counting windows. Of the latter
        the observables are their own, and the fine bins have no use.
    functions
        Functions that expressions may call, with float64 arrays in their order of arguments.
    arity
        The number of arguments of each function.
    """

    cuts: tuple[str, ...]
    observable: str
    edges: NDArray[np.float64]
    columns: tuple[str, ...]
    derived: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, float] = field(default_factory=dict)
    configurations: tuple[Mapping[str, float], ...] = ({},)
    windows: WindowTable | PlaneTable | None = None
    functions: Mapping[str, Function] = field(default_factory=dict)
    arity: Mapping[str, int] = field(default_factory=dict)
