"""Kernels as parts of others, so that a cold start compiles no more than it runs.

Most kernels are only ever called by other kernels. What a caller takes of them needs no way in from Python,
which would unpack every array of every tuple, and no machine code, which is made once of the whole
(`scanner.kernels.linkage`). A kernel that Python calls is compiled with both.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from numba import types
from numba.extending import overload
from numba.np import arrayobj


def give_part(kernel: Any, compiled: Callable[[], Any]) -> None:
    """Let other kernels take the dispatcher that `compiled` makes in place of this one.

    The first of them asks for it: a process that loads its kernels makes none. Numbers that are known when
    a caller is compiled are given as any others: the compiler sees them where it inlines, and numba would
    compile a part for each of them.
    """
    part = cache(compiled)

    def template(arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Any:
        plain = tuple(map(_any_number, arguments))
        return part().get_call_template(plain, {k: _any_number(kind) for k, kind in keywords.items()})

    kernel.get_call_template = template
    kernel.get_overload = lambda signature: part().get_overload(signature)


def _any_number(kind: Any) -> Any:
    return types.unliteral(kind)  # type: ignore[no-untyped-call]  # numba


def shorten_messages() -> None:
    """Let slices that do not fit raise an error of constant text.

    numba writes both shapes into it, and compiles that for half a second wherever a slice is set.
    """
    overload(_slices_differ)(arrayobj.ol_raise_with_shape_context_generic)
    arrayobj.raise_with_shape_context = _slices_differ


def _slices_differ(source: Any, target: Any) -> None:
    """Raise the error; numba compiles what `shorten_messages` says."""
    raise NotImplementedError
