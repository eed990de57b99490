"""`darkscan searches`."""

import json

import pytest

from jobs.commands import output
from scanner import definition


def test_list_names_what_is_built_in(darkscan):
    text = darkscan("searches", "list").out
    found = darkscan("searches", "list", "--json").json
    assert [entry["name"] for entry in found] == list(definition.names())
    assert all(entry["name"] in text for entry in found)
    assert {"zp_mumu", "s_mumu", "alp_gg", "bump_hunt"} <= {entry["name"] for entry in found}


def test_list_tells_reference_grid_and_method(darkscan, monkeypatch):
    monkeypatch.setattr(output, "WIDE", 200)
    (line,) = [line for line in darkscan("searches", "list").out.splitlines() if " zp_mumu " in line]
    found = {entry["name"]: entry for entry in darkscan("searches", "list", "--json").json}
    windows = darkscan("searches", "validate", "zp_mumu", "--json").json["windows"]
    assert found["zp_mumu"]["points"] == sum(windows.values())
    told = [
        "Belle II 2403.02841",
        " 178 ",
        "m_zprime 0.212–9 GeV",
        f"{sum(windows.values()):,}",
        "binned fit",
        "90%",
    ]
    assert all(text in line for text in told)
    assert (found["hnl_tau"]["points"], found["hnl_tau"]["extraction"]) == (14 * 25, "published counts")
    assert 8500 < found["dark_higgsstrahlung"]["points"] < 9500
    assert found["idm_dark_higgs"]["configurations"] == 32


def test_the_list_is_readable_in_a_hundred_columns(darkscan, monkeypatch):
    monkeypatch.setattr(output, "WIDE", 100)
    lines = darkscan("searches", "list").out.splitlines()
    assert max(map(len, lines)) <= 100
    first = [line.split()[0] for line in lines if line[:3] not in ("", "   ") and line.strip()]
    assert set(definition.names()) <= set(first)


@pytest.mark.parametrize("name", definition.names())
def test_what_show_prints_is_valid_and_the_same_search(darkscan, tmp_path, name):
    copy = tmp_path / "copy.yaml"
    copy.write_text(darkscan("searches", "show", name).out)
    assert definition.load(copy).digest == definition.load(name).digest


def test_new_writes_a_definition_that_is_valid(darkscan, refused, tmp_path):
    path = tmp_path / "mine.yaml"
    assert f"wrote {path}" in darkscan("searches", "new", path).out
    assert "is valid" in darkscan("searches", "validate", path).out
    assert "is there already: choose another name" in refused("searches", "new", path)
    nowhere = tmp_path / "no" / "mine.yaml"
    assert f"{nowhere} cannot be written (No such file or directory)" in refused("searches", "new", nowhere)


def test_validate_counts_the_windows(darkscan):
    answer = darkscan("searches", "validate", "zp_mumu", "--json").json
    assert answer["windows"]["all"] > 3000
    assert f"{answer['windows']['all']} windows" in darkscan("searches", "validate", "zp_mumu").out


def test_validate_counts_the_points_of_counting_windows(darkscan):
    answer = darkscan("searches", "validate", "zp_inv_emu", "--json")
    assert answer.code == 0
    assert answer.json["windows"]["all"] > 300


@pytest.mark.parametrize("name", definition.names())
def test_every_search_is_valid(darkscan, name):
    assert f"search {name!r} is valid" in darkscan("searches", "validate", name).out


def test_validate_names_line_and_remedy(refused, tmp_path):
    path = tmp_path / "wrong.yaml"
    path.write_text("extends: bump_hunt\nresolutoin: 3 MeV\n")
    assert f"{path}:2:1: resolutoin: unknown key 'resolutoin'; did you mean 'resolution'?" in refused(
        "searches", "validate", path
    )


@pytest.mark.parametrize("command", ["show", "validate"])
def test_an_unknown_search_lists_the_known_ones(refused, command):
    assert f"built in: {', '.join(definition.names())}" in refused("searches", command, "zprime")


def test_schema_is_a_json_schema(darkscan):
    schema = darkscan("searches", "schema").json
    assert schema["type"] == "object"
    assert "channels" in json.dumps(schema)
