"""The directory that keeps compiled kernels from one process to the next.

numba judges the age of compiled code by the one file that a function stands in, and does not see when a
function that it calls has changed elsewhere. So each version of a module of kernels has a directory of its
own, named by the digest of its source and of all sources that it imports. numba unpickles what it finds
there: a directory that someone else owns or may write to is not used, and kernels are compiled afresh, in
memory.
"""

import hashlib
import os
import re
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path

PRIVATE = 0o700
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


PACKAGE = __name__.rpartition(".")[0]
GENERATED = f"{PACKAGE}.selection.programs"
"""What stands for a generated module: the writer of its text imports all that the text calls."""

_IMPORT = re.compile(rf"^\s*from ({re.escape(PACKAGE)}[\w.]*) import (\([^)]*\)|.*)", re.MULTILINE)


@cache
def sources_digest(module: str) -> str:
    """Return the sha256 over the sources of a module of kernels and of the kernels that it imports."""
    digest = hashlib.sha256()
    for name, source in sorted(needed_sources(module).items()):
        digest.update(f"{name}\0{source}\0".encode())
    return digest.hexdigest()


def needed_sources(module: str) -> dict[str, str]:
    """Return the source of every module of kernels that this one needs, itself included, by name."""
    sources: dict[str, str] = {}
    waiting = {PACKAGE, module}
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if path is not None:
            sources[name] = path.read_text()
            waiting |= _imported(sources[name]) - sources.keys()
    return sources


def _imported(source: str) -> set[str]:
    """Return the names of all modules that a source may import, and of what it takes from them."""
    found = _IMPORT.findall(source)
    inside = {f"{module}.{name}" for module, names in found for name in re.findall(r"\w+", names)}
    return inside | {module for module, _ in found}


def _source(module: str) -> Path | None:
    """Return the file of a module or package of kernels, None where there is no such module."""
    path = Path(__file__).parent.joinpath(*module.removeprefix(PACKAGE).split(".")[1:])
    files = (path / "__init__.py", path.with_suffix(".py"))
    return next((file for file in files if file.is_file()), None)


def directory(module: str = GENERATED) -> Path:
    """Return where the compiled kernels of this version of a module belong.

    ``NUMBA_CACHE_DIR`` and ``XDG_CACHE_HOME`` are followed, in this order; else ``~/.cache``.
    """
    base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    known = module if module.startswith(f"{PACKAGE}.") else GENERATED
    return Path(base).expanduser() / "darkscan" / f"kernels-{sources_digest(known)[:16]}"


def private_directory(module: str = GENERATED) -> Path | None:
    """Make the directory and return it, or None where no safe place for it exists."""
    folder = directory(module)
    try:
        folder.parent.mkdir(mode=PRIVATE, parents=True, exist_ok=True)
        folder.mkdir(mode=PRIVATE, exist_ok=True)
        safe = all(is_private(part, stat.S_ISDIR) for part in (folder.parent, folder))
    except (OSError, RuntimeError):
        return None
    return folder if safe else None


def is_private(path: Path, kind: Callable[[int], bool]) -> bool:
    """Tell whether a path is of this kind, ours, and writable by nobody else."""
    status = path.lstat()
    return kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_MAY_WRITE
