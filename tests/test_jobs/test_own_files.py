"""Every search on a user's own files, by the commands on its page: the limits of the generated store."""

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import uproot

from jobs.executors import SerialExecutor
from jobs.searches import catalogue, own_files
from scanner import definition, engine
from storage import cubes
from storage.events import EventStore

PAGES = Path(__file__).resolve().parents[2] / "docs" / "searches"
NAMES = tuple(name for name in catalogue.runnable() if engine.reads(definition.load(name)))
QUICK = ("tau_3mu", "dark_higgsstrahlung", "hnl_tau")
"""Searches that are run each time: data alone with names and units of their own, simulation, and signals."""
EVENTS = 5e4
"""Produced events of a search."""
FORMS = {
    "zp_mumu": "csv",
    "tau_3mu": "csv",
    "tau_lalpha": "csv",
    "b_ka": "root",
    "hnl_tau": "root",
    "zp_inv": "root",
}
"""Forms of the files that are no Parquet."""
FOREIGN = ("tau_3mu", "zp_mumu", "alp_gg", "b_lambda_inv", "zp_inv")
"""Searches whose files have other names, in capitals, and energies in MeV."""

DRAWN = {"fit_quality", "fit_quality_toys"}
"""What pseudo-experiments tell, whose random numbers belong to the store."""


@dataclass(frozen=True)
class Case:
    """A reduced search, its generated store, and a folder for files."""

    search: definition.Search
    generated: EventStore
    folder: Path

    @property
    def foreign(self):
        return self.search.name in FOREIGN

    def old(self, name):
        return f"{name.upper()}_X" if self.foreign else name

    def energies(self, names):
        return [n for n in names if self.foreign and self.search.columns[n].unit == "GeV"]

    def columns(self, numbers, names):
        """Return columns of some samples of the generated store, in the user's units."""
        shards = [shard for shard in self.generated.shards if shard.sample in numbers]
        parts = [self.generated.read(shard.index, names, 0, shard.rows) for shard in shards]
        joined = {name: np.concatenate([part[name] for part in parts]) for name in names}
        scaled = self.energies(names)
        return {self.old(n): v.astype(np.float64) * (1e3 if n in scaled else 1.0) for n, v in joined.items()}


def write(path, columns):
    if path.suffix == ".csv":
        header = ",".join(columns)
        np.savetxt(
            path,
            np.column_stack(list(columns.values())),
            delimiter=",",
            header=header,
            comments="",
            fmt="%.17g",
        )
    elif path.suffix == ".root":
        with uproot.recreate(path) as file:
            file["events"] = columns
    else:
        pyarrow.parquet.write_table(pa.table(columns), path)


def commands(name):
    """Return the commands that the page of a search prints for a user's own files."""
    text = (PAGES / f"{name}.md").read_text().partition("## On your own files")[2]
    block = re.search(r"```bash\n(.*?)```", text, flags=re.DOTALL)[1]
    return [shlex.split(line) for line in block.splitlines()]


def changed(words, **options):
    """Return a command with other values of options, and of the parameters of a sample."""
    words, given = list(words), {k: v for k, v in options.items() if v is not None}
    for number, word in enumerate(words):
        if word.removeprefix("--") in given:
            words[number + 1] = str(given[word.removeprefix("--")])
        name = word.partition("=")[0]
        if words[number - 1] == "--parameter" and "parameters" in given:
            words[number] = f"{name}={given['parameters'][name]!r}"
    return words


def fitted(case, words):
    """Return an ingest command for files with names and units of the user's, as the page says."""
    names = words[words.index("--columns") + 1].split(",")
    if case.foreign:
        words = changed(words, columns=",".join(f"{name}={case.old(name)}" for name in names))
        words += [word for name in case.energies(names) for word in ("--unit", f"{name}=MeV")]
    return names, words


def samples_like(case, words):
    """Yield the numbers of the generated samples, and the options, that a printed command stands for."""
    samples = list(enumerate(case.generated.samples))
    if "--sample" not in words:
        data = [number for number, sample in samples if sample.kind == "pseudodata"]
        yield data, {"luminosity": f"{case.generated.luminosity!r}/fb"}
        return
    name = words[words.index("--sample") + 1]
    if "--parameter" not in words:
        (number,) = [number for number, sample in samples if sample.name == name]
        yield [number], {"luminosity": f"{case.generated.samples[number].luminosity!r}/fb"}
        return
    for count, (number, sample) in enumerate((n, s) for n, s in samples if s.kind == "signal"):
        label = f"{name.removesuffix('000')}{count:03d}"
        yield [number], {"sample": label, "generated": sample.generated, "parameters": sample.parameters}


def ingest(case, darkscan):
    """Run the printed commands on files that hold what the generated store holds."""
    suffix = FORMS.get(case.search.name, "parquet")
    printed, scanned = commands(case.search.name)[:-1], commands(case.search.name)[-1]
    for number, words in enumerate(printed):
        for numbers, options in samples_like(case, words):
            names, full = fitted(case, changed(words, **options))
            full[2] = str(Path(f"{number}_{numbers[0]}_{full[2]}").with_suffix(f".{suffix}"))
            write(case.folder / full[2], case.columns(numbers, names))
            answer = darkscan(*full[1:])
            assert answer.code == 0, answer.err
    return scanned


def without_toys(search):
    """Return a search whose limits throw no toys: their random numbers belong to the store."""
    limit = "asymptotic" if engine.stated(search) else search.method.limit
    method = search.method.model_copy(update={"toys": 0, "limit": limit})
    return definition.from_json(search.changed(method=method).canonical)


def as_text(search):
    """Return the reduced search as a user would write it: an extension with values of its own."""
    whole = definition.load(search.name)
    scan = {
        name: {"values": f"{', '.join(map(repr, axis.values))} {axis.unit}"}
        | ({} if whole.scan[name].values else {"range": None, "step": None})
        for name, axis in search.scan.items()
    }
    chosen = [{"name": c.name, "parameters": dict(c.parameters)} for c in search.configurations]
    few = {"extends": search.name, "scan": scan, "method": {"limit": search.method.limit, "toys": 0}}
    return json.dumps(few | ({"configurations": chosen} if len(chosen) > 1 else {}))


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n not in QUICK)) for n in NAMES]
)
def test_own_files_give_the_limits_of_the_generated_store(name, darkscan, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    search = without_toys(catalogue.reduced(definition.load(name)))
    expected = catalogue.run(search, tmp_path, SerialExecutor(), EVENTS)
    case = Case(search, EventStore.open(str(tmp_path / f"{name}_events.zarr")), tmp_path)
    scanned = ingest(case, darkscan)
    (tmp_path / "mine.yaml").write_text(as_text(search))
    scanned[scanned.index(name)] = "mine.yaml"
    answer = darkscan(*scanned[1:])
    assert answer.code == 0, answer.err
    found = cubes.open(str(tmp_path / own_files.CUBE))
    assert set(found.data_vars) == set(expected.data_vars)
    for variable in set(found.data_vars) - DRAWN:
        np.testing.assert_array_equal(found[variable], expected[variable], str(variable))
