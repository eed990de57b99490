"""`kill -9` of a worker and of the client in the middle: what is committed stays, and the bits are equal."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from jobs import scan as jobs_scan
from jobs.executors import SerialExecutor
from scanner import definition
from storage import cubes
from storage.events import EventStore
from storage.samples import Sample

COMMAND = str(Path(sys.executable).with_name("darkscan"))
SEARCH = (
    "extends: bump_hunt\nname: small\nobservable: mass\nrange: [1 GeV, 3 GeV]\nresolution: 2 MeV\norder: 1\n"
)


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(5)
    (tmp_path / "small.yaml").write_text(SEARCH)
    store = EventStore.create(tmp_path / "events.zarr", {"mass": "GeV"}, chunk_rows=1024, shard_rows=4096)
    store.append(Sample("data", "data"), [{"mass": rng.uniform(1.0, 3.0, 40_000)}])
    return tmp_path


def start(files, *extra):
    """Start a scan of many small blocks on two workers."""
    blocks = ["--rows-a-block", "512", "--windows-a-block", "10"]
    command = [
        COMMAND,
        "scan",
        "small.yaml",
        "events.zarr",
        "-o",
        "cube.zarr",
        "--workers",
        "2",
        *blocks,
        *extra,
    ]
    return subprocess.Popen(command, cwd=files, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_parts(files, count, process):
    """Wait until some parts are committed while the scan still runs."""
    deadline = time.monotonic() + 120.0
    parts = files / "cube.zarr.run" / "parts"
    while time.monotonic() < deadline:
        if parts.is_dir() and sum(1 for entry in parts.rglob("*") if entry.is_file()) >= count:
            assert process.poll() is None, "the scan ended before it could be disturbed"
            return
        time.sleep(0.01)
    raise AssertionError(
        f"no {count} parts within two minutes: {process.stderr.read() if process.poll() else ''}"
    )


def workers(process):
    """Find the worker processes of a scan."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                status = (entry / "status").read_text()
                line = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"PPid:\t{process.pid}\n" in status and b"spawn_main" in line:
                found.append(int(entry.name))
    return found


def digest(files):
    return cubes.digest(cubes.open(str(files / "cube.zarr")))


def expected(files):
    search = definition.load(files / "small.yaml")
    cube = jobs_scan.scan(
        search, str(files / "events.zarr"), str(files / "serial.zarr"), executor=SerialExecutor()
    )
    return cubes.digest(cube)


def test_a_killed_worker_changes_nothing(files):
    process = start(files)
    wait_for_parts(files, 20, process)
    os.kill(workers(process)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert digest(files) == expected(files)


def test_a_killed_client_resumes_to_the_same_bits(files):
    process = start(files)
    wait_for_parts(files, 40, process)
    process.kill()
    process.communicate(timeout=60)
    before = jobs_scan.status(str(files / "cube.zarr"))
    assert 0 < before.done < before.blocks
    assert subprocess.run([COMMAND, "status", "cube.zarr"], cwd=files, check=False).returncode == 3
    resumed = start(files, "--resume")
    _, errors = resumed.communicate(timeout=300)
    assert resumed.returncode == 0, errors
    assert digest(files) == expected(files)
