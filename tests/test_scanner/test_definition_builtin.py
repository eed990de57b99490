"""The built-in searches, the canonical text, the template and the JSON schema."""

import jsonschema
import numpy as np
import pytest
from pydantic import BaseModel
from ruamel.yaml import YAML

from scanner import definition, shapes
from scanner.definition import from_json, json_schema, load, names, parse, template, text
from scanner.errors import InputError
from scanner.models import MODELS
from scanner.schema.channels import Channel
from scanner.schema.densities import SHAPE_CONSTANTS, SHAPE_PARAMETERS
from scanner.schema.functions import Function

BUILT_IN = (
    "alp_gg",
    "alp_inv",
    "ap_inv",
    "ap_vis",
    "b_ka",
    "b_ks_llp",
    "b_lambda_inv",
    "bump_hunt",
    "dark_higgsstrahlung",
    "dark_higgsstrahlung_6",
    "darkonium",
    "hnl_tau",
    "idm_dark_higgs",
    "s_mumu",
    "tau_3mu",
    "tau_3mu_counts",
    "tau_lalpha",
    "tautau_ll",
    "y1s_inv",
    "zp_inv",
    "zp_inv_emu",
    "zp_mumu",
    "zp_tautau",
)
WITHOUT_MODEL = (
    "b_lambda_inv",
    "bump_hunt",
    "darkonium",
    "tau_3mu",
    "tau_3mu_counts",
    "y1s_inv",
    "zp_inv_emu",
)


def test_the_names():
    assert names() == BUILT_IN


def parts(thing):
    """Every model inside a model."""
    if isinstance(thing, BaseModel):
        yield thing
        for field in type(thing).model_fields:
            yield from parts(getattr(thing, field))
    elif isinstance(thing, dict):
        for item in thing.values():
            yield from parts(item)
    elif isinstance(thing, tuple):
        for item in thing:
            yield from parts(item)


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_number_has_a_source(name):
    search = load(name)
    assert sum(isinstance(part, Function) for part in parts(search)) >= 3
    for part in parts(search):
        if isinstance(part, Function) or (isinstance(part, Channel) and part.select):
            assert part.source
        elif "source" in type(part).model_fields and not isinstance(part, Channel):
            required = type(part).model_fields["source"].is_required()
            assert part.source or not required
    assert search.source_text == text(name)


@pytest.mark.parametrize("name", BUILT_IN)
def test_the_canonical_text_restores_the_search(name):
    search = load(name)
    again = from_json(search.canonical)
    assert again == search.model_copy(update={"source_text": ""})
    assert again.digest == search.digest
    masses = np.linspace(search.scan_axis.low, search.scan_axis.high, 1001)
    if search.signal.stated_resolution is not None:
        assert np.array_equal(again.signal.resolution(masses), search.signal.resolution(masses))
    assert np.array_equal(again.background.order_at(masses), search.background.order_at(masses))


@pytest.mark.parametrize("name", [name for name in BUILT_IN if name not in WITHOUT_MODEL])
def test_their_models_are_known(name):
    model = load(name).model
    assert model.final_state in (*MODELS[model.name].final_states, None)


def test_the_shapes_ask_for_the_parameters_that_the_engine_wants():
    wanted = {name: shape.parameters for name, shape in shapes.SIGNALS.items() if shape.parameters}
    assert wanted.pop("voigt") == ("width",)
    assert wanted == SHAPE_PARAMETERS
    constants = {name: shape.constants for name, shape in shapes.BACKGROUNDS.items() if shape.constants}
    assert constants == SHAPE_CONSTANTS


def test_zp_mumu():
    search = load("zp_mumu")
    assert (search.luminosity, search.confidence_level, search.sqrt_s) == (178.0, 0.9, 10.58)
    assert (search.scan_axis.name, search.scan_axis.low, search.scan_axis.high) == ("m_zprime", 0.212, 9.0)
    assert search.scan_axis.step == 0.5
    assert np.all(np.diff(search.signal.resolution(np.linspace(0.212, 9.0, 101))) > 0)
    assert 0.001 < search.signal.resolution(1.0) < 0.005
    assert search.background.order_at([0.3, 8.0]).tolist() == [1, 1]
    assert search.published.source == "arXiv:1606.03501"
    assert (search.published.quantity, search.published.unit) == ("coupling", "1")
    assert search.published.limit(1.0) == pytest.approx(2.0e-3, rel=1e-12)
    assert "0.046 to 0.97 fb" in search.notes


def test_s_mumu_differs_from_zp_mumu_in_the_particle_only():
    scalar, vector = load("s_mumu"), load("zp_mumu")
    assert scalar.scan_axis.name == "m_scalar"
    assert list(scalar.scan) == ["m_scalar"]
    assert scalar.published is None
    assert (scalar.channels, scalar.regions) == (vector.channels, vector.regions)


def test_alp_gg():
    search = load("alp_gg")
    assert [(r.name, r.low, r.high) for r in search.regions] == [
        ("diphoton", 0.2, 6.85),
        ("recoil", 6.85, 9.7),
    ]
    assert [r.observable for r in search.regions] == ["m_gg**2", "m_recoil**2"]
    assert search.background.order_at([0.4, 0.5, 6.8, 6.85, 9.0]).tolist() == [2, 4, 4, 5, 5]
    assert search.signal.efficiency([0.2, 9.7]) == pytest.approx([0.20, 0.34], rel=0.15)
    assert search.published.curve({})[1] == 61.0
    assert search.published.unit == "fb"
    (veto,) = search.vetoes
    low, high = veto.intervals(search.signal.resolution)[1]
    assert (low + high) / 2 == pytest.approx(0.548)
    assert (high - low) / 2 == pytest.approx(3 * search.signal.resolution(0.548))


SMALL = "extends: bump_hunt\nrange: [1 GeV, 2 GeV]\norder: 2\nconfidence_level: 0.9\n"


def test_the_digest_sees_neither_comments_nor_order_nor_file(tmp_path):
    first = parse(SMALL)
    lines = SMALL.splitlines()
    turned = "# a comment\n" + "\n".join([lines[0], *reversed(lines[1:])]) + "\n"
    path = tmp_path / "elsewhere.yaml"
    path.write_text(turned.replace("1 GeV", "1000 MeV").replace("0.9", "90%"))
    assert load(path).digest == first.digest
    assert load(str(path)).digest == first.digest


@pytest.mark.parametrize(
    ("old", "new"),
    [("1 GeV", "1.0000001 GeV"), ("2 GeV", "3 GeV"), ("order: 2", "order: 3"), ("0.9", "0.91")],
)
def test_the_digest_sees_every_number(old, new):
    assert parse(SMALL.replace(old, new)).digest != parse(SMALL).digest


def test_the_order_of_axes_has_a_meaning():
    axes = ["m_a: {range: [1 GeV, 2 GeV]}", "m_b: {range: [1 GeV, 2 GeV]}"]
    first = parse(f"extends: bump_hunt\nscan: {{{', '.join(axes)}}}\n")
    second = parse(f"extends: bump_hunt\nscan: {{{', '.join(reversed(axes))}}}\n")
    assert first.digest != second.digest
    assert from_json(second.canonical).scan_axis.name == "m_b"


def test_a_search_is_frozen():
    search = load("bump_hunt")
    with pytest.raises(ValueError, match="frozen"):
        search.name = "other"


def test_foreign_canonical_text_is_refused():
    for content in (
        "",
        "{}",
        "[]",
        '{"scan": [{"name": "m"}]}',
        load("alp_gg").canonical.replace("beam", "bam"),
    ):
        with pytest.raises(InputError, match="not a stored search definition"):
            from_json(content)


def test_the_template_is_valid_and_commented():
    search = parse(template())
    assert search.name == "my_search"
    assert template().count("#") > 10


def test_unknown_built_in_text():
    with pytest.raises(InputError, match=r"no built-in search 'zp'.*built in: alp_gg"):
        text("zp")


@pytest.mark.parametrize("source", [*map(text, BUILT_IN), template()], ids=[*BUILT_IN, "template"])
def test_the_json_schema_accepts_what_is_valid(source):
    validator = jsonschema.Draft202012Validator(json_schema())
    assert list(validator.iter_errors(YAML(typ="safe").load(source))) == []


@pytest.mark.parametrize(
    "line",
    [
        "nmae: x",
        "signal: {shap: gaussian}",
        "window: {bins: many}",
        "method: {limit: maybe}",
        "luminosity: 3",
    ],
)
def test_the_json_schema_refuses_what_is_wrong(line):
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert list(jsonschema.Draft202012Validator(schema).iter_errors(YAML(typ="safe").load(line)))


def test_a_definition_is_read_from_its_own_folder(tmp_path):
    (tmp_path / "resolution.csv").write_text("m [GeV],value [MeV]\n1,10\n10,20\n")
    path = tmp_path / "mine.yml"
    path.write_text("extends: bump_hunt\nresolution: {table: {file: resolution.csv}, source: computed}\n")
    assert definition.load(path).signal.resolution(10.0) == 0.02
