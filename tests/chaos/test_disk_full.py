"""A disk that fills up in the middle of a job: what is committed stays, more space gives the same bits."""

import json
import os
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from jobs import cli, generate, generation
from storage.events import EventStore
from storage.samples import Sample

SEARCH = (
    "extends: bump_hunt\nname: small\nobservable: mass\nrange: [1 GeV, 3 GeV]\nresolution: 20 MeV\norder: 1\n"
)
SIZE = 8 << 20
PAGE = 4096
FULL = "no space left"
KEPT = "everything committed before is kept"


@dataclass
class Disk:
    """A small file system of its own; where none can be mounted, a bound on the size of each file."""

    path: Path
    mounted: bool

    def leave(self, total, largest):
        """Leave `total` bytes free, or forbid files of more than `largest` bytes."""
        if not self.mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest, resource.RLIM_INFINITY))
            return
        free = shutil.disk_usage(self.path).free - total
        (self.path / "ballast").write_bytes(bytes(free // PAGE * PAGE))

    def free(self):
        """Make room again."""
        (self.path / "ballast").unlink(missing_ok=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def mount(path):
    """Mount a file system of SIZE bytes; False where that is not allowed."""
    tool = shutil.which("mount")
    if os.geteuid() != 0 or tool is None:
        return False
    command = [tool, "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(path)]
    return subprocess.run(command, check=False, capture_output=True).returncode == 0


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    made = Disk(path, mount(path))
    yield made
    made.free()
    if made.mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture
def darkscan(capsys, monkeypatch):
    """Run `darkscan` in this process; return exit code, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["darkscan", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def files(tmp_path):
    (tmp_path / "small.yaml").write_text(SEARCH)
    rng = np.random.default_rng(5)
    store = EventStore.create(tmp_path / "events.zarr", {"mass": "GeV"}, chunk_rows=1024, shard_rows=4096)
    store.append(Sample("data", "data"), [{"mass": rng.uniform(1.0, 3.0, 40_000)}])
    return tmp_path


def refused(answer):
    """Make sure that a command failed with the message of a full disk, and nothing else."""
    code, out, err = answer
    assert (code, out) == (2, ""), err
    assert FULL in err
    assert KEPT in err
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("workers", [0, 2])
def test_a_scan_completes_to_the_same_bits(darkscan, disk, files, workers):
    scan = ("scan", files / "small.yaml", files / "events.zarr", "--json")
    blocks = ("--rows-a-block", 4096, "--windows-a-block", 100, "--workers", workers)
    _, out, _ = darkscan(*scan, "-o", files / "whole.zarr")
    whole = json.loads(out)["digest"]
    cube = disk.path / "cube.zarr"
    part = max(path.stat().st_size for path in (files / "whole.zarr.run").rglob("pass-*.part"))
    disk.leave(total=6 * (part + PAGE), largest=part + PAGE)
    refused(darkscan(*scan, "-o", cube, *blocks))
    code, out, _ = darkscan("status", cube, "--json")
    status = json.loads(out)
    assert (code, status["complete"], status["damaged"]) == (3, False, 0)
    assert 0 < status["done"] < status["blocks"]
    disk.free()
    code, out, _ = darkscan(*scan, "-o", cube, "--resume")
    assert (code, json.loads(out)["digest"]) == (0, whole)
    assert darkscan("verify", cube)[0] == 0


def test_a_full_disk_at_the_end_costs_only_the_cube(darkscan, disk, files):
    scan = ("scan", files / "small.yaml", files / "events.zarr", "--json", "-o", disk.path / "cube.zarr")
    _, out, _ = darkscan(*scan)
    whole = json.loads(out)["digest"]
    shutil.rmtree(disk.path / "cube.zarr")
    disk.leave(total=2 * PAGE, largest=1024)
    refused(darkscan(*scan, "--resume"))
    code, out, _ = darkscan("status", disk.path / "cube.zarr", "--json")
    status = json.loads(out)
    assert (code, status["complete"]) == (3, False)
    assert status["done"] == status["blocks"]
    assert sorted(path.name for path in disk.path.iterdir() if path.name != "ballast") == ["cube.zarr.run"]
    disk.free()
    code, out, _ = darkscan(*scan, "--resume")
    assert (code, json.loads(out)["digest"]) == (0, whole)


def test_a_full_disk_never_takes_the_cube_that_is_there(darkscan, disk, files):
    scan = ("scan", files / "small.yaml", files / "events.zarr", "--json", "-o", disk.path / "cube.zarr")
    darkscan(*scan)
    disk.leave(total=2 * PAGE, largest=1024)
    refused(darkscan(*scan, "--resume"))
    assert darkscan("verify", disk.path / "cube.zarr")[0] == 0
    assert darkscan("status", disk.path / "cube.zarr")[0] == 0


def test_a_generation_completes_to_the_same_bits(darkscan, disk, tmp_path, monkeypatch):
    for module in (generate, generation):
        monkeypatch.setattr(module, "EVENTS_A_CHUNK", 256)
    make = ("generate", "zp_mumu", "--luminosity", "20/fb", "--json")
    _, out, _ = darkscan(*make, tmp_path / "whole.zarr")
    whole = json.loads(out)
    store = disk.path / "events.zarr"
    disk.leave(total=60 * PAGE, largest=1024)
    refused(darkscan(*make, store))
    assert EventStore.open(store, allow_empty=True).rows == 0
    records = list((disk.path / "events.zarr.run").rglob("*.part"))
    assert bool(records) == disk.mounted
    disk.free()
    code, out, _ = darkscan(*make, store)
    assert (code, json.loads(out)["digest"]) == (0, whole["digest"])
    assert EventStore.open(store).verify() == ()
    assert not (disk.path / "events.zarr.run").exists()


def test_an_ingest_leaves_the_store_as_it_was(darkscan, disk, tmp_path):
    rng = np.random.default_rng(6)
    np.savez(tmp_path / "few.npz", mass=rng.uniform(1.0, 3.0, 100), noise=rng.normal(size=100))
    np.savez(tmp_path / "many.npz", mass=np.ones(200_000), noise=rng.normal(size=200_000))
    store = disk.path / "events.zarr"
    ingest = ("ingest", tmp_path / "many.npz", store, "--period", "two", "--json")
    assert darkscan("ingest", tmp_path / "few.npz", store)[0] == 0
    before, used = EventStore.open(store).digest, shutil.disk_usage(disk.path).used
    disk.leave(total=60 * PAGE, largest=60 * PAGE)
    message = refused(darkscan(*ingest))
    assert f"{store / 'noise' / 'c' / '1'}: no space left" in message
    assert EventStore.open(store).digest == before
    assert EventStore.open(store).verify() == ()
    assert EventStore.open(store).leftovers() == ()
    disk.free()
    if disk.mounted:
        assert shutil.disk_usage(disk.path).used <= used + 2 * PAGE  # the lock, and nothing else
    code, out, _ = darkscan(*ingest)
    assert (code, json.loads(out)["rows"]) == (0, 200_100)


def test_a_new_store_that_does_not_fit_is_gone(darkscan, disk, tmp_path):
    np.savez(tmp_path / "many.npz", noise=np.random.default_rng(6).normal(size=200_000))
    disk.leave(total=60 * PAGE, largest=60 * PAGE)
    refused(darkscan("ingest", tmp_path / "many.npz", disk.path / "events.zarr"))
    assert not (disk.path / "events.zarr").exists()
    disk.free()
    assert darkscan("ingest", tmp_path / "many.npz", disk.path / "events.zarr")[0] == 0


def test_a_plot_that_does_not_fit_is_no_defect(darkscan, disk, files):
    darkscan("scan", files / "small.yaml", files / "events.zarr", "-o", files / "cube.zarr")
    disk.leave(total=0, largest=1024)
    code, out, err = darkscan("plot", files / "cube.zarr", "-o", disk.path / "limits.png")
    assert (code, out) == (2, "")
    assert "limits.png: the plot cannot be written" in err
