"""Constants, formulas and tables as functions of the mass."""

import numpy as np
import pytest
from pydantic import ValidationError

from scanner.definition import DefinitionError, parse
from scanner.errors import InputError
from scanner.schema.functions import EnergyFunction, Function, NumberFunction


def energy(**given):
    return EnergyFunction.model_validate({"source": "computed", **given})


def number(**given):
    return NumberFunction.model_validate({"source": "computed", **given})


TABLE = {"m": "1, 2, 4 GeV", "value": "10, 20, 80 MeV"}


def test_a_constant_fills_the_shape():
    assert energy(constant="12 MeV")(np.ones((2, 3))).tolist() == [[0.012] * 3] * 2


def test_a_formula_knows_constants():
    value = energy(formula="2 * m_mu + 0.01 * m", unit="GeV")([1.0, 2.0])
    assert value == pytest.approx([0.221316751, 0.231316751])
    assert value.dtype == np.float64


def test_a_constant_formula_fills_the_shape():
    assert number(formula="1 / 4")([1.0, 2.0]).tolist() == [0.25, 0.25]


@pytest.mark.parametrize(
    ("interpolation", "expected"),
    [
        ("linear", [0.01, 0.015, 0.02, 0.05, 0.08]),
        ("log", [0.01, 0.01 * 2**0.5, 0.02, 0.04, 0.08]),
        ("nearest", [0.01, 0.01, 0.02, 0.02, 0.08]),
    ],
)
def test_interpolations_of_a_table(interpolation, expected):
    function = energy(table=TABLE, interpolation=interpolation)
    assert function([1.0, 1.5, 2.0, 3.0, 4.0]) == pytest.approx(expected, rel=1e-14)


def test_pchip_rises_with_its_table_and_hits_it():
    function = energy(table=TABLE, interpolation="pchip")
    fine = function(np.linspace(1, 4, 301))
    assert np.all(np.diff(fine) > 0)
    assert function([1.0, 2.0, 4.0]) == pytest.approx([0.01, 0.02, 0.08], rel=1e-15)


def test_a_table_gives_back_its_own_values_to_the_bit():
    table = {"m": "0.1, 0.3, 0.7 GeV", "value": "0.1, 0.3, 0.2 GeV"}
    assert energy(table=table)([0.1, 0.3, 0.7]).tolist() == [0.1, 0.3, 0.2]


def test_values_do_not_depend_on_how_many_are_asked_for():
    function = energy(table=TABLE, interpolation="log")
    masses = np.linspace(1, 4, 1001)
    assert np.array_equal(function(masses), [function(mass) for mass in masses])


def test_outside_of_a_table_is_an_error_unless_clamped():
    with pytest.raises(InputError) as caught:
        energy(table=TABLE)([1.5, 4.5])
    assert str(caught.value) == (
        "m = 4.5 GeV is outside of the table, which covers 1 to 4 GeV: "
        "extend the table, or state 'outside: clamp'"
    )
    with pytest.raises(InputError, match="m = nan GeV is outside"):
        energy(table=TABLE)([np.nan])
    assert energy(table=TABLE, outside="clamp")([0.5, 4.5]).tolist() == [0.01, 0.08]


def test_a_table_of_two_axes():
    table = {"m": "1, 2 GeV", "ctau": "0, 10, 20 cm", "value": [[0, 1, 2], [10, 11, 12]]}
    function = number(table=table)
    assert function(1.5, ctau=15.0) == pytest.approx(6.5)
    assert function([1.0, 2.0], ctau=[0.0, 20.0]).tolist() == [0.0, 12.0]
    assert function.variables == ("m", "ctau")
    with pytest.raises(InputError, match="is called without ctau"):
        function(1.0)


def test_the_mass_takes_the_place_of_its_axis():
    function = number(table={"m_alp": "1, 2 GeV", "value": [0.1, 0.3]})
    assert function([1.5]) == pytest.approx([0.2])
    assert function([1.5], splitting=3.0, m_alp=1.0) == pytest.approx([0.1])


def test_a_table_from_a_file(tmp_path):
    (tmp_path / "resolution.csv").write_text("# computed\nm [GeV],value [MeV]\n1,10\n2,20\n")
    (tmp_path / "efficiency.csv").write_text("m [GeV],ctau [mm],value [%]\n2,10,4\n1,10,2\n1,20,3\n2,20,5\n")
    text = (
        "extends: bump_hunt\nscan: {m: {range: [1 GeV, 2 GeV]}, ctau: {values: [1 cm, 2 cm]}}\n"
        "resolution: {table: {file: resolution.csv}, source: computed}\n"
        "efficiency: {table: {file: efficiency.csv}, source: computed}\n"
    )
    search = parse(text, folder=tmp_path)
    assert search.signal.resolution(1.5) == pytest.approx(0.015)
    assert search.signal.efficiency([1.0, 2.0], ctau=[1.0, 2.0]) == pytest.approx([0.02, 0.05])
    inline = parse(
        text.replace("{file: resolution.csv}", "{m: '1, 2 GeV', value: '10, 20 MeV'}"), folder=tmp_path
    )
    assert inline.digest == search.digest


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "there is no table 'r.csv' beside the definition"),
        ("m [GeV],value [MeV]\n", "the table 'r.csv' has no rows under a header"),
        ("m [GeV],value [MeV]\n1,2,3\n", "row 2 of 'r.csv' has 3 fields, and the header 2"),
        ("m [GeV],m [GeV]\n1,2\n", "the header of 'r.csv' names a column twice: m, m"),
        ("m [GeV],y [MeV]\n1,2\n", "the table has no 'value'; it holds m, y"),
        ("m [GeV],value\n1,2\n", "'2' has no unit: write a number with its unit, such as '0.2 GeV'"),
        ("m [GeV],value [MeV]\n1,nan\n", "'nan MeV' is not a finite number"),
        ("m [GeV],q [cm],value [MeV]\n1,1,1\n2,2,2\n", "the file's 2 rows are no full grid of 2 m × 2 q"),
    ],
)
def test_wrong_files(tmp_path, content, message):
    if content is not None:
        (tmp_path / "r.csv").write_text(content)
    with pytest.raises(DefinitionError) as caught:
        parse(
            "extends: bump_hunt\nresolution: {table: {file: r.csv}, source: user}\n",
            "my.yaml",
            folder=tmp_path,
        )
    assert message in str(caught.value)
    assert str(caught.value).startswith("my.yaml:2:")


def test_a_file_elsewhere_is_refused(tmp_path):
    (tmp_path / "r.csv").write_text("m [GeV],value [MeV]\n1,2\n")
    (tmp_path / "sub").mkdir()
    with pytest.raises(DefinitionError, match="is not beside the definition"):
        parse(
            "extends: bump_hunt\nresolution: {table: {file: ../r.csv}, source: user}\n",
            folder=tmp_path / "sub",
        )


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "a function has exactly one of constant, formula and table, not 0 of them"),
        ({"constant": "1 GeV", "formula": "m"}, "exactly one of constant, formula and table, not 2"),
        ({"formula": "m"}, "a formula of this dimension is in GeV: add 'unit: GeV'"),
        ({"formula": "m", "unit": "MeV"}, "a formula of this dimension is in GeV: add 'unit: GeV'"),
        ({"table": {"m": "1, 1 GeV", "value": "1, 2 GeV"}}, "m does not rise: 1 comes after 1"),
        ({"table": {"m": "1, 2 GeV", "value": "1, 2, 3 GeV"}}, "the table has 3 values for 2 of m"),
        ({"table": {"value": "1, 2 GeV"}}, "a table has one to 4 axes beside 'value', not 0"),
        ({"table": 3}, "a table is a mapping of axes and 'value', or of 'file'"),
        (
            {"table": {"m": "1 GeV", "q": "1, 2 cm", "value": ["1, 2 GeV", "1 GeV"]}},
            "the rows of the table differ in length: [2, 1]",
        ),
        (
            {"table": TABLE | {"value": "0, 1, 2 GeV"}, "interpolation": "log"},
            "log interpolation wants positive values, and the table holds 0",
        ),
        (
            {"table": {"m": "1 GeV", "q": "1 cm", "value": "1 GeV"}, "interpolation": "pchip"},
            "pchip interpolates along one axis only",
        ),
        ({"table": {"m": "1 GeV", "value": "1 GeV"}, "interpolation": "pchip"}, "pchip wants two values"),
    ],
)
def test_wrong_functions(given, message):
    with pytest.raises((ValidationError, InputError)) as caught:
        energy(**given)
    assert message in str(caught.value)


def test_a_function_of_any_dimension_keeps_its_unit():
    function = Function.model_validate(
        {"table": {"m": "1, 2 GeV", "value": "1, 2 pb"}, "source": "arXiv:2007.13071"}
    )
    assert function.value_unit == "fb"
    assert function(1.5) == 1500.0
