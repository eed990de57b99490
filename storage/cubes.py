"""Limit cubes in zarr: staged beside their place, swapped in, and checked when opened."""

import hashlib
import secrets
import shutil
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from zarr.core.buffer import default_buffer_prototype
from zarr.errors import ZarrUserWarning
from zarr.storage import MemoryStore

from storage.canonical import VOLATILE_ATTRIBUTES, digest, plain
from storage.errors import StorageError
from storage.local import explained, make_directory, swap_directories, sync_directory, write_synced
from storage.locations import Location
from storage.manifest import seal, unseal
from storage.verify import Problem

__all__ = ["VOLATILE_ATTRIBUTES", "digest", "open", "verify", "write"]

RECORD = "darkscan.json"
FORMAT = "darkscan cube"
SCHEMA = 1


def write(dataset: xr.Dataset, url: str | Location, *, overwrite: bool = False) -> str:
    """Write a cube so that its name never shows an incomplete one.

    Parameters
    ----------
    dataset : xarray.Dataset
        Numbers and texts; attributes become JSON values.
    url : str or Location
        Where to; a kill leaves what was there before or the new cube.
    overwrite : bool
        Replace an existing cube. Only for local paths, since object stores cannot swap in one step.

    Returns
    -------
    str
        The digest of the cube.

    Raises
    ------
    StorageError
        If something is there that may not be replaced, the dataset does not survive the writing, or
        there is no space.
    """
    location = Location(url)
    _refuse_present(location, overwrite=overwrite)
    content = digest(dataset)
    try:
        objects = _encode(dataset)
    except (ValueError, TypeError, NotImplementedError) as error:
        raise StorageError(f"{location.describe()}: zarr cannot hold this dataset ({error})") from error
    if digest(_decode(objects)) != content:
        raise StorageError(
            f"{location.describe()}: zarr does not give back this dataset as it is; nothing is written"
        )
    sums = {name: [len(data), hashlib.sha256(data).hexdigest()] for name, data in objects.items()}
    record = seal({"format": FORMAT, "schema": SCHEMA, "digest": content, "objects": sums})
    if location.path is None:
        _upload(location, objects, record)
    else:
        _swap_in(location.path, {**objects, RECORD: record})
    return content


def open(url: str | Location) -> xr.Dataset:  # noqa: A001 - called as `cubes.open`
    """Read a cube into memory, every object checked against its sha256.

    Raises
    ------
    StorageError
        If this is no darkscan cube, or any object of it is missing or changed.
    """
    location = Location(url)
    objects = {}
    for name, data, problem in _objects(location):
        if problem:
            raise StorageError(problem)
        objects[name] = data
    return _decode(objects)


def verify(url: str | Location) -> tuple[Problem, ...]:
    """Name every object of a cube that is missing or changed."""
    location = Location(url)
    return tuple(Problem(location.describe(name), why) for name, _, why in _objects(location) if why)


def _objects(location: Location) -> Iterator[tuple[str, bytes, str]]:
    """Yield name, content and what is wrong with it of each object that the record names."""
    if location.path is not None:
        _recover(location.path)
    where = location.describe(RECORD)
    if not location.exists(RECORD):
        raise StorageError(f"{location.describe()}: is no darkscan cube or does not exist (no {RECORD})")
    for name, (size, sha256) in unseal(location.read(RECORD), FORMAT, SCHEMA, where)["objects"].items():
        where = location.describe(name)
        if not location.exists(name):
            yield (
                name,
                b"",
                f"{where}: is missing; restore it or run the scan with --resume to assemble it anew",
            )
            continue
        data = location.read(name)
        good = len(data) == size and hashlib.sha256(data).hexdigest() == sha256
        damage = f"{where}: is damaged; restore it or run the scan with --resume to assemble it anew"
        yield name, data, "" if good else damage


def _encode(dataset: xr.Dataset) -> dict[str, bytes]:
    """Return the zarr objects of a dataset, without encodings inherited from another file."""
    held: dict[str, Any] = {}
    cleaned = _with_text(dataset.drop_encoding(), object)
    cleaned.attrs = plain(cleaned.attrs)
    for variable in cleaned.variables.values():
        variable.attrs = plain(variable.attrs)
    with warnings.catch_warnings():
        # Consolidated metadata spare xarray the listing, which would stumble over our record.
        warnings.simplefilter("ignore", ZarrUserWarning)
        cleaned.to_zarr(MemoryStore(held), zarr_format=3, consolidated=True)
    return {name: buffer.to_bytes() for name, buffer in sorted(held.items())}


def _decode(objects: Mapping[str, bytes]) -> xr.Dataset:
    make = default_buffer_prototype().buffer.from_bytes
    store = MemoryStore({name: make(data) for name, data in objects.items()})
    loaded = xr.open_zarr(store, consolidated=True, chunks=None).load()
    variables = {name: loaded.variables[name] for name in sorted(loaded.data_vars)}
    ordered = xr.Dataset(variables, coords=loaded.coords, attrs=loaded.attrs)
    return _with_text(ordered, str).drop_encoding()


def _with_text(dataset: xr.Dataset, kind: type[Any]) -> xr.Dataset:
    """Return a copy whose text variables have the given type: zarr has a stable format for `object` only."""
    copied = dataset.copy()
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "OUT":
            values = np.array(variable.values.tolist(), dtype=kind)
            copied[name] = (variable.dims, values, variable.attrs)
    return copied


def _refuse_present(location: Location, *, overwrite: bool) -> None:
    if location.path is not None:
        _recover(location.path)
    if location.exists(RECORD):
        if not overwrite:
            raise StorageError(
                f"{location.describe()}: a cube is there; choose another name or ask to overwrite it"
            )
        if location.path is None:
            raise StorageError(
                f"{location.describe()}: a cube in an object store cannot be replaced; name a new one"
            )
    elif location.path is not None and (location.path.is_file() or not location.is_empty()):
        raise StorageError(f"{location.describe()}: is no darkscan cube and not empty; choose another name")


def _upload(location: Location, objects: Mapping[str, bytes], record: bytes) -> None:
    """Put all objects, the record last: without it there is no cube."""
    location.probe()
    for name, data in objects.items():
        location.replace(name, data)
    location.create(RECORD, record)


def _swap_in(path: Path, objects: Mapping[str, bytes]) -> None:
    staged = path.parent / f".{path.name}.{secrets.token_hex(6)}.staged"
    with explained(path):
        try:
            for name, data in objects.items():
                make_directory((staged / name).parent)
                write_synced(staged / name, data)
            for folder in [staged, *(folder for folder in staged.rglob("*") if folder.is_dir())]:
                sync_directory(folder)
            if path.exists():
                swap_directories(staged, path, path.parent / f".{path.name}.{secrets.token_hex(6)}.old")
            else:
                staged.rename(path)
            sync_directory(path.parent)
        finally:
            shutil.rmtree(staged, ignore_errors=True)


def _recover(path: Path) -> None:
    """Put back an old cube that a kill between two renames left aside."""
    if not path.exists() and path.parent.is_dir():
        for aside in sorted(path.parent.glob(f".{path.name}.*.old")):
            aside.rename(path)
            return
