"""Generated modules, and the directory that keeps their compiled code from one process to the next.

numba keeps compiled code under the name and date of a source file. So each generated source is written to
the private directory of compiled kernels, under the digest of its text. The file gives numba a name and a
date; what runs is always the text in memory, never what was read back.
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

from scanner.kernels import exact
from scanner.kernels.cache import is_private, private_directory


def entry(source: str) -> Callable[..., None]:
    """Return the compiled ``scan`` of a generated module."""
    scan: Callable[..., None] = load(source).scan
    return scan


@cache
def load(source: str) -> ModuleType:
    """Return the module of a generated source."""
    name = f"darkscan_{hashlib.sha256(source.encode()).hexdigest()[:32]}"
    path = keep(f"{name}.py", source)
    module = ModuleType(name)
    module.__file__ = str(path or f"<{name}>")
    vars(module)["compiled"] = partial(exact, cache=path is not None)
    # numba looks the module up when it loads compiled code.
    sys.modules[name] = module
    code = compile(source, module.__file__, "exec")
    exec(code, module.__dict__)  # noqa: S102 - the text is made of templates only; see codegen
    return module


def keep(name: str, text: str) -> Path | None:
    """Put a source into the directory of compiled kernels, or return None where there is no safe one."""
    folder = private_directory()
    if folder is None:
        return None
    path = folder / name
    try:
        if not _holds(path, text):
            _create(path, text)
    except OSError:
        return None
    return path


def _holds(path: Path, text: str) -> bool:
    try:
        return is_private(path, stat.S_ISREG) and path.read_text() == text
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
