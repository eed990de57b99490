"""The main job on generated events: generate, scan, project, draw."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import scanner.query  # noqa: F401 - registers the accessor
from jobs import generate as generation
from jobs.executors import DaskExecutor, Executor, SerialExecutor, local_cluster
from jobs.places import GENERATION, run_place
from jobs.scan import scan
from jobs.scanning.run import PLAN
from scanner import definition, plots
from storage import cubes
from storage.events import MANIFEST
from storage.locations import Location

SEARCH = "zp_mumu"
LUMINOSITY = 178.0
SEED = 20
MASS = 3.2
CROSS_SECTION = 0.6
MILESTONES = (1000.0, 5000.0, 10000.0, 50000.0)
"""Luminosities [fb⁻¹], and mass [GeV] and cross section [fb] of the signal."""


def run(folder: Path, workers: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the demonstration.

    Parameters
    ----------
    folder : Path
        Gets store, cubes and plots; what an earlier demonstration left there is replaced.
    workers : int
        Worker processes; 0 runs in this process.
    say : callable
        Gets a sentence before each step.

    Returns
    -------
    dict
        `paths` of store, cubes and plots; `injected` and `recovered` signal; `projection` at the
        injected mass.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if workers == 0:
        return _run(folder, SerialExecutor(), say)
    with local_cluster(workers) as client:
        return _run(folder, DaskExecutor(client), say)


def _run(folder: Path, executor: Executor, say: Callable[[str], None]) -> dict[str, Any]:
    search = definition.load(SEARCH)
    names = {"store": "events.zarr", "cube": "limits.zarr", "projection": "projection.zarr"}
    names |= {"limit_plot": "limits.png", "projection_plot": "projection.png"}
    paths = {name: str(folder / file) for name, file in names.items()}
    _remove(paths)
    say(f"generate {SEARCH} at {LUMINOSITY:g} fb^-1 with a signal of {CROSS_SECTION:g} fb at {MASS:g} GeV")
    signal = {"m_zprime": MASS, "cross_section": CROSS_SECTION}
    generation.generate(
        search, paths["store"], executor=executor, luminosity=LUMINOSITY, seed=SEED, signals=[signal]
    )
    say("scan all windows")
    cube = scan(search, paths["store"], paths["cube"], executor=executor)
    say("project and draw")
    projection = cube.limits.project(MILESTONES)
    cubes.write(projection, paths["projection"], overwrite=True)
    plots.save(plots.overview_plot(cube), Path(paths["limit_plot"]))
    plots.save(plots.projection_plot(projection), Path(paths["projection_plot"]))
    expected = CROSS_SECTION * LUMINOSITY * float(search.signal.efficiency([MASS])[0])
    injected = {"mass": MASS, "cross_section": CROSS_SECTION, "yield": expected}
    return {
        "paths": paths,
        "digest": cubes.digest(cube),
        "injected": injected,
        "recovered": asdict(cube.limits.largest_excess()),
        "projection_mass": MASS,
        "projection": _milestones(projection),
    }


def _remove(paths: dict[str, str]) -> None:
    """Remove what an earlier demonstration left."""
    markers = {"store": MANIFEST, "cube": cubes.RECORD, "projection": cubes.RECORD}
    for name, marker in markers.items():
        Location(paths[name]).remove_tree(marker)
    Location(run_place(paths["store"])).remove_tree(GENERATION)
    Location(run_place(paths["cube"])).remove_tree(PLAN)


def _milestones(projection: Any) -> list[dict[str, float]]:
    """Return the median limits at the injected mass for each luminosity."""
    median = projection.limits.at(m_zprime=MASS).sel(quantile=0.5)
    columns = zip(
        median["luminosity"].to_numpy().tolist(),
        median["cross_section_limit_expected"].to_numpy().tolist(),
        median["coupling_limit_expected"].to_numpy().tolist(),
        strict=True,
    )
    return [{"luminosity": lumi, "cross_section": sigma, "coupling": g} for lumi, sigma, g in columns]
