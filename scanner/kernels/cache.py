"""The directory that keeps compiled kernels from one process to the next.

numba judges the age of compiled code by the one file that a function stands in, and does not see when a
function that it calls has changed elsewhere. So each version of the kernels has a directory of its own,
named by the digest of all their sources. numba unpickles what it finds there: a directory that someone
else owns or may write to is not used, and kernels are compiled afresh, in memory.
"""

import hashlib
import os
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path

PRIVATE = 0o700
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


@cache
def sources_digest() -> str:
    """Return the sha256 over all sources of the kernels."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def directory() -> Path:
    """Return where compiled kernels of this version belong.

    ``NUMBA_CACHE_DIR`` and ``XDG_CACHE_HOME`` are followed, in this order; else ``~/.cache``.
    """
    base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "darkscan" / f"kernels-{sources_digest()[:16]}"


def private_directory() -> Path | None:
    """Make the directory and return it, or None where no safe place for it exists."""
    folder = directory()
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
