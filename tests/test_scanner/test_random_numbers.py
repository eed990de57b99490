"""Random words against the published vectors of Random123, normal numbers against scipy."""

import numpy as np
import pytest
from scipy.special import ndtri
from scipy.stats import chisquare, kstest

from scanner.kernels.toys.random import normal_draws, quick_normal_quantile, random_words, threefry

ONES = 2**64 - 1
PI = (0x243F6A8885A308D3, 0x13198A2E03707344, 0xA4093822299F31D0, 0x082EFA98EC4E6C89)
VECTORS = [
    ((0, 0, 0, 0), (0xF167B032C3B480BD, 0xE91F9FEE4B7A6FB5)),
    ((ONES, ONES, ONES, ONES), (0xCCDEC5C917A874B1, 0x4DF53ABCA26CEB01)),
    (PI, (0xC3AAC71561042993, 0x3FE7AE8801AFF316)),
]
"""Counter and key of threefry2x64 with 13 rounds, and the answer: Random123's kat_vectors."""


def words_of(key, stream, toy, count):
    words = np.empty(count, np.uint64)
    random_words(np.uint64(key), np.uint64(stream), np.uint64(toy), words)
    return words


@pytest.mark.parametrize(("inputs", "answer"), VECTORS)
def test_published_vectors(inputs, answer):
    assert tuple(int(word) for word in threefry(*np.array(inputs, np.uint64))) == answer


def test_a_draw_depends_on_its_own_coordinates_only():
    long = words_of(9, 1, 4, 64)
    assert np.array_equal(words_of(9, 1, 4, 10), long[:10])
    others = [words_of(8, 1, 4, 64), words_of(9, 2, 4, 64), words_of(9, 1, 5, 64)]
    assert len(np.unique(np.concatenate([long, *others]))) == 256


def test_neighbouring_keys_toys_and_draws_give_uniform_words():
    words = np.concatenate([words_of(key, 0, toy, 64) for key in range(40) for toy in range(40)])
    for bits in (words >> np.uint64(54), words & np.uint64(1023)):
        assert chisquare(np.bincount(bits.astype(np.int64), minlength=1024)).pvalue > 1e-3
    assert kstest(words.astype(float) / 2.0**64, "uniform").pvalue > 1e-3
    pairs = (words >> np.uint64(59)).astype(np.int64)
    assert chisquare(np.bincount(pairs[:-1] * 32 + pairs[1:], minlength=1024)).pvalue > 1e-3


def test_normal_quantile():
    p = np.concatenate([10.0 ** -np.arange(0.5, 16.0, 0.5), np.linspace(0.01, 0.49, 25), [1e-100, 1e-300]])
    ours = np.array([quick_normal_quantile(x) for x in p])
    assert ours == pytest.approx(ndtri(p), rel=1e-14)
    upper = np.array([quick_normal_quantile(1.0 - x) for x in p[:20]])
    assert upper == pytest.approx(ndtri(1.0 - p[:20]), rel=1e-14)
    assert quick_normal_quantile(0.5) == 0.0


def test_normal_numbers_are_normal():
    numbers = np.empty(20_000)
    normal_draws(np.uint64(3), np.uint64(1), np.uint64(2), numbers)
    assert kstest(numbers, "norm").pvalue > 1e-3
    few = np.empty(7)
    normal_draws(np.uint64(3), np.uint64(1), np.uint64(2), few)
    assert np.array_equal(few, numbers[:7])
