"""The bits of a kernel: the same where it is compiled, where it is loaded, and whatever else is."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import llvmlite.binding as llvm
import numpy as np
import pytest
from numba.core.event import install_recorder

from scanner import kernels
from scanner.kernels import exact

SCRIPT = """
import hashlib
import numpy as np
from scanner.likelihoods.binned import BinnedProblem
from scanner.stats import METHODS, Settings

x = np.linspace(-1.0, 1.0, 41)[:-1] + 0.025
background = np.stack([np.ones(40), x, 2.0 * x * x - 1.0])[None].repeat(60, axis=0) / 40.0
signal = np.exp(-0.5 * (x / 0.1) ** 2)[None].repeat(60, axis=0)
signal /= signal.sum(axis=1)[:, None]
means = np.repeat([0.05, 3.0, 200.0], 20)[:, None]
counts = np.random.default_rng(1).poisson(means * np.ones(40)).astype(float)
digest = hashlib.sha256()
for method in ("asymptotic", "minos"):
    limits = METHODS[method](BinnedProblem(counts, signal, background), Settings(0.9))
    for part in (limits.yield_limit, limits.expected, limits.signal_yield, limits.signal_yield_error):
        digest.update(np.ascontiguousarray(part).tobytes())
print(digest.hexdigest())
"""


def callee(x):
    total = 0.0
    for value in x:
        total += 1.0 / (1.0 + value * value)
    return total


def test_a_kernel_shows_nothing_but_itself():
    inner = exact(callee, cache=False)

    def caller(x):
        return inner(x) + inner(x[::2]) if x.size > 3 else 0.0

    caller = exact(caller, cache=False)
    caller(np.arange(9.0))
    (library,) = (overload.library for overload in caller.overloads.values())
    shown = [
        function.name
        for function in library._final_module.functions
        if not function.is_declaration and function.linkage != llvm.Linkage.internal
    ]
    assert shown
    assert all("caller" in name for name in shown)


def test_what_a_kernel_calls_is_compiled_for_python_only_when_python_calls_it():
    inner, x = exact(callee, cache=False), np.arange(9.0)
    outer = exact(lambda values: inner(values), cache=False)
    expected = outer(x)
    assert not inner.overloads
    assert inner(x) == pytest.approx(expected, rel=1e-14)
    assert len(inner.overloads) == 1


def test_numbers_that_a_caller_knows_make_no_part_of_their_own():
    inner = exact(lambda values, k: values[k], cache=False)
    outer = exact(lambda values: inner(values, 1) + 10.0 * inner(values, 2), cache=False)
    with install_recorder("numba:compile") as compiled:
        assert outer(np.arange(3.0)) == 21.0
    inside = [event for _, event in compiled.buffer if event.is_start]
    assert [event.data["dispatcher"].py_func for event in inside].count(inner.py_func) == 1


def test_slices_that_do_not_fit_are_refused():
    def put(target, source):
        target[:] = source

    put, target = exact(put, cache=False), np.zeros(3)
    put(target, np.ones(3))
    assert np.all(target == 1.0)
    with pytest.raises(ValueError, match="cannot assign slice"):
        put(target, np.ones(4))


def kernels_of(decorator):
    """Yield every kernel with a decorator."""
    for path in Path(kernels.__file__).parent.rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and decorator in map(ast.unparse, node.decorator_list):
                yield node


def returns_arrays(kernel):
    plain = {"tuple", "float", "int", "bool", "None", "np", "uint64"}
    return bool({name.id for name in ast.walk(kernel.returns) if isinstance(name, ast.Name)} - plain)


def test_no_kernel_that_counts_no_references_is_given_any():
    """An array that such a kernel is handed would never be let go; one that it makes does not compile."""
    givers = {kernel.name for kernel in kernels_of("jit") if returns_arrays(kernel)}
    assert {"load", "cut", "gather"} <= givers
    lean = list(kernels_of("lean"))
    assert len(lean) > 200
    for kernel in lean:
        called = {
            node.func.id
            for node in ast.walk(kernel)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not returns_arrays(kernel), kernel.name
        assert not called & givers, kernel.name


def test_kernels_that_are_inlined_call_no_others():
    """What they call would be inlined too, or not, as the first of its callers in a process decides."""
    everywhere = {kernel.name for kernel in kernels_of("inlined")}
    assert len(everywhere) > 15
    for path in Path(kernels.__file__).parent.rglob("*.py"):
        body = ast.parse(path.read_text()).body
        functions = [node for node in body if isinstance(node, ast.FunctionDef)]
        inlined = [node for node in functions if "inlined" in map(ast.unparse, node.decorator_list)]
        imports = [node for node in body if isinstance(node, ast.ImportFrom)]
        others = {alias.name for node in imports for alias in node.names} - everywhere
        others |= {node.name for node in functions} - {node.name for node in inlined}
        for kernel in inlined:
            called = {ast.unparse(node.func) for node in ast.walk(kernel) if isinstance(node, ast.Call)}
            assert not returns_arrays(kernel), kernel.name
            assert not called & others, kernel.name


@pytest.mark.slow
def test_cold_and_warm_kernels_and_any_order_of_hashing_give_the_same_bits(tmp_path):
    """Two fresh caches, each compiled with another order of sets, and a second process on the last."""
    found = []
    for seed, cache in (("1", "a"), ("2", "b"), ("3", "b")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "NUMBA_CACHE_DIR": str(tmp_path / cache)}
        run = subprocess.run(
            [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True
        )
        found.append(run.stdout)
    assert len(set(found)) == 1
