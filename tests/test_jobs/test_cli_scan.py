"""`darkscan plan`, `scan`, `status`, `query`, `project` and `plot`, one after the other as a user does."""

import shutil
from pathlib import Path

import pytest

from jobs.executors import SerialExecutor
from jobs.generate import generate
from jobs.scan import scan
from scanner import definition
from storage import cubes

SIGNALS = {".png": b"\x89PNG", ".pdf": b"%PDF-", ".svg": b"<?xml"}
COUPLED = """
extends: zp_mumu
name: short
scan: {m_zprime: {range: [2.9 GeV, 3.1 GeV]}}
"""


@pytest.fixture(scope="module")
def coupled(tmp_path_factory):
    """A cube with limits on the coupling, from generated events with a signal at 3 GeV."""
    folder = tmp_path_factory.mktemp("coupled")
    search = definition.parse(COUPLED, where="short.yaml")
    signal = {"m_zprime": 3.0, "cross_section": 5.0}
    events = str(folder / "events.zarr")
    generate(search, events, executor=SerialExecutor(), luminosity=10.0, signals=[signal])
    scan(search, events, str(folder / "cube.zarr"), executor=SerialExecutor())
    return folder / "cube.zarr"


def test_plan_says_what_a_scan_consists_of(darkscan, definition_file, store):
    answer = darkscan("plan", definition_file, store, "--rows-a-block", 4096, "--json").json
    assert (answer["rows"], answer["pass_blocks"], answer["method"]) == (30_300, 8, "auto")
    text = darkscan("plan", definition_file, store, "--workers", 2).out
    assert "30,300   1 block" in text
    assert "2 workers, without start-up" in text


def test_scan_resume_overwrite_and_status(darkscan, refused, definition_file, store, tmp_path):
    cube = tmp_path / "cube.zarr"
    start = ("scan", definition_file, store, "-o", cube)
    assert "no scan into" in refused("status", cube)
    first = darkscan(*start, "--json")
    assert first.code == 0
    assert first.err == ""
    assert darkscan("status", cube).out.endswith("blocks done, 0 damaged, complete\n")
    assert "was started before: --resume it, or --overwrite it" in refused(*start)
    again = darkscan(*start, "--resume", "--json").json
    workers = darkscan(*start, "--overwrite", "--workers", 2, "--json").json
    assert first.json["digest"] == again["digest"] == workers["digest"]
    assert first.json["largest_excess"]["mass"] == pytest.approx(2.0, abs=0.02)
    other = darkscan(*start, "--overwrite", "--method", "counting", "--json").json
    assert other["method"] == {"counting": other["windows"]}
    assert "is of another definition, store, method or seed" in refused(*start, "--resume")
    shutil.rmtree(f"{cube}.run")
    assert darkscan("status", cube, "--json").json["complete"]


def test_scan_prints_its_summary(darkscan, definition_file, store, tmp_path):
    text = darkscan("scan", definition_file, store, "-o", tmp_path / "cube.zarr").out
    for word in ("windows", "status", "method", "largest_excess", "digest"):
        assert f"\n  {word} " in text


def test_scan_says_where_the_luminosity_is_from(darkscan, definition_file, store, tmp_path):
    with definition_file.open("a") as text:
        text.write("luminosity: 178 fb^-1\n")
    said = darkscan("scan", definition_file, store, "-o", tmp_path / "cube.zarr", "--json").json["luminosity"]
    assert said == "178 fb^-1, of the definition: state that of your own data by `ingest --luminosity`"
    said = darkscan("scan", "tau_3mu_counts", "-o", tmp_path / "counts.zarr", "--json").json["luminosity"]
    assert said == "424 fb^-1, of the published counts"


def test_query_at_a_point(darkscan, coupled):
    answer = darkscan("query", coupled, "--at", "m_zprime=3.0", "--json").json
    assert answer["at"]["m_zprime"] == pytest.approx(3.0, abs=0.004)
    assert answer["units"]["cross_section_limit"] == "fb"
    assert len(answer["values"]["coupling_limit_expected"]) == 5
    assert answer["axes"]["quantile"] == [0.025, 0.16, 0.5, 0.84, 0.975]
    assert answer["meanings"]["method"] in {"counting", "asymptotic"}
    same = darkscan("query", coupled, "--at", "m_zprime=3000MeV", "--json").json
    assert same == answer


def test_query_without_a_point_is_at_the_largest_excess(darkscan, coupled):
    answer = darkscan("query", coupled, "--json").json
    assert answer["at"]["m_zprime"] == pytest.approx(3.0, abs=0.02)


def test_query_chooses_variables(darkscan, coupled):
    two = ["--variable", "yield_limit", "--variable", "status"]
    assert list(darkscan("query", coupled, *two, "--json").json["values"]) == ["yield_limit", "status"]
    text = darkscan("query", coupled, *two).out
    assert "yield_limit" in text
    assert "efficiency" not in text
    assert "cutflow    all: " in darkscan("query", coupled, "--variable", "cutflow").out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at", "m_zprime=32"], "m_zprime = 32 is outside of the cube, which covers 2.9 to 3.1"),
        (["--at", "mass=3"], "'mass' is no axis of this cube: it has m_zprime"),
        (["--at", "m_zprime=3fb"], "'3fb' is a cross section; an energy wants"),
        (["--at", "m_zprime"], "'m_zprime' is no point: write name=value"),
        (["--at", "m_zprime=3,m_zprime=3.1"], "gives m_zprime twice"),
        (["--at", "m_zprime=nan"], "'nan' is not a finite number"),
        (["--at", "m_zprime=abc"], "'abc' is not a quantity"),
        (["--variable", "coupling"], "'coupling' is no variable of this cube: it has"),
        (["--configuration", "heavy"], "'configuration' is no axis of this cube"),
    ],
)
def test_a_wrong_question_is_refused(refused, coupled, arguments, message):
    assert message in refused("query", coupled, *arguments)


def test_project_writes_a_cube_with_luminosities(darkscan, refused, coupled, tmp_path):
    reach = tmp_path / "reach.zarr"
    ask = ("project", coupled, "--luminosity", "1/ab,50/ab", "--at", "m_zprime=3")
    answer = darkscan(*ask, "-o", reach, "--json").json
    assert answer["luminosity"] == [1000.0, 50000.0]
    low, high = answer["median"]["coupling_limit_expected"]
    assert low > high > 0.0
    assert cubes.open(str(reach)).sizes["luminosity"] == 2
    assert "a cube is there; choose another name" in refused(*ask, "-o", reach)
    at = darkscan("query", reach, "--at", "m_zprime=3,luminosity=1/ab", "--json").json
    assert at["values"]["coupling_limit_expected"][2] == low
    assert "50000 fb^-1: " in darkscan("query", reach).out
    assert "is a projection already" in refused("project", reach, "--luminosity", "1/ab")


def test_scenarios_order_as_they_must(darkscan, coupled):
    medians = {
        name: darkscan("project", coupled, "--luminosity", "50/ab", "--scenario", name, "--json").json[
            "median"
        ]["yield_limit_expected"][0]
        for name in ("statistical", "improving", "constant")
    }
    assert medians["statistical"] < medians["improving"] <= medians["constant"]
    text = darkscan("project", coupled, "--luminosity", "1/ab").out
    assert "cross_section_limit [fb]" in text
    assert "1000 fb^-1" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--luminosity", "1"], "'1' has no unit"),
        (["--luminosity", ""], "write a list such as 1/ab,5/ab"),
        (["--luminosity", "1/ab,"], "write a list such as 1/ab,5/ab"),
        (["--luminosity", "5GeV"], "'5GeV' is an energy; a luminosity wants"),
        (["--luminosity", "0/ab"], "give positive ones"),
        (["--luminosity", "1/ab", "--scenario", "wild"], "take one of statistical, constant, improving"),
        (["--luminosity", "1/ab", "--at", "m_zprime=50"], "is outside of the cube"),
    ],
)
def test_a_wrong_projection_is_refused(refused, coupled, arguments, message):
    assert message in refused("project", coupled, *arguments)


def test_a_cube_without_luminosity_cannot_be_projected(darkscan, refused, definition_file, store, tmp_path):
    darkscan("scan", definition_file, store, "-o", tmp_path / "cube.zarr")
    assert "this cube has no luminosity" in refused("project", tmp_path / "cube.zarr", "--luminosity", "1/ab")


@pytest.mark.parametrize(
    ("suffix", "variable"),
    [(".png", "all"), (".pdf", "coupling"), (".svg", "yield"), (".png", "cross_section")],
)
def test_plot_writes_what_the_suffix_says(darkscan, coupled, tmp_path, suffix, variable):
    path = tmp_path / f"limits{suffix}"
    assert darkscan("plot", coupled, "-o", path, "--variable", variable).out == f"wrote {path}\n"
    assert path.read_bytes().startswith(SIGNALS[suffix])


@pytest.mark.parametrize(
    ("output", "arguments", "message"),
    [
        ("limits.jpg", [], "a plot ends in one of .png, .pdf, .svg, not in '.jpg'"),
        ("limits", [], "a plot ends in one of .png, .pdf, .svg"),
        ("nowhere/limits.png", [], "the folder"),
        ("limits.png", ["--variable", "mass"], "the cube has no limit on 'mass'"),
    ],
)
def test_a_wrong_plot_is_refused(refused, coupled, tmp_path, output, arguments, message):
    assert message in refused("plot", coupled, "-o", tmp_path / output, *arguments)


def test_verify_finds_what_is_sound(darkscan, store, coupled):
    assert darkscan("verify", store).out == f"{store}: sound\n"
    assert darkscan("verify", coupled, "--json").json == {"place": str(coupled), "problems": []}


@pytest.mark.parametrize("command", ["query", "plot", "project", "verify"])
def test_a_place_that_is_no_cube_is_named(refused, command, tmp_path):
    options = {"plot": ["-o", "a.png"], "project": ["--luminosity", "1/ab"]}.get(command, [])
    message = refused(command, tmp_path / "nothing.zarr", *options)
    assert str(tmp_path / "nothing.zarr") in message
    assert "limit cube" in message or "darkscan cube" in message


def test_a_store_is_never_thrown_away_for_a_cube(darkscan, refused, definition_file, store):
    start = ("scan", definition_file, store, "-o", store)
    assert "is there already: choose another -o" in refused(*start)
    assert "holds other things" in refused(*start, "--overwrite")
    assert darkscan("verify", store).code == 0
    assert Path(store).is_dir()
