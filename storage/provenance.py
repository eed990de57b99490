"""What made a result: versions, platform and a digest of the code; nothing about user, host or path."""

import hashlib
import platform
import sys
from functools import cache
from importlib import metadata, util
from pathlib import Path

PACKAGES = (
    "darkscan",
    "numpy",
    "numba",
    "llvmlite",
    "scipy",
    "xarray",
    "zarr",
    "iminuit",
    "dask",
    "distributed",
)
CODE = ("jobs", "scanner", "storage")
_SUFFIXES = (".py", ".yaml", ".csv", ".json")


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Return the versions of Python and of the installed ones among the packages."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def machine() -> dict[str, str]:
    """Return operating system, architecture and byte order."""
    return {"system": platform.system(), "machine": platform.machine(), "byteorder": sys.byteorder}


def files_digest(files: dict[str, Path]) -> str:
    """Return the sha256 over names and contents of files, in the order of names."""
    total = hashlib.sha256()
    for name in sorted(files):
        content = files[name].read_bytes()
        total.update(f"{name}\0{len(content)}\0".encode())
        total.update(content)
    return total.hexdigest()


@cache
def code_digest(packages: tuple[str, ...] = CODE) -> str:
    """Return the sha256 over all sources and tables of the packages, wherever they are installed."""
    files: dict[str, Path] = {}
    for package in packages:
        spec = util.find_spec(package)
        for root in (spec.submodule_search_locations or []) if spec else []:
            for path in Path(root).rglob("*"):
                if path.suffix in _SUFFIXES and path.is_file():
                    files[f"{package}/{path.relative_to(root).as_posix()}"] = path
    return files_digest(files)


def record() -> dict[str, str]:
    """Return all of it in one flat mapping, for the attributes of a cube."""
    return {**versions(), **machine(), "code": code_digest()}
