"""The word of long compilations: said once, of those that take long together, and of no kept kernels."""

import numba
import pytest

from scanner.kernels import notice


@pytest.fixture
def said(monkeypatch):
    monkeypatch.setattr(notice, "PATIENCE", 0.0)
    words = []
    listener = notice.when_compiling(lambda: words.append("compiling"))
    yield words
    notice.event.unregister("numba:compile", listener)


def test_compilations_are_told_once(said):
    inner = numba.njit(lambda x: x + 1)
    outer = numba.njit(lambda x: inner(x) * 2)  # compiles another one amidst its own
    assert said == []
    assert outer(1) == 4
    assert said == ["compiling"]
    assert outer(1.5) == 5.0
    assert said == ["compiling"]


def test_nothing_is_said_where_nothing_compiles(said):
    done = numba.njit("int64(int64)")(lambda x: x + 1)
    said.clear()
    assert done(1) == 2
    assert said == []


def test_short_compilations_are_not_worth_a_word(said, monkeypatch):
    monkeypatch.setattr(notice, "PATIENCE", 1e3)
    assert numba.njit(lambda x: x + 3)(1) == 4
    assert said == []
