"""Kernels that keep their own copies of what they call, so that their bits depend on nothing else.

numba compiles a function on its own and once more inside of every caller, where it is optimised with the
caller and rounds differently. The copy in a caller is a symbol that gives way to any other definition of the
process: a caller would run one code where it was compiled, and another where it was loaded from a cache,
or after other kernels. Here that copy is the caller's own.
"""

from typing import Any

import llvmlite.binding as llvm
from numba.core.codegen import CPUCodeLibrary


def keep_own_copies() -> None:
    """Let every library that numba compiles from now on call the functions that were linked into it."""
    emit = CPUCodeLibrary._finalize_final_module
    if getattr(emit, "keeps_own_copies", False):
        return

    def finalise(library: Any) -> None:
        if library._shared_module is None:
            library._shared_module = _for_callers(library._final_module)
            _close(library._final_module)
        emit(library)  # type: ignore[no-untyped-call]  # numba

    finalise.keeps_own_copies = True  # type: ignore[attr-defined]
    CPUCodeLibrary._finalize_final_module = finalise  # type: ignore[method-assign]


def _for_callers(module: llvm.ModuleRef) -> llvm.ModuleRef:
    """Return a copy that can be linked into many callers, as numba makes it when the first one asks."""
    shared = module.clone()
    for function in shared.functions:
        if not function.is_declaration and function.linkage == llvm.Linkage.external:
            function.linkage = "linkonce_odr"
    return shared


def _close(module: llvm.ModuleRef) -> None:
    """Hide all functions that came from other libraries."""
    for function in module.functions:
        if not function.is_declaration and function.linkage == llvm.Linkage.linkonce_odr:
            function.linkage = "internal"
