"""Generated modules, and the directory that keeps their compiled code from one process to the next.

numba keeps compiled code beside a source file. So each generated source is written to a directory that
only its user can write, under the digest of its text. The file gives numba a place and a date; what runs
is always the text in memory, never what was read back. Since numba unpickles the compiled code, a
directory that someone else owns or may write to is not used: the module is compiled afresh, in memory.
"""

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from types import ModuleType

from scanner import kernels
from scanner.kernels import exact, fill

_PRIVATE = 0o700
_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def entry(source: str) -> Callable[..., None]:
    """Return the compiled ``scan`` of a generated module."""
    scan: Callable[..., None] = load(source).scan
    return scan


@cache
def load(source: str) -> ModuleType:
    """Return the module of a generated source."""
    text = f"{source}\n# {_fixed_kernels()}\n"
    name = f"darkscan_{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    path = keep(directory(), f"{name}.py", text)
    module = ModuleType(name)
    module.__file__ = str(path or f"<{name}>")
    vars(module)["compiled"] = partial(exact, cache=path is not None)
    # numba looks the module up when it loads compiled code.
    sys.modules[name] = module
    code = compile(text, module.__file__, "exec")
    exec(code, module.__dict__)  # noqa: S102 - the text is made of templates only; see codegen
    return module


@cache
def _fixed_kernels() -> str:
    """Digest the kernels that generated code calls: numba does not see when those change."""
    digest = hashlib.sha256()
    for module in (kernels, fill):
        digest.update(Path(str(module.__file__)).read_bytes())
    return digest.hexdigest()


def directory() -> Path:
    """Return where generated modules belong.

    ``NUMBA_CACHE_DIR`` and ``XDG_CACHE_HOME`` are followed, in this order; else ``~/.cache``.
    """
    numba_directory = os.environ.get("NUMBA_CACHE_DIR")
    if numba_directory:
        return Path(numba_directory) / "darkscan"
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "darkscan" / "kernels"


def keep(folder: Path, name: str, text: str) -> Path | None:
    """Put a source into the cache, or return None where no safe place for it exists."""
    path = folder / name
    try:
        folder.parent.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        folder.mkdir(mode=_PRIVATE, exist_ok=True)
        if not all(_is_private(part, stat.S_ISDIR) for part in (folder.parent, folder)):
            return None
        if not _holds(path, text):
            _create(path, text)
    except (OSError, RuntimeError):
        return None
    return path


def _is_private(path: Path, kind: Callable[[int], bool]) -> bool:
    status = path.lstat()
    return kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & _OTHERS_MAY_WRITE


def _holds(path: Path, text: str) -> bool:
    try:
        return _is_private(path, stat.S_ISREG) and path.read_text() == text
    except (FileNotFoundError, UnicodeDecodeError):
        return False


def _create(path: Path, text: str) -> None:
    """Write the whole file or nothing; of two processes at once the last one wins, with equal text."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "w") as file:
            file.write(text)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise
