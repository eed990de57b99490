"""Random numbers that are functions of where they are used: Threefry2x64 with 13 rounds.

Salmon, Moraes, Dror, Shaw, Parallel random numbers: as easy as 1, 2, 3, Proc. SC11 (2011),
doi:10.1145/2063384.2063405. A cipher turns (draw, toy) under the key (window, stream) into 128 random
bits. There is no state: any toy can be thrown again alone, by anyone, in any order. With 13 rounds it
passes every test of BigCrush (table 2 there); it is adds, rotations and exclusive ors, which the
compiler runs for eight draws at a time.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scanner.kernels import jit
from scanner.kernels.algebra import Floats
from scanner.kernels.lean import lean

Words = NDArray[np.uint64]

PARITY = np.uint64(0x1BD11BDAA9FC1A22)
WORD = np.uint64(64)
ONE, TWO, THREE = np.uint64(1), np.uint64(2), np.uint64(3)
R12, R16, R21, R24 = np.uint64(12), np.uint64(16), np.uint64(21), np.uint64(24)
R31, R32, R42 = np.uint64(31), np.uint64(32), np.uint64(42)
HALF_WORD = np.uint64(11)
"""Bits of a word below the 53 of a double."""
STEP = 2.0**-53


@jit
def _mix(x: np.uint64, y: np.uint64, turn: np.uint64) -> tuple[np.uint64, np.uint64]:
    x = x + y
    return x, ((y << turn) | (y >> (WORD - turn))) ^ x


@jit
def threefry(
    draw: np.uint64, toy: np.uint64, key: np.uint64, stream: np.uint64
) -> tuple[np.uint64, np.uint64]:
    """Return two words: Threefry2x64-13 of the counter (draw, toy) under the key (key, stream)."""
    last = PARITY ^ key ^ stream
    x, y = _mix(draw + key, toy + stream, R16)
    x, y = _mix(x, y, R42)
    x, y = _mix(x, y, R12)
    x, y = _mix(x, y, R31)
    x, y = _mix(x + stream, y + (last + ONE), R16)
    x, y = _mix(x, y, R32)
    x, y = _mix(x, y, R24)
    x, y = _mix(x, y, R21)
    x, y = _mix(x + last, y + (key + TWO), R16)
    x, y = _mix(x, y, R42)
    x, y = _mix(x, y, R12)
    x, y = _mix(x, y, R31)
    return _mix(x + key, y + (stream + THREE), R16)


@lean
def random_words(key: np.uint64, stream: np.uint64, toy: np.uint64, words: Words) -> None:
    """Fill `words`, of even size: draw d is word d mod 2 of counter d div 2, whatever the size."""
    for pair in range(words.size // 2):
        x, y = threefry(np.uint64(pair), toy, key, stream)
        words[2 * pair] = x
        words[2 * pair + 1] = y


@jit
def uniform(word: np.uint64) -> float:
    """Return a number inside (0, 1): the middle of one of 2⁵³ equal steps."""
    return (float(word >> HALF_WORD) + 0.5) * STEP


@jit
def normal(word: np.uint64) -> float:
    """Return a standard normal number, which rises with the word."""
    return quick_normal_quantile(uniform(word))


@jit
def quick_normal_quantile(p: float) -> float:
    """Return Φ⁻¹(p) to 1e-15 for p in (0, 1) (Wichura, algorithm AS 241, Appl. Statist. 37 (1988) 477)."""
    centred = p - 0.5
    if abs(centred) <= 0.425:
        return centred * _central(0.180625 - centred * centred)
    r = math.sqrt(-math.log(min(p, 1.0 - p)))
    tail = _middle(r - 1.6) if r <= 5.0 else _far(r - 5.0)
    return tail if centred > 0.0 else -tail


@jit
def _central(r: float) -> float:
    top = 2.5090809287301226727e3
    top = top * r + 3.3430575583588128105e4
    top = top * r + 6.7265770927008700853e4
    top = top * r + 4.5921953931549871457e4
    top = top * r + 1.3731693765509461125e4
    top = top * r + 1.9715909503065514427e3
    top = top * r + 1.3314166789178437745e2
    top = top * r + 3.3871328727963666080e0
    low = 5.2264952788528545610e3
    low = low * r + 2.8729085735721942674e4
    low = low * r + 3.9307895800092710610e4
    low = low * r + 2.1213794301586595867e4
    low = low * r + 5.3941960214247511077e3
    low = low * r + 6.8718700749205790830e2
    low = low * r + 4.2313330701600911252e1
    return top / (low * r + 1.0)


@jit
def _middle(r: float) -> float:
    top = 7.74545014278341407640e-4
    top = top * r + 2.27238449892691845833e-2
    top = top * r + 2.41780725177450611770e-1
    top = top * r + 1.27045825245236838258e0
    top = top * r + 3.64784832476320460504e0
    top = top * r + 5.76949722146069140550e0
    top = top * r + 4.63033784615654529590e0
    top = top * r + 1.42343711074968357734e0
    low = 1.05075007164441684324e-9
    low = low * r + 5.47593808499534494600e-4
    low = low * r + 1.51986665636164571966e-2
    low = low * r + 1.48103976427480074590e-1
    low = low * r + 6.89767334985100004550e-1
    low = low * r + 1.67638483018380384940e0
    low = low * r + 2.05319162663775882187e0
    return top / (low * r + 1.0)


@jit
def _far(r: float) -> float:
    top = 2.01033439929228813265e-7
    top = top * r + 2.71155556874348757815e-5
    top = top * r + 1.24266094738807843860e-3
    top = top * r + 2.65321895265761230930e-2
    top = top * r + 2.96560571828504891230e-1
    top = top * r + 1.78482653991729133580e0
    top = top * r + 5.46378491116411436990e0
    top = top * r + 6.65790464350110377720e0
    low = 2.04426310338993978564e-15
    low = low * r + 1.42151175831644588870e-7
    low = low * r + 1.84631831751005468180e-5
    low = low * r + 7.86869131145613259100e-4
    low = low * r + 1.48753612908506148525e-2
    low = low * r + 1.36929880922735805310e-1
    low = low * r + 5.99832206555887937690e-1
    return top / (low * r + 1.0)


@lean
def normal_draws(key: np.uint64, stream: np.uint64, toy: np.uint64, out: Floats) -> None:
    """Fill `out` with standard normal numbers, one a draw: for global observables."""
    for d in range(out.size):
        x, y = threefry(np.uint64(d // 2), toy, key, stream)
        out[d] = normal(y if d % 2 else x)
