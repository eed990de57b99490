"""RooFit beside the fit and the limit of a window, where its environment exists (`make root`).

The groups are those of the fit benchmarks: 100 bins, a Gaussian over three Chebyshev terms, 50
thousand events. RooFit fits a HistFactory model by its vectorised binned likelihood; its limit is a root
of asymptotic CLs with a fit at each point.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.polynomial import chebyshev
from scipy.stats import norm

from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.fit import fit
from scanner.likelihoods.interchange import hs3_document
from scanner.stats import METHODS, Settings

HERE = Path(__file__).parent
ROOT_PYTHON = HERE.parents[1] / ".venv-root" / "bin" / "python"
ORACLE = HERE.parent / "reference" / "oracles" / "roofit_window.py"
LEVEL = 0.95

SERVERS = []


def seconds():
    """Return the processor time of the process with RooFit [s], which waits while nothing is asked."""
    (server,) = SERVERS
    return int(Path(f"/proc/{server.pid}/schedstat").read_text().split()[0]) * 1e-9


pytestmark = [
    pytest.mark.benchmark_suite,
    pytest.mark.benchmark(timer=seconds),
    pytest.mark.skipif(not ROOT_PYTHON.exists(), reason="no ROOT: `make root` sets up its environment"),
]


def problem():
    edges = np.linspace(-1.0, 1.0, 101)
    rows = [np.diff(chebyshev.chebval(edges, chebyshev.chebint(row))) for row in np.eye(3)]
    signal = np.diff(norm.cdf(edges / 0.05))
    counts = np.random.default_rng(17).poisson(500.0 * (1.0 - 0.25 * (edges[1:] + edges[:-1])))
    return BinnedProblem(counts[None].astype(float), signal[None], np.array([rows]))


@pytest.fixture(scope="module")
def roofit(tmp_path_factory):
    """Ask a process with RooFit for a number."""
    path = tmp_path_factory.mktemp("roofit") / "window.json"
    path.write_text(json.dumps(hs3_document(problem(), 0)))
    command = [ROOT_PYTHON, ORACLE, "serve", str(LEVEL), path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        while process.stdout.readline().strip() != "READY":
            assert process.poll() is None

        SERVERS[:] = [process]

        def ask(what):
            process.stdin.write(f"{what}\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        yield ask
        process.stdin.close()


def test_roofit_gives_the_same_answers(roofit):
    ours = fit(problem())
    assert roofit("fit") == pytest.approx(ours.yields[0], abs=3e-3 * ours.errors[0])
    limit = METHODS["asymptotic"](problem(), Settings(LEVEL)).yield_limit[0]
    assert roofit("limit") == pytest.approx(limit, rel=2e-3)


def test_fit(race, roofit):
    group = "fit of signal and background: 100 bins, 50 thousand events a window"
    race(group, "RooFit", lambda: roofit("fit"), items=1, unit="window", rounds=5)


def test_limit(race, roofit):
    group = "limit with bands: 100 bins, 50 thousand events a window"
    race(group, "RooFit, observed only", lambda: roofit("limit"), items=1, unit="window", rounds=2)
