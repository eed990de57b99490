"""The exponential function as the vectoriser takes it.

A call of the mathematics library inside of a loop keeps the loop scalar. Here x = k ln 2 + r with
|r| ≤ ln 2 / 2: k comes out of the low bits of a sum with 1.5·2⁵², e^r is its Taylor polynomial of degree
12, whose remainder is below 2e-16, and 2^k is put together from its bits.
"""

import math
from collections.abc import Callable
from typing import Any, cast

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from scanner.kernels import jit, literal

ROUNDER = 6755399441055744.0
"""1.5·2⁵²: the sum with it has the nearest whole number in its last bits."""
LOG2_E = 1.4426950408889634
LN_2_HIGH = 0.6931471803691238
LN_2_LOW = 1.9082149292705877e-10
LOWEST = -708.0
"""Below it the result would be subnormal; it stays at 3e-308."""
BIAS = 1023
MANTISSA = 52
C2, C3, C4, C5, C6, C7, C8, C9, C10, C11, C12 = (1.0 / math.factorial(k) for k in range(2, 13))


def _cast_to(kind: Any, bits: Any) -> Callable[[Any], Any]:
    """Return the intrinsic that takes the 64 bits of a number as those of another type."""

    def reinterpret(_typing: Any, number: Any) -> Any:
        def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], bits)

        return kind(number), generate

    return cast("Callable[[Any], Any]", intrinsic(reinterpret))


_bits_of = _cast_to(types.int64, ir.IntType(64))
_float_of = _cast_to(types.float64, ir.DoubleType())


@literal
def exponential(x: float) -> float:
    """Return eˣ to 3e-16, for x up to 709; the reduction must not be rearranged."""
    x = x if x > LOWEST else LOWEST
    shifted = x * LOG2_E + ROUNDER
    whole = shifted - ROUNDER
    power: float = _float_of((_bits_of(shifted) + BIAS) << MANTISSA)
    return _taylor((x - whole * LN_2_HIGH) - whole * LN_2_LOW) * power


@jit
def _taylor(r: float) -> float:
    p = C12
    p = p * r + C11
    p = p * r + C10
    p = p * r + C9
    p = p * r + C8
    p = p * r + C7
    p = p * r + C6
    p = p * r + C5
    p = p * r + C4
    p = p * r + C3
    p = p * r + C2
    p = p * r + 1.0
    return p * r + 1.0
