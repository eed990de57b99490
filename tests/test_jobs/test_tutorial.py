"""The tutorial is run as it stands: its files are written, its commands run, its outputs compared."""

import io
import json
import math
import os
import re
import shlex
import subprocess
import sys
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import uproot
from iminuit import Minuit
from iminuit.cost import ExtendedBinnedNLL
from numba_stats import bernstein, norm

import scanner.query  # noqa: F401 - registers the accessor
from jobs.cli import app
from jobs.scanning.run import open_run
from scanner import runnable
from storage import cubes
from storage.events import EventStore

ROOT = Path(__file__).resolve().parents[2]
TUTORIAL = ROOT / "docs" / "tutorial.md"
EVENTS = Path(os.environ.get("DARKSCAN_EVENTS", ROOT.parent / "shared" / "events"))
FILES = {
    "peakdata3.csv": "upsilon",
    "peakdata4.csv": "phi",
    "Zmumu_Run2011A_masses.csv": "z",
}
ROOT_SECTION = "A ROOT file"
TOLERANCE = 0.002
"""Of the numbers that the tutorial prints: they are rounded to four digits."""
NUMBER = re.compile(r"[-+]?\d[\d,]*\.?\d*(?:e[-+]?\d+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block: the heading (level 2) above it, its language, and its text."""

    section: str
    language: str
    text: str


def blocks(text):
    """Split the tutorial into its fenced blocks."""
    found, section, language, lines = [], "", None, []
    for line in text.splitlines():
        if line.startswith("```") and language is None:
            language, lines = line[3:].strip(), []
        elif line.startswith("```"):
            found.append(Block(section, language, "\n".join(lines) + "\n"))
            language = None
        elif language is not None:
            lines.append(line)
        elif line.startswith("## "):
            section = line[3:]
    return found


class Walk:
    """Somebody who follows the tutorial in a folder; `shell` starts processes, as a user does."""

    def __init__(self, folder, *, shell):
        self.folder, self.shell = folder, shell
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        self.environment = {**os.environ, "PATH": path}
        self.printed = ""

    def follow(self, block):
        if block.language == "yaml":
            (self.folder / block.text.splitlines()[0].removeprefix("# ")).write_text(block.text)
        elif block.language == "sh":
            self.printed = self.start(block.text) if self.shell else self.call(block.text)
        elif block.language == "python":
            with chdir(self.folder), redirect_stdout(io.StringIO()):
                exec(compile(block.text, str(TUTORIAL), "exec"), {})
        elif block.language == "text":
            assert_printed(block.text, self.printed)
        else:
            raise AssertionError(f"the tutorial has a block of an unknown language: {block.language!r}")

    def start(self, text):
        """Run the lines in a shell."""
        done = subprocess.run(
            ["bash", "-ec", text],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def call(self, text):
        """Run the lines in this process, which has imported everything already."""
        with chdir(self.folder), redirect_stdout(io.StringIO()) as printed:
            for line in text.splitlines():
                command, *arguments = shlex.split(line)
                assert command == "darkscan"
                assert not app(arguments, standalone_mode=False), line
        return printed.getvalue()


def numbers(line):
    return [float(number.replace(",", "")) for number in NUMBER.findall(line)]


def same(expected, printed):
    """Compare two lines: the same words, and numbers to TOLERANCE."""
    words = [" ".join(NUMBER.sub("#", line).split()) for line in (expected, printed)]
    if words[0] != words[1]:
        return False
    pairs = zip(numbers(expected), numbers(printed), strict=True)
    return all(math.isclose(a, b, rel_tol=TOLERANCE, abs_tol=1e-300) for a, b in pairs)


def assert_printed(expected, printed):
    """Every line must be among those printed, in this order."""
    rest = iter(printed.splitlines())
    for line in expected.splitlines():
        assert any(same(line, candidate) for candidate in rest), f"{line!r} is not in\n{printed}"


def test_other_words_and_other_numbers_are_told_apart():
    assert_printed("a 1,000 b\nc", "x\n  a   1001.0  b\nc\n")
    for wrong in ("a 1,020 b", "a 1,000 c", "a 1,000 b 2", "c\na 1,000 b"):
        with pytest.raises(AssertionError):
            assert_printed(wrong, "a 1000 b\nc\n")


@pytest.fixture(scope="module")
def walked(tmp_path_factory):
    """The folder in which the tutorial was followed, up to the ROOT file."""
    missing = [name for name in FILES if not (EVENTS / name).is_file()]
    if missing:
        pytest.skip(
            f"no {missing[0]} in {EVENTS}: download the files, and set DARKSCAN_EVENTS to their folder"
        )
    folder = tmp_path_factory.mktemp("tutorial")
    for name in FILES:
        (folder / name).symlink_to(EVENTS / name)
    walk = Walk(folder, shell=False)
    for block in blocks(TUTORIAL.read_text()):
        if block.section != ROOT_SECTION:
            walk.follow(block)
    return folder


def independent_fit(mass, low, high, order, start, resolutions, fractions):
    """Fit Gaussians of one centre on a polynomial, in bins of our own."""
    counts, edges = np.histogram(mass, bins=140, range=(low, high))

    def expected(x, signal, centre, *coefficients):
        peak = sum(f * norm.cdf(x, centre, r) for f, r in zip(fractions, resolutions, strict=True))
        return signal * peak + bernstein.integral(x, coefficients, low, high)

    names = ["signal", "centre", *(f"c{i}" for i in range(order + 1))]
    mean = [0.3 * len(mass) / (high - low)] * (order + 1)
    fit = Minuit(ExtendedBinnedNLL(counts, edges, expected), 0.7 * len(mass), start, *mean, name=names)
    fit.limits["centre"] = (low, high)
    fit.errors = [np.sqrt(len(mass)), 0.1 * resolutions[0], *(0.1 * c for c in mean)]
    fit.simplex().migrad(ncall=20_000)
    fit.hesse()
    assert fit.valid
    return fit


CASES = {
    "upsilon": (9.45, 0.010, (7500.0, 0.02), (0.079,), (1.0,), 2),
    "phi": (1.017, 0.002, (1300.0, 0.05), (0.012,), (1.0,), 2),
    "z": (90.8, 0.10, None, (1.75, 1.75 * 2.9), (0.64, 0.36), 3),
}
"""What is known: mass and its tolerance [GeV], yield and relative tolerance; and the model."""


@pytest.mark.parametrize("name", CASES)
def test_the_resonance_is_the_largest_excess(walked, name):
    mass, tolerance, known, *_ = CASES[name]
    excess = cubes.open(walked / f"{name}_limits.zarr").limits.largest_excess()
    assert excess.mass == pytest.approx(mass, abs=tolerance)
    assert excess.z_local > 20.0
    if known:
        assert excess.signal_yield == pytest.approx(known[0], rel=known[1])


@pytest.mark.parametrize("name", CASES)
def test_mass_and_yield_agree_with_an_independent_fit(walked, name):
    """The same model over the same range in other bins, by iminuit: a small part of the error apart."""
    *_, resolutions, fractions, order = CASES[name]
    cube = cubes.open(walked / f"{name}_limits.zarr")
    excess = cube.limits.largest_excess()
    grid = open_run(str(walked / f"{name}_limits.zarr.run")).grids["all"]
    best = int(np.argmin(np.abs(grid.mass - excess.mass)))
    low, high = grid.edges[grid.edge_indices(slice(best, best + 1))][0, [0, -1]]
    mass = EventStore.open(walked / f"{name}.zarr").read(0, ["M"], 0, None)["M"]
    free = independent_fit(mass, low, high, order, excess.mass, resolutions, fractions)
    step = float(np.diff(grid.mass).max())
    assert abs(excess.mass - free.values["centre"]) < step / 2 + free.errors["centre"]
    free.fixed["centre"] = True
    free.values["centre"] = excess.mass
    free.migrad(ncall=20_000)
    assert excess.signal_yield == pytest.approx(free.values["signal"], abs=0.25 * free.errors["signal"])
    assert excess.signal_yield_error == pytest.approx(free.errors["signal"], rel=0.05)


def test_the_picture_and_the_cubes_are_there(walked):
    assert (walked / "upsilon_fit.png").stat().st_size > 10_000
    assert (walked / "upsilon_limits.png").stat().st_size > 10_000
    for name in CASES:
        cube = cubes.open(walked / f"{name}_limits.zarr")
        assert runnable.check_runnable(open_run(str(walked / f"{name}_limits.zarr.run")).search) is None
        assert set(cube["status"].to_numpy()) <= {0, 1}


TOY_MASS, TOY_WIDTH, TOY_YIELD, TOY_ROWS = 3.1, 0.025, 800, 20_000


def toy():
    """A J/ψ of 800 candidates on a falling spectrum, in MeV and float32, as branches of a ROOT file."""
    rng = np.random.default_rng(8)
    smooth = 2.0 + 2.0 * rng.beta(1.0, 1.5, TOY_ROWS - TOY_YIELD)
    mass = np.concatenate([smooth, rng.normal(TOY_MASS, TOY_WIDTH, TOY_YIELD)])
    branches = {"dimuon_mass": 1e3 * mass, "dimuon_pt": 1e3 * rng.gamma(8.0, 1.0, TOY_ROWS)}
    order = rng.permutation(TOY_ROWS)
    return {name: values[order].astype(np.float32) for name, values in branches.items()}


@pytest.mark.parametrize("kind", ["tree", "ntuple"])
def test_a_root_file_goes_the_same_way(tmp_path, kind):
    with uproot.recreate(tmp_path / "dimuons.root") as file:
        (file.mktree if kind == "tree" else file.mkrntuple)(
            "Events", {name: values.dtype for name, values in toy().items()}
        ).extend(toy())
        file.mktree("Runs", {"run": np.int64}).extend({"run": np.arange(3)})
    walk = Walk(tmp_path, shell=True)
    for block in blocks(TUTORIAL.read_text()):
        if block.section == ROOT_SECTION:
            walk.follow(block)
    answer = json.loads(walk.printed[walk.printed.index("\n{") :])
    assert answer["at"]["m"] == pytest.approx(TOY_MASS, abs=TOY_WIDTH / 2)
    values = answer["values"]
    kept = toy()["dimuon_pt"] > 500.0
    assert kept.mean() > 0.99
    assert abs(values["signal_yield"] - TOY_YIELD) < 2.0 * values["signal_yield_error"]
    assert values["fit_quality"] > 0.01
