"""A small spectrum with a peak, as a store and as a search; and the command line in this process."""

import json
import sys
from dataclasses import dataclass

import numpy as np
import pyhf
import pytest

from jobs import cli
from jobs.executors import SerialExecutor
from scanner import definition
from storage.events import EventStore
from storage.samples import Sample

SEARCH = """
extends: bump_hunt
name: small
observable: mass
range: [1 GeV, 3 GeV]
resolution: 20 MeV
order: 1
"""


@pytest.fixture
def search():
    return definition.parse(SEARCH, where="small.yaml")


@pytest.fixture
def definition_file(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SEARCH)
    return path


def spectrum(rows=30_000, seed=4):
    rng = np.random.default_rng(seed)
    background = 1.0 + 2.0 * rng.beta(1.0, 2.0, rows)
    peak = rng.normal(2.0, 0.02, rows // 100)
    return {"mass": np.concatenate([background, peak]).astype(np.float32)}


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "events.zarr"
    made = EventStore.create(path, {"mass": "GeV"}, chunk_rows=1024, shard_rows=4096)
    made.append(Sample("data", "data"), [spectrum()])
    return str(path)


class PyhfFit:
    """The likelihood of one exported window, as pyhf sees it."""

    def __init__(self, folder, label):
        (file,) = folder.glob(f"{label}.json")
        workspace = pyhf.Workspace(json.loads(file.read_text()))
        self.model = workspace.model()
        self.data = workspace.data(self.model)
        pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4))

    @property
    def best(self):
        """The yield at the maximum."""
        return pyhf.infer.mle.fit(self.data, self.model)[self.model.config.poi_index]

    def cls(self, signal):
        """Asymptotic CLs of a yield, whose test statistic takes no yields below zero."""
        bounds = self.model.config.suggested_bounds()
        bounds[self.model.config.poi_index] = (0.0, bounds[self.model.config.poi_index][1])
        start = self.model.config.suggested_init()
        start[self.model.config.poi_index] = max(start[self.model.config.poi_index], 0.0)
        return float(pyhf.infer.hypotest(signal, self.data, self.model, start, bounds, test_stat="qtilde"))


@pytest.fixture
def pyhf_fit():
    """Read a window's likelihood from a folder of exported ones, by its label."""
    yield PyhfFit
    pyhf.set_backend("numpy")


class Stopping(SerialExecutor):
    """Stops after some blocks, as an impatient user does."""

    class Interrupted(Exception):
        pass

    def __init__(self, blocks):
        self.left = blocks

    def run(self, task, keys, report):
        def counted(key):
            self.left -= 1
            if self.left < 0:
                raise self.Interrupted
            report(key)

        return super().run(task, keys, counted)


@pytest.fixture
def stopping():
    """The executor that stops after a number of blocks, raising its `Interrupted`."""
    return Stopping


@dataclass(frozen=True)
class Answer:
    """What a command leaves: its exit code, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def json(self):
        """Standard output as strict JSON."""
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


@pytest.fixture
def darkscan(capsys, monkeypatch):
    """Run `darkscan` with arguments, as its entry point does."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["darkscan", *map(str, arguments)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = end.code or 0
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return Answer(code, printed.out, printed.err)

    return run


@pytest.fixture
def refused(darkscan):
    """Run `darkscan` with bad input: exit code 2, nothing on standard output, the message comes back."""

    def run(*arguments):
        answer = darkscan(*arguments)
        assert (answer.code, answer.out) == (2, ""), answer
        return answer.err

    return run
