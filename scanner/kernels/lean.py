"""Kernels that take arrays in tuples and make none: compiled without counting references.

A function that takes a tuple of arrays counts a reference to each of them up and down again, two atomic
operations an array; for short functions that is more than the arithmetic. Nothing needs the counts where a
function makes no array and returns none: its caller holds on to what it passes.
"""

from scanner.kernels import FASTMATH, Kernel, _compiled


def lean(function: Kernel) -> Kernel:
    """Compile a kernel with the options of `scanner.kernels.jit` that neither makes nor returns an array."""
    options = {"nogil": True, "fastmath": FASTMATH, "error_model": "numpy", "_nrt": False}
    return _compiled(function, options)
