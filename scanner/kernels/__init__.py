"""The compiled kernels: pure functions of arrays and scalars, and the only place with numba."""

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Kernel = TypeVar("Kernel", bound=Callable[..., object])

FASTMATH = {"reassoc", "contract", "arcp", "nsz"}
"""Lets sums use vector registers, and keeps NaN and infinity meaningful."""


def jit(function: Kernel) -> Kernel:
    """Compile a kernel with the options that every kernel shares."""
    compile_kernel = numba.njit(cache=True, nogil=True, fastmath=FASTMATH, error_model="numpy")
    return cast("Kernel", compile_kernel(function))
