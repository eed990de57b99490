"""`kill -9` in the middle of the toys of a significance: the same command goes on to the same bits."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jobs.executors import SerialExecutor
from jobs.scan import scan
from jobs.studies.significance import Options, significance
from scanner import definition
from storage import cubes
from storage.events import EventStore
from storage.samples import Sample

COMMAND = str(Path(sys.executable).with_name("darkscan"))
SEARCH = "extends: bump_hunt\nobservable: mass\nrange: [1 GeV, 3 GeV]\nresolution: 10 MeV\norder: 1\n"
TOYS = 400


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(5)
    store = EventStore.create(tmp_path / "events.zarr", {"mass": "GeV"}, chunk_rows=1024, shard_rows=4096)
    store.append(Sample("data", "data"), [{"mass": rng.uniform(1.0, 3.0, 40_000)}])
    search = definition.parse(SEARCH, where="small.yaml")
    scan(search, str(tmp_path / "events.zarr"), str(tmp_path / "cube.zarr"), executor=SerialExecutor())
    for name in ("cube.zarr", "cube.zarr.run"):
        shutil.copytree(tmp_path / name, tmp_path / f"serial.{name}")
    return tmp_path


def start(folder):
    """Start many small blocks of toys on two workers."""
    arguments = ["--toys", str(TOYS), "--toys-a-block", "5", "--workers", "2"]
    command = [COMMAND, "significance", "cube.zarr", *arguments]
    return subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_parts(folder, count, process):
    """Wait until some parts are committed while the job still runs."""
    deadline = time.monotonic() + 120.0
    while time.monotonic() < deadline:
        if len(list((folder / "cube.zarr.run" / "significance").glob("*.part"))) >= count:
            assert process.poll() is None, "the job ended before it could be disturbed"
            return
        time.sleep(0.01)
    raise AssertionError(f"no {count} parts: {process.stderr.read() if process.poll() else ''}")


def test_a_killed_client_goes_on_to_the_same_bits(folder):
    process = start(folder)
    wait_for_parts(folder, 8, process)
    process.kill()
    process.communicate(timeout=60)
    assert "p_global" not in cubes.open(folder / "cube.zarr").attrs
    again = start(folder)
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    significance(str(folder / "serial.cube.zarr"), executor=SerialExecutor(), options=Options("toys", TOYS))
    found, expected = (cubes.open(folder / name) for name in ("cube.zarr", "serial.cube.zarr"))
    assert cubes.digest(found) == cubes.digest(expected)
