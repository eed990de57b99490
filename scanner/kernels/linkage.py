"""Kernels that keep their own copies of what they call, so that their bits depend on nothing else.

numba compiles a function on its own and once more inside of every caller, where it is optimised with the
caller and rounds differently. The copy in a caller is a symbol that gives way to any other definition of the
process: a caller would run one code where it was compiled, and another where it was loaded from a cache,
or after other kernels. Here that copy is the caller's own.

So all that matters of a part, a kernel as others call it, is the module that is linked into its callers:
no machine code is made of it, and it is optimised where it runs.
"""

from typing import Any

import llvmlite.binding as llvm
from numba.core.codegen import CPUCodeLibrary

FROM_PYTHON = "_ZN7cpython"
"""What the names of functions begin with by which Python calls a kernel."""


def keep_own_copies() -> None:
    """Let every library that numba compiles from now on call the functions that were linked into it."""
    emit = CPUCodeLibrary._finalize_final_module
    if getattr(emit, "keeps_own_copies", False):
        return

    def finalise(library: Any) -> None:
        if library._shared_module is None:
            library._shared_module = _for_callers(library._final_module)
            if _is_part(library._final_module):
                _empty(library._codegen, library._final_module)
            else:
                _close(library._final_module)
        emit(library)  # type: ignore[no-untyped-call]  # numba

    finalise.keeps_own_copies = True  # type: ignore[attr-defined]
    CPUCodeLibrary._finalize_final_module = finalise  # type: ignore[method-assign]


def optimise_wholes() -> None:
    """Let numba tidy parts up, and optimise only what Python calls, with all parts in it."""
    whole = CPUCodeLibrary._optimize_final_module
    if getattr(whole, "leaves_parts", False):
        return

    def optimise(library: Any) -> None:
        if _is_part(library._final_module):
            passes, builder = library._codegen._module_pass_manager(
                loop_vectorize=False, slp_vectorize=False, opt=0, cost="cheap"
            )
            passes.run(library._final_module, builder)
        else:
            whole(library)  # type: ignore[no-untyped-call]  # numba

    optimise.leaves_parts = True  # type: ignore[attr-defined]
    CPUCodeLibrary._optimize_final_module = optimise  # type: ignore[method-assign]


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


def _is_part(module: llvm.ModuleRef) -> bool:
    """Tell whether a module is what a kernel is for other kernels only, with no way in from Python."""
    defined = [function for function in module.functions if not function.is_declaration]
    own = [function.name for function in defined if function.linkage == llvm.Linkage.external]
    return bool(own) and all(name.startswith("_ZN") and not name.startswith(FROM_PYTHON) for name in own)


def _empty(codegen: Any, module: llvm.ModuleRef) -> None:
    """Drop all functions; what numba looks for by its name stays."""
    for function in module.functions:
        if not function.is_declaration:
            function.linkage = "internal"
    builder = codegen._pass_builder(opt=0)
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)
