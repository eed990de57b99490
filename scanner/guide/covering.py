"""How often the limits of windows cover: a map that takes a quarter of an hour, and is kept beside this file.

`python -m scanner.guide.covering` (or `make coverage`) makes it anew; with names of methods, theirs alone.
"""

import csv
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from scanner.guide.counting import LEVEL
from scanner.guide.tables import Floats, Table
from scanner.stats import Settings
from scanner.stats.coverage import BACKGROUNDS, SHAPES, coverage_map

PLACE = Path(__file__).with_name("coverage.csv")
MULTIPLES, MANY_MULTIPLES = (1.0, 1.7), (1.0, 1.3, 1.5, 1.7, 2.0)
"""True yields, as `scanner.stats.coverage.true_yields` counts them, and those at which formulas are tried."""
TOYS: Mapping[str, int] = {"auto": 0, "toys": 500, "feldman_cousins": 500}
"""Toys of an experiment; the automatic choice has none unless a definition asks for them."""
EXPERIMENTS: Mapping[str, int] = {
    "asymptotic": 10_000,
    "counting": 10_000,
    "auto": 10_000,
    "bayesian": 2000,
    "toys": 1000,
    "feldman_cousins": 500,
}
"""Pseudo-experiments of a point: as many as the method's cost allows."""
TITLES = {
    "asymptotic": "asymptotic",
    "counting": "counting",
    "auto": "the automatic choice",
    "toys": "toys",
    "bayesian": "Bayesian, flat",
    "feldman_cousins": "Feldman–Cousins",
}
NAMES = ("limit_method", "shape", "background", "multiple", "experiments", "missing", "covered")


@dataclass(frozen=True)
class Point:
    """What became of the experiments of one method on one background and true yield."""

    limit_method: str
    shape: str
    background: float
    multiple: float
    experiments: int
    missing: int
    covered: int

    @property
    def coverage(self) -> float:
        """Part of the experiments with a limit whose limit is at or above the truth."""
        return self.covered / max(self.experiments - self.missing, 1)

    @property
    def error(self) -> float:
        """Binomial standard deviation of the coverage."""
        told = max(self.experiments - self.missing, 1)
        smooth = (self.covered + 1.0) / (told + 2.0)
        return float(np.sqrt(smooth * (1.0 - smooth) / told))


@cache
def points() -> tuple[Point, ...]:
    """Read the map."""
    with PLACE.open(newline="") as file:
        return tuple(
            Point(row[0], row[1], float(row[2]), float(row[3]), *map(int, row[4:]))
            for row in list(csv.reader(file))[1:]
        )


def multiples(method: str) -> tuple[float, ...]:
    """Return the true yields at which a method is looked at."""
    return MANY_MULTIPLES if method == "asymptotic" else MULTIPLES


def make(
    method: str,
    experiments: int,
    seed: int = 0,
    *,
    backgrounds: Sequence[float] = BACKGROUNDS,
    yields: Sequence[float] = (),
) -> list[Point]:
    """Throw and count the experiments of one method; `yields` are those of `multiples` by default."""
    yields = yields or multiples(method)
    found = coverage_map(
        [method],
        Settings(LEVEL, toys=TOYS.get(method, Settings.toys)),
        experiments=experiments,
        seed=seed,
        backgrounds=backgrounds,
        multiples=yields,
    )
    return [
        Point(
            method,
            shape,
            background,
            multiple,
            experiments,
            *(int(found[name][0, s, b, m]) for name in ("missing", "covered")),
        )
        for s, shape in enumerate(SHAPES)
        for b, background in enumerate(backgrounds)
        for m, multiple in enumerate(yields)
    ]


@dataclass(frozen=True)
class Worst:
    """The lowest coverage of a method over shapes and true yields, for each background."""

    coverage: Floats
    """(B,)"""
    error: Floats
    """(B,) that of the point with this coverage."""
    missing: Floats
    """(B,) part of the experiments without a limit, over all points."""


def worst(method: str) -> Worst:
    """Return the lowest coverages of a method over `BACKGROUNDS`."""
    rows = [[p for p in points() if (p.limit_method, p.background) == (method, b)] for b in BACKGROUNDS]
    least = [min(row, key=lambda point: point.coverage) for row in rows]
    missing = [sum(p.missing for p in row) / sum(p.experiments for p in row) for row in rows]
    return Worst(np.array([p.coverage for p in least]), np.array([p.error for p in least]), np.array(missing))


def map_table() -> Table:
    """Show the lowest coverage of every method by the effective background."""
    found = {method: worst(method) for method in TITLES}
    rows = [
        [
            f"{background:g}",
            *(f"{100 * one.coverage[b]:.1f} ± {100 * one.error[b]:.1f}%" for one in found.values()),
        ]
        for b, background in enumerate(BACKGROUNDS)
    ]
    rows.append(["experiments a point", *map(sizes, found)])
    return Table(("effective background", *TITLES.values()), rows)


def sizes(method: str) -> str:
    """Write how many experiments the points of a method have."""
    found = sorted({point.experiments for point in points() if point.limit_method == method})
    return f"{found[0]}" if len(found) == 1 else f"{found[0]} to {found[-1]}"


def main(*methods: str) -> None:
    """Make the map of some methods anew, or of all, and keep the rest."""
    wanted = methods or tuple(TITLES)
    kept = [point for point in points() if point.limit_method not in wanted] if PLACE.exists() else []
    made = [point for method in wanted for point in make(method, EXPERIMENTS[method])]
    order = list(TITLES)
    rows = sorted(kept + made, key=lambda point: order.index(point.limit_method))
    with PLACE.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(NAMES)
        writer.writerows([[getattr(point, name) for name in NAMES] for point in rows])


if __name__ == "__main__":
    main(*sys.argv[1:])
