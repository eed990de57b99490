"""The compiled kernels: pure functions of arrays and scalars, and the only place with numba."""

import os
from collections.abc import Callable
from typing import Any, TypeVar, cast

import llvmlite.binding
import numba
from numba.core.cpu import CPUTargetOptions
from numba.core.options import TargetOptions

Kernel = TypeVar("Kernel", bound=Callable[..., object])

FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
"""Lets sums use vector registers, and keeps NaN and infinity meaningful."""

# The compiler's flags know `noalias`; only the decorator's list of options leaves it out.
CPUTargetOptions.noalias = TargetOptions.Mapping("noalias")  # type: ignore[no-untyped-call] # numba


def jit(function: Kernel) -> Kernel:
    """Compile a kernel with the options that every kernel shares."""
    compile_kernel = numba.njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
    return cast("Kernel", compile_kernel(function))


def exact(function: Kernel, cache: bool = True) -> Kernel:
    """Compile a kernel of the pass: every operation as IEEE 754 and numpy have it, none rearranged.

    No argument may overlap an array that the kernel writes. With many columns the vectoriser cannot
    test that at run time and gives up, so it is promised here.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "noalias": True}
    return cast("Kernel", numba.njit(cache=cache, **options)(function))


def instruction_set() -> str:
    """Name the processor that kernels are compiled for: bits are equal only among equal names.

    `NUMBA_CPU_NAME` sets it, for clusters of mixed machines.
    """
    name: str = os.environ.get("NUMBA_CPU_NAME") or llvmlite.binding.get_host_cpu_name()
    return name
