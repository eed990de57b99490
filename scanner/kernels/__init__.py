"""The compiled kernels: pure functions of arrays and scalars, and the only place with numba."""

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import llvmlite.binding
import numba
from numba.core import config
from numba.core.cpu import CPUTargetOptions
from numba.core.options import TargetOptions

from scanner.kernels.cache import private_directory
from scanner.kernels.linkage import keep_own_copies, optimise_wholes
from scanner.kernels.parts import give_part, shorten_messages

Kernel = TypeVar("Kernel", bound=Callable[..., object])

FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
"""Lets sums use vector registers, and keeps NaN and infinity meaningful."""

# The compiler's flags know `noalias`; only the decorator's list of options leaves it out.
CPUTargetOptions.noalias = TargetOptions.Mapping("noalias")  # type: ignore[no-untyped-call] # numba

keep_own_copies()
optimise_wholes()
shorten_messages()


def jit(function: Kernel) -> Kernel:
    """Compile a kernel with the options that every kernel shares."""
    return _compiled(function, {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy"})


def literal(function: Kernel) -> Kernel:
    """Compile arithmetic that must stay in the order in which it is written, for use within other kernels."""
    return _compiled(function, {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"})


def exact(function: Kernel, cache: bool = True) -> Kernel:
    """Compile a kernel of the pass: every operation as IEEE 754 and numpy have it, none rearranged.

    No argument may overlap an array that the kernel writes. With many columns the vectoriser cannot
    test that at run time and gives up, so it is promised here.
    """
    return _compiled(function, {"nogil": True, "error_model": "numpy", "noalias": True}, cache)


def _compiled(function: Kernel, options: dict[str, Any], cache: bool = True) -> Kernel:
    """Decorate a kernel, once for Python and once as a part of other kernels."""
    kernel = _dispatcher(function, options, cache)
    give_part(kernel, lambda: _dispatcher(function, {**options, "no_cpython_wrapper": True}, cache, "parts"))
    return cast("Kernel", kernel)


def _dispatcher(function: Kernel, options: dict[str, Any], cache: bool, below: str = "") -> Any:
    """Return numba's own; what it compiles is kept in the directory of this version of its module.

    References to arrays are counted unless the options say otherwise, also where a caller does not: numba
    would let the first caller decide.
    """
    folder = private_directory(function.__module__) if cache else None
    before = config.CACHE_DIR  # type: ignore[attr-defined]  # numba sets its settings when it is imported
    config.CACHE_DIR = str(folder / below if folder else "")  # type: ignore[attr-defined]
    try:
        shared = {"_nrt": True, "no_cfunc_wrapper": True}
        return numba.njit(cache=folder is not None, **{**shared, **options})(function)
    finally:
        config.CACHE_DIR = before  # type: ignore[attr-defined]


def instruction_set() -> str:
    """Name the processor that kernels are compiled for: bits are equal only among equal names.

    `NUMBA_CPU_NAME` sets it, for clusters of mixed machines.
    """
    name: str = os.environ.get("NUMBA_CPU_NAME") or llvmlite.binding.get_host_cpu_name()
    return name
