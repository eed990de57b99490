"""Kernels that stand in every caller as if written there: for short functions of many arrays.

Each array that is handed on takes nine words on the stack, and what is read of it is read again. That is more
than the arithmetic of a function that handles four numbers. A kernel that is inlined calls no kernel but
such: numba would inline what it calls too, or not, as the first caller decides.
"""

from scanner.kernels import FASTMATH, Kernel, _compiled


def inlined(function: Kernel) -> Kernel:
    """Compile a kernel like `scanner.kernels.lean.lean`, into each of its callers."""
    options = {
        "nogil": True,
        "fastmath": FASTMATH,
        "error_model": "numpy",
        "_nrt": False,
        "forceinline": True,
    }
    return _compiled(function, options)
