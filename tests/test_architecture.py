"""Imports point one way, every library has one home, and nothing tracked knows a machine."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LAYERS = {
    "scanner": {"scanner"},
    "storage": {"storage"},
    "jobs": {"jobs", "scanner", "storage"},
}
"""Which packages each package may import."""

_TERMINAL = ("jobs/cli*.py", "jobs/progress.py", "jobs/commands/*")
HOMES: dict[str, tuple[str, ...]] = {
    "numba": ("scanner/kernels/*",),
    "llvmlite": ("scanner/kernels/*",),
    "iminuit": ("scanner/likelihoods/minuit.py",),
    "matplotlib": ("scanner/plots/*",),
    "PIL": ("scanner/plots/*",),
    "pydantic": ("scanner/definition.py", "scanner/schema/*"),
    "pydantic_core": ("scanner/definition.py", "scanner/schema/*"),
    "ruamel": ("scanner/definition.py", "scanner/schema/*"),
    "zarr": ("storage/*",),
    "zarrs": ("storage/*",),
    "numcodecs": ("storage/*",),
    "google_crc32c": ("storage/*",),
    "obstore": ("storage/*",),
    "pyarrow": ("storage/readers/*",),
    "uproot": ("storage/readers/*",),
    "awkward": ("storage/readers/*",),
    "dask": ("jobs/executors.py", "jobs/cluster.py"),
    "distributed": ("jobs/executors.py", "jobs/cluster.py"),
    "typer": _TERMINAL,
    "click": _TERMINAL,
    "rich": _TERMINAL,
}
"""Where each library may be imported; `*` crosses folders. Type annotations may name it anywhere."""
AT_HOME_ANYWHERE = {"numpy", "scipy", "xarray"}
COMES_WITH = {"pydantic_core": "pydantic", "llvmlite": "numba", "PIL": "matplotlib"}
"""Libraries that a declared dependency cannot work without, and that its interface makes us name."""
COMPILERS = {"jit", "njit", "vectorize", "guvectorize", "stencil", "cfunc"}

MACHINE = re.compile(r"(?<![\w.~-])/(?:home|root|tmp|work|Users)/\w")
REGISTRY = re.compile(
    r"\b(?:pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org|conda\.anaconda\.org)"
)


@dataclass(frozen=True)
class Import:
    """One module that a file names, and where."""

    path: str
    line: int
    module: str
    for_types: bool
    at_start: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]

    @property
    def where(self) -> str:
        return f"{self.path}:{self.line}"


def sources() -> dict[str, str]:
    files = [file for package in LAYERS for file in sorted((ROOT / package).rglob("*.py"))]
    return {file.relative_to(ROOT).as_posix(): file.read_text() for file in files}


def module_name(path: str) -> str:
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def imports(texts: Mapping[str, str]) -> list[Import]:
    known = {module_name(path) for path in texts}
    return [found for path, text in texts.items() for found in _walk(path, ast.parse(text), known)]


def _walk(
    path: str, node: ast.AST, known: set[str], for_types: bool = False, at_start: bool = True
) -> Iterator[Import]:
    guarded = node.body if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test) else []
    for child in ast.iter_child_nodes(node):
        typing_only = for_types or child in guarded
        if isinstance(child, ast.Import | ast.ImportFrom | ast.Call):
            for module in _named(path, child, known):
                yield Import(path, child.lineno, module, typing_only, at_start)
        later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from _walk(path, child, known, typing_only, at_start and not later)


def _named(path: str, node: ast.Import | ast.ImportFrom | ast.Call, known: set[str]) -> list[str]:
    """Name the modules that a statement imports: a submodule rather than its package."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func).rpartition(".")[2]
        first = node.args[0] if node.args else None
        text = first.value if isinstance(first, ast.Constant) else None
        return [text] if name in {"import_module", "__import__"} and isinstance(text, str) else []
    package = module_name(path).split(".")
    package = package if path.endswith("__init__.py") else package[:-1]
    above = package[: len(package) - node.level + 1] if node.level else []
    base = ".".join([*above, *([node.module] if node.module else [])])
    return [f"{base}.{a.name}" if f"{base}.{a.name}" in known else base for a in node.names]


def wrong_directions(texts: Mapping[str, str]) -> list[str]:
    return [
        f"{found.where}: {package} must not import {found.top} (it may import {sorted(LAYERS[package])}); "
        "move what is shared to the package that owns it, or pass it as an argument"
        for found in imports(texts)
        if found.top in LAYERS and found.top not in LAYERS[package := found.path.partition("/")[0]]
    ]


def strays(texts: Mapping[str, str]) -> list[str]:
    return [
        f"{found.where}: {found.top} is imported outside of its home {', '.join(HOMES[found.top])}; "
        "call a function of its home instead, or move this one there"
        for found in imports(texts)
        if found.top in HOMES
        and not found.for_types
        and not any(fnmatchcase(found.path, home) for home in HOMES[found.top])
    ]


def homeless(texts: Mapping[str, str]) -> list[str]:
    settled = {*LAYERS, *HOMES, *AT_HOME_ANYWHERE, *sys.stdlib_module_names}
    return [
        f"{found.where}: {found.top} has no home; give it one in HOMES of this test"
        for found in imports(texts)
        if found.top not in settled
    ]


def undeclared(texts: Mapping[str, str], project: Mapping) -> list[str]:
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = {
        re.split(r"[^A-Za-z0-9_-]", entry)[0].replace("-", "_") for group in groups for entry in group
    }
    declared = {name.removesuffix("_yaml") for name in declared}
    used = {found.top for found in imports(texts)} - {*LAYERS, *sys.stdlib_module_names}
    return [
        f"{library} is imported and not among the dependencies in pyproject.toml"
        for library in sorted(used)
        if COMES_WITH.get(library, library) not in declared
    ]


def circles(texts: Mapping[str, str]) -> list[str]:
    known = {module_name(path) for path in texts}
    graph: dict[str, set[str]] = {name: set() for name in known}
    for found in imports(texts):
        here = module_name(found.path)
        if found.at_start and not found.for_types and found.module in known and found.module != here:
            graph[here].add(found.module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [
            f"these modules import each other: {' <- '.join(error.args[1])}; move what they share below both"
        ]
    return []


def own_compilers(texts: Mapping[str, str]) -> list[str]:
    message = "compiles in its own way; use `from scanner.kernels import jit`, so that all share its flags"
    kernels = {
        p: t for p, t in texts.items() if p.startswith("scanner/kernels/") and not p.endswith("__init__.py")
    }
    found = []
    for path, text in kernels.items():
        for node in ast.walk(ast.parse(text)):
            named = {alias.name for alias in node.names} if isinstance(node, ast.ImportFrom) else set()
            ours = isinstance(node, ast.ImportFrom) and node.module == "scanner.kernels"
            reached = (
                isinstance(node, ast.Attribute)
                and "numba" in ast.unparse(node.value)
                and node.attr in COMPILERS
            )
            written = isinstance(node, ast.Constant) and re.search(r"@(numba|nb)\.|\bnjit\b", str(node.value))
            if (named & COMPILERS and not ours) or reached or written:
                found.append(f"{path}:{getattr(node, 'lineno', 0)}: {message}")
    return found


def machine_words(path: str, text: str) -> list[str]:
    return [
        f"{path}:{number}: {found[0]!r} is a place of one machine; use an option or a relative path"
        for number, line in enumerate(text.splitlines(), 1)
        for found in (*MACHINE.finditer(line), *REGISTRY.finditer(line))
    ]


def tracked() -> Iterator[tuple[str, str]]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for path in filter(None, listed.decode().split("\0")):
        content = (ROOT / path).read_bytes() if (ROOT / path).is_file() else b""
        if b"\0" not in content:
            yield path, content.decode()


def report(violations: list[str]) -> None:
    assert not violations, "\n" + "\n".join(violations)


def test_imports_point_one_way():
    report(wrong_directions(sources()))


def test_every_library_stays_at_home():
    report(strays(sources()))


def test_every_library_has_a_home():
    report(homeless(sources()))


def test_every_library_is_declared():
    report(undeclared(sources(), tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]))


def test_no_modules_import_each_other():
    report(circles(sources()))


def test_kernels_share_one_decorator():
    report(own_compilers(sources()))


def test_nothing_tracked_knows_a_machine():
    report([word for path, text in tracked() for word in machine_words(path, text)])


def test_all_packages_are_looked_at():
    found = {path.partition("/")[0] for path in sources()}
    assert found == set(LAYERS)
    assert len(imports(sources())) > 100


@pytest.mark.parametrize(
    ("path", "source", "message"),
    [
        ("scanner/a.py", "import storage.events", "scanner must not import storage"),
        ("storage/a.py", "def f():\n    from scanner import units", "storage must not import scanner"),
        ("scanner/a.py", "from jobs.plan import Plan", "scanner must not import jobs"),
        ("scanner/a.py", "import importlib\nimportlib.import_module('jobs.plan')", "must not import jobs"),
        (
            "scanner/likelihoods/fit.py",
            "import numba",
            "numba is imported outside of its home scanner/kernels/*",
        ),
        (
            "jobs/scan.py",
            "def f():\n    import zarr.storage",
            "zarr is imported outside of its home storage/*",
        ),
        ("scanner/plots2.py", "from matplotlib.figure import Figure", "outside of its home scanner/plots/*"),
        ("storage/events.py", "import pyarrow.parquet as pq", "outside of its home storage/readers/*"),
        (
            "jobs/scan.py",
            "from dask import delayed",
            "outside of its home jobs/executors.py, jobs/cluster.py",
        ),
        ("scanner/a.py", "import pandas", "pandas has no home"),
        ("scanner/kernels/a.py", "from numba import njit", "use `from scanner.kernels import jit`"),
        (
            "scanner/kernels/a.py",
            "import numba\n@numba.vectorize\ndef f(x): return x",
            "use `from scanner.kernels",
        ),
        ("scanner/kernels/a.py", "TEMPLATE = '@njit'", "use `from scanner.kernels import jit`"),
    ],
)
def test_a_wrong_import_is_found(path, source, message):
    texts = {path: source}
    found = wrong_directions(texts) + strays(texts) + homeless(texts) + own_compilers(texts)
    assert any(message in violation and violation.startswith(f"{path}:") for violation in found)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("jobs/scan.py", "from scanner import limits\nfrom storage import parts"),
        ("scanner/kernels/a.py", "from scanner.kernels import jit\nfrom numba import types"),
        ("jobs/commands/deep/a.py", "import typer, rich"),
        ("scanner/query.py", "if TYPE_CHECKING:\n    from matplotlib.figure import Figure"),
        ("scanner/a.py", "from .b import jobs\nimport scanner.storage"),
    ],
)
def test_a_right_import_is_left_alone(path, source):
    texts = {path: source}
    assert wrong_directions(texts) + strays(texts) + homeless(texts) + own_compilers(texts) == []


def test_a_library_that_is_not_declared_is_found():
    project = {"dependencies": ["numpy>=2", "ruamel.yaml>=0.18"], "optional-dependencies": {}}
    found = undeclared({"scanner/a.py": "import numpy, ruamel.yaml, scipy"}, project)
    assert found == ["scipy is imported and not among the dependencies in pyproject.toml"]


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ("from scanner.a import f", True),
        ("from scanner import a", True),
        ("from . import a", True),
        ("try:\n    import scanner.a\nexcept ImportError:\n    pass", True),
        ("def g():\n    from scanner import a", False),
        ("if TYPE_CHECKING:\n    from scanner import a", False),
        ("import numpy", False),
    ],
)
def test_a_circle_is_found_where_it_runs_at_import(other, found):
    texts = {"scanner/__init__.py": "", "scanner/a.py": "from scanner import b", "scanner/b.py": other}
    assert bool(circles(texts)) == found


@pytest.mark.parametrize(
    "words",
    ["see /{}/me/data", "path='/{}/x'", "index: https://{}/simple", "file:///{}/a"],
)
def test_a_machine_in_a_file_is_found(words):
    for place in ("home", "root", "tmp") if "//{}/simple" not in words else ("pypi" + ".org",):
        assert machine_words("README.md", f"first\n{words.format(place)}")[0].startswith("README.md:2:")


@pytest.mark.parametrize(
    "words", ["a/root/b", "~/home/x", "https://arxiv.org/abs/1007.1727", "deploy/work/x"]
)
def test_other_paths_are_left_alone(words):
    assert machine_words("README.md", words) == []
