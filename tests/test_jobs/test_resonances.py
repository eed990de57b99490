"""Narrow mesons in `ap_vis`: they peak in the vetoes, and move no fit beside them."""

import numpy as np
import pytest

from jobs import scan
from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.plan import Options
from jobs.scanning import fits, planning
from scanner import definition, engine
from scanner.likelihoods.fit import fit
from scanner.limits import window_problem
from scanner.studies.injected import expectation

MASSES = (2.99, 3.046, 3.15, 3.24, 9.3, 9.339, 9.581, 9.7, 9.9, 10.145, 10.19)
"""Beside the vetoes around J/ψ, Υ(1S) and Υ(2S), and below the Υ(3S) [GeV]."""
PAIRS, PEAKS = 0.02, 5.14
"""Luminosities that are generated of pairs that are not resonant, and of those that are [fb⁻¹]."""


def search_of(kind, in_windows):
    """Return `ap_vis` at a few masses, with the backgrounds of a kind."""
    search = definition.load("ap_vis")
    axis = search.scan_axis.model_copy(update={"values": MASSES, "step": None, "step_of": None})
    vetoes = tuple(veto.model_copy(update={"in_windows": in_windows}) for veto in search.vetoes)
    processes = tuple(p for p in search.simulation if p.role == "background" and kind in p.process)
    made = search.changed(scan={axis.name: axis}, vetoes=vetoes, simulation=processes)
    return definition.from_json(made.canonical)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resonances")
    for kind, luminosity in (("_gamma", PAIRS), ("_resonances", PEAKS)):
        search = search_of(kind, in_windows=True)
        generate(search, str(folder / kind), executor=SerialExecutor(), luminosity=luminosity, seed=2)
    return folder


def counted(folder, kind, *, in_windows):
    """Return what is counted of a kind of events in the windows of the masses."""
    search, store = search_of(kind, in_windows), str(folder / kind)
    plan = planning.plan_of(search, store, Options(search.method.limit))
    run = scan.start(plan, str(folder / f"{kind}_{in_windows}.zarr"), resume=False, overwrite=False)
    scan.run_passes(run, SerialExecutor())
    return fits.region_counts(run, "all", 0, slice(0, len(MASSES)))


def pulls(folder, *, in_windows):
    """Return the pulls that mesons alone make at the published luminosity, on a background without noise."""
    search = search_of("_gamma", in_windows)
    grid, windows = engine.grids(search)["all"], slice(0, len(MASSES))

    def problem(counts):
        return window_problem(search, grid, counts, windows, configuration=0, include="everything")[0]

    smooth = expectation(problem(counted(folder, "_gamma", in_windows=in_windows)))
    peaks = counted(folder, "_resonances", in_windows=in_windows)
    found = fit(problem(smooth * (search.luminosity / PAIRS) + peaks * (search.luminosity / PEAKS)))
    return found.yields / found.errors


def test_fits_beside_the_vetoes_are_not_biased(stores):
    """By a third of an error at most: one meson that leaks stands for a hundred here."""
    found = pulls(stores, in_windows=True)
    assert np.all(np.isfinite(found))
    assert np.max(np.abs(found)) < 0.35
    assert abs(np.mean(found)) < 0.1


def test_without_the_bins_of_the_vetoes_left_out_fits_are_off(stores):
    """The mesons are many errors in the windows that hold them: there is something to veto."""
    found = dict(zip(MASSES, pulls(stores, in_windows=False), strict=True))
    assert min(abs(found[mass]) for mass in (3.046, 3.15)) > 10.0
    assert max(abs(found[mass]) for mass in (9.581, 9.9)) > 3.0
