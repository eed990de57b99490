"""A small spectrum with a peak, as a store and as a search."""

import numpy as np
import pytest

from scanner import definition
from storage.events import EventStore
from storage.samples import Sample

SEARCH = """
extends: bump_hunt
name: small
observable: mass
range: [1 GeV, 3 GeV]
resolution: 20 MeV
order: 1
"""


@pytest.fixture
def search():
    return definition.parse(SEARCH, where="small.yaml")


@pytest.fixture
def definition_file(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SEARCH)
    return path


def spectrum(rows=30_000, seed=4):
    rng = np.random.default_rng(seed)
    background = 1.0 + 2.0 * rng.beta(1.0, 2.0, rows)
    peak = rng.normal(2.0, 0.02, rows // 100)
    return {"mass": np.concatenate([background, peak]).astype(np.float32)}


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "events.zarr"
    made = EventStore.create(path, {"mass": "GeV"}, chunk_rows=1024, shard_rows=4096)
    made.append(Sample("data", "data"), [spectrum()])
    return str(path)
