"""Counting searches on a user's own files, with names and units of their own."""

from dataclasses import dataclass

import numpy as np
import pytest

from scanner import definition
from scanner.simulation import expected_events, generate_chunk
from storage import cubes

SHIFT = 1_000_000
"""Between the events of different processes."""


@dataclass(frozen=True)
class Own:
    """A search, the old names of its columns, and a signal: branching fraction and point of the scan."""

    search: str
    names: dict[str, str]
    process: str
    fraction: float
    point: dict[str, float]
    parameters: dict[str, float]


OWN = (
    Own(
        "tau_3mu",
        {"m_3mu": "M3mu", "delta_e": "dE", "classifier": "bdt"},
        "tau_three_muons",
        5e-7,
        {"mass": 1.777, "energy": 0.0},
        {"mass": 1.777},
    ),
    Own(
        "b_lambda_inv",
        {"m_missing": "mmiss", "e_ecl": "eecl"},
        "lambda_invisible",
        2e-4,
        {"m_psi": 2.5},
        {"mass": 2.5},
    ),
)


def sample(own, search):
    """Backgrounds of the definition and a signal, as columns in MeV where they are energies."""
    parts = []
    wanted = [(each.process, {}) for each in search.simulation if each.role == "background"]
    wanted.append((own.process, {**own.parameters, "branching_fraction": own.fraction}))
    for number, (process, parameters) in enumerate(wanted):
        mean = expected_events(process, sqrt_s=10.58, luminosity=search.luminosity, parameters=parameters)
        part = generate_chunk(process, round(mean), (8,), sqrt_s=10.58, parameters=parameters)
        part["event"] = part["event"] + number * SHIFT
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@pytest.mark.parametrize("own", OWN, ids=lambda own: own.search)
def test_files_with_other_names_and_units_are_counted(own, darkscan, tmp_path):
    search = definition.load(own.search)
    columns = sample(own, search)
    energies = [name for name in own.names if search.columns[name].unit == "GeV"]
    written = [columns[name] * (1e3 if name in energies else 1.0) for name in own.names]
    header = ",".join(["evt", *own.names.values()])
    rows = np.column_stack([columns["event"], *written])
    np.savetxt(tmp_path / "mine.csv", rows, delimiter=",", header=header, comments="", fmt="%.9g")
    pairs = ",".join(f"{new}={old}" for new, old in {"event": "evt", **own.names}.items())
    units = [word for name in energies for word in ("--unit", f"{name}=MeV")]
    store, cube = tmp_path / "store.zarr", tmp_path / "cube"
    luminosity = f"{search.luminosity:g}/fb"
    answer = darkscan(
        "ingest", tmp_path / "mine.csv", store, "--luminosity", luminosity, "--columns", pairs, *units
    )
    assert answer.code == 0, answer.err
    answer = darkscan("scan", own.search, store, "-o", cube)
    assert answer.code == 0, answer.err
    window = cubes.open(str(cube)).limits.at(**own.point)
    found, error = (float(window[name].squeeze()) for name in ("signal_yield", "signal_yield_error"))
    assert abs(found - expected_yield(search, own, window)) < 3 * error < found
    assert 1.0 < float(window["branching_fraction_limit"].squeeze()) / own.fraction < 2.0


def expected_yield(search, own, window):
    """Parents of the normalisation times branching fraction and efficiency."""
    stated = search.normalisation
    pairs = stated.pairs or search.luminosity * stated.cross_section
    return pairs * stated.per_pair * own.fraction * float(window["efficiency"].squeeze())
