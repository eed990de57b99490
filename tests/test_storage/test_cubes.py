"""Cubes: round trips, digests, damage, and swaps that a kill cannot spoil."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from storage import cubes, local
from storage.errors import StorageError


def cube(seed: int = 1, windows: int = 50) -> xr.Dataset:
    generator = np.random.default_rng(seed)
    limit = generator.random((2, windows))
    limit[0, 3] = np.nan
    return xr.Dataset(
        {
            "yield_limit": (("configuration", "m"), limit, {"units": "1", "long_name": "limit"}),
            "expected": (("configuration", "m", "quantile"), generator.random((2, windows, 5)).astype("f4")),
            "status": (
                ("configuration", "m"),
                np.ones((2, windows), "u1"),
                {"flag_values": np.array([0, 1], "u1")},
            ),
            "good": ("m", np.arange(windows) % 2 == 0),
            "empty": ("m", np.full(windows, np.nan)),
            "scalar": 3.0,
        },
        coords={
            "m": ("m", np.linspace(0.2, 10, windows), {"units": "GeV"}),
            "configuration": np.array(["a", "default"]),
            "quantile": [0.025, 0.16, 0.5, 0.84, 0.975],
            "mass_ratio": ("configuration", [3.0, 4.0]),
            "label": "only",
        },
        attrs={
            "search": "zp_mumu",
            "seed": np.int64(seed),
            "range": (0.2, 10.0),
            "nothing": None,
            "created": "now",
        },
    )


@pytest.fixture(params=["file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return str(tmp_path / "c.zarr") if request.param == "file" else f"memory://cubes{tmp_path}/c.zarr"


def test_a_cube_comes_back(url: str) -> None:
    written = cubes.write(cube(), url)
    back = cubes.open(url)
    assert cubes.digest(back) == written == cubes.digest(cube())
    xr.testing.assert_equal(back, cube())
    assert set(back.coords) == set(cube().coords)
    assert back.attrs["seed"] == 1
    assert back.attrs["range"] == [0.2, 10.0]
    assert back["yield_limit"].attrs == {"units": "1", "long_name": "limit"}
    assert back["status"].dtype == np.uint8
    assert back.sel(configuration="a")["mass_ratio"] == 3.0
    assert list(back.data_vars) == sorted(back.data_vars)
    assert cubes.verify(url) == ()


def test_xarray_opens_it_without_us(tmp_path: Path) -> None:
    cubes.write(cube(), str(tmp_path / "c"))
    with xr.open_zarr(tmp_path / "c") as opened:
        np.testing.assert_array_equal(opened["yield_limit"], cube()["yield_limit"])


def test_digest_counts_content_only() -> None:
    one = cubes.digest(cube())
    later = cube().assign_attrs(created="later", elapsed=3.0)
    assert cubes.digest(later[sorted(cube().data_vars, reverse=True)].assign_coords(cube().coords)) == one
    chunked = cube()
    chunked["yield_limit"].encoding["chunks"] = (1, 7)
    odd_nan = cube()
    odd_nan["empty"].values[:] = np.array([0xFFF8000000000001], "u8").view("f8")
    assert cubes.digest(chunked) == cubes.digest(odd_nan) == one
    changed = [
        cube(2),
        cube().assign_attrs(search="s_mumu"),
        cube().assign_coords(m=cube().m + 1e-15),
        cube().rename(scalar="other"),
        cube().assign(expected=cube().expected.astype("f8")),
        cube().reset_coords("label"),
        cube().assign_coords(configuration=["a", "b"]),
    ]
    changed[0].attrs["seed"] = 1
    assert len({one, *map(cubes.digest, changed)}) == len(changed) + 1


def test_an_existing_cube_is_replaced_only_on_demand(tmp_path: Path) -> None:
    url = str(tmp_path / "c")
    cubes.write(cube(), url)
    with pytest.raises(StorageError, match="a cube is there; choose another name or ask to overwrite it"):
        cubes.write(cube(2), url)
    digest = cubes.write(cube(2, windows=20), url, overwrite=True)
    assert cubes.digest(cubes.open(url)) == digest
    assert cubes.verify(url) == ()
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_other_things_are_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "mine").write_text("x")
    (tmp_path / "f").write_text("x")
    for name in ("d", "f"):
        with pytest.raises(StorageError, match="is no darkscan cube and not empty"):
            cubes.write(cube(), str(tmp_path / name), overwrite=True)
    assert (tmp_path / "d" / "mine").read_text() == "x"
    cubes.write(cube(), "memory://keep/c")
    with pytest.raises(StorageError, match="in an object store cannot be replaced"):
        cubes.write(cube(2), "memory://keep/c", overwrite=True)


def test_foreign_and_missing_cubes_are_refused(tmp_path: Path) -> None:
    cube().drop_vars(["configuration", "label"]).to_zarr(
        tmp_path / "foreign", zarr_format=3, consolidated=False
    )
    for name in ("foreign", "none"):
        with pytest.raises(StorageError, match=f"{name}: is no darkscan cube or does not exist"):
            cubes.open(str(tmp_path / name))


def test_every_damage_is_named(tmp_path: Path) -> None:
    url = tmp_path / "c"
    cubes.write(cube(), str(url))
    generator = np.random.default_rng(1)
    for path in sorted(path for path in url.rglob("*") if path.is_file()):
        original = path.read_bytes()
        broken = [original[: len(original) // 2], b"", None]
        for position in generator.integers(0, len(original), 8):
            flipped = bytearray(original)
            flipped[position] ^= 1 << int(generator.integers(8))
            broken.append(bytes(flipped))
        for data in broken:
            path.unlink()
            if data is not None:
                path.write_bytes(data)
            with pytest.raises(
                StorageError, match=r"missing|damaged|is no darkscan cube|is no record|schema version"
            ):
                cubes.open(str(url))
            if path.name != "darkscan.json":
                assert [problem.path for problem in cubes.verify(str(url))] == [str(path)]
            path.write_bytes(original)
    assert cubes.verify(str(url)) == ()


REPLACE = """
import sys
import numpy as np, xarray as xr
from storage import cubes
def cube(number):
    values = {f"v{n}": ("m", np.full(2000, float(number))) for n in range(12)}
    return xr.Dataset(values, attrs={"number": number})
print("ready", flush=True)
for number in range(10**6):
    cubes.write(cube(number), sys.argv[1], overwrite=True)
"""


def test_kills_leave_the_old_or_the_new_cube(tmp_path: Path) -> None:
    url = str(tmp_path / "c")
    cubes.write(cube(), url)
    for attempt in range(6):
        with subprocess.Popen([sys.executable, "-c", REPLACE, url], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.1 + 0.029 * attempt)
            process.kill()
        opened = cubes.open(url)
        if "number" in opened.attrs:
            values = np.concatenate([opened[f"v{number}"] for number in range(12)])
            assert set(values) == {float(opened.attrs["number"])}


def test_without_an_exchange_of_names_the_old_cube_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some network file systems cannot exchange names: there two renames are needed.
    monkeypatch.setattr(local, "_exchange", lambda first, second: False)
    url = tmp_path / "c"
    cubes.write(cube(1), str(url))
    assert cubes.write(cube(2), str(url), overwrite=True) == cubes.digest(cubes.open(str(url)))
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
    url.rename(tmp_path / ".c.00.old")  # as a kill between the renames leaves it
    assert cubes.digest(cubes.open(str(url))) == cubes.digest(cube(2))


LIMITED = """
import resource, sys
import numpy as np, xarray as xr
from storage import cubes
from storage.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (50000, 50000))
try:
    cubes.write(xr.Dataset({"v": ("m", np.random.default_rng(1).random(20000))}), sys.argv[1], overwrite=True)
except StorageError as error:
    print(error)
"""


def test_a_full_disk_keeps_the_old_cube(tmp_path: Path) -> None:
    url = str(tmp_path / "c")
    digest = cubes.write(cube(), url)
    run = subprocess.run([sys.executable, "-c", LIMITED, url], capture_output=True, text=True, check=True)
    assert f"{url}: no space left" in run.stdout
    assert cubes.digest(cubes.open(url)) == digest
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_what_zarr_cannot_hold_is_refused(tmp_path: Path) -> None:
    times = xr.Dataset({"when": ("m", np.array(["2020-01-01"], "M8[ns]"))})
    with pytest.raises(
        StorageError, match=r"variable when has type datetime64\[ns\]; a dataset holds numbers"
    ):
        cubes.write(times, str(tmp_path / "c"))
    mixed = xr.Dataset({"v": ("m", np.ones(2), {"calendar": object()})})
    with pytest.raises(StorageError, match="attribute"):
        cubes.write(mixed, str(tmp_path / "c"))
    reserved = xr.Dataset({"v": ("m", np.ones(2), {"scale_factor": 2.0})})
    with pytest.raises(StorageError, match="zarr does not give back this dataset"):
        cubes.write(reserved, str(tmp_path / "c"))
    assert not (tmp_path / "c").exists()
