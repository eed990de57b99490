"""Quantities with units."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scanner import units
from scanner.errors import InputError


@pytest.mark.parametrize(
    ("text", "dimension", "value"),
    [
        ("0.2 GeV", "energy", 0.2),
        ("70 MeV", "GeV", 0.07),
        ("1.8 MeV", "energy", 0.0018),
        ("7 TeV", "energy", 7000.0),
        ("178 fb^-1", "luminosity", 178.0),
        ("178/fb", "luminosity", 178.0),
        ("178 fb⁻¹", "luminosity", 178.0),
        ("178 fb-1", "luminosity", 178.0),
        ("1/ab", "luminosity", 1000.0),
        ("50 ab^-1", "fb^-1", 50000.0),
        ("500 pb^-1", "luminosity", 0.5),
        ("5 fb", "cross section", 5.0),
        ("0.3 pb", "fb", 300.0),
        ("1.0%", "number", 0.01),
        ("34 %", "1", 0.34),
        (0.34, "number", 0.34),
        (3, "number", 3.0),
        ("836e6", "number", 836e6),
        ("10 cm", "length", 10.0),
        ("1 mm", "length", 0.1),
        ("100 m", "cm", 10000.0),
        ("180 deg", "angle", math.pi),
        ("0.2 GeV²", "energy squared", 0.2),
        ("1 TeV^-1", "inverse energy", 0.001),
        ("-0.5 GeV", "energy", -0.5),
        ("20 resolution", "distance in resolutions", 20.0),
        (".5ns", "time", 0.5),
    ],
)
def test_quantities(text, dimension, value):
    assert units.parse(text, dimension) == value


BARE = "has no unit: write a number with its unit, such as"
NO_QUANTITY = "is not a quantity: write a number with its unit, such as '0.2 GeV'"


@pytest.mark.parametrize(
    ("text", "dimension", "message"),
    [
        (0.2, "energy", f"0.2 {BARE} '0.2 GeV'"),
        ("178", "luminosity", f"'178' {BARE} '178 fb^-1'"),
        (
            "5 cm",
            "luminosity",
            "'5 cm' is a length; a luminosity wants nb^-1, pb^-1, fb^-1 or ab^-1, such as '178 fb^-1'",
        ),
        ("5 GeV", "number", "'5 GeV' is an energy; a number wants %, such as '34%'"),
        (
            "5 gev",
            "energy",
            "'5 gev': unknown unit 'gev'; did you mean 'GeV'?; known units: eV, keV, MeV, GeV, TeV",
        ),
        ("5 parsec", "length", "'5 parsec': unknown unit 'parsec'; known units: um, µm, mm, cm, m, km"),
        ("nan GeV", "energy", "'nan GeV' is not a finite number"),
        ("-inf GeV", "energy", "'-inf GeV' is not a finite number"),
        ("1e999 GeV", "energy", "'1e999 GeV' is not a finite number"),
        ("1e307 ab^-1", "luminosity", "'1e307 ab^-1' is not a finite number"),
        (math.nan, "number", "nan is not a finite number"),
        (math.inf, "number", "inf is not a finite number"),
        ("GeV", "energy", f"'GeV' {NO_QUANTITY}"),
        ("", "energy", f"'' {NO_QUANTITY}"),
        (True, "number", f"True {NO_QUANTITY}"),
        (None, "energy", f"None {NO_QUANTITY}"),
        ([1], "energy", f"[1] {NO_QUANTITY}"),
        ("1" * 300 + " GeV", "energy", f"'{'1' * 55}...' {NO_QUANTITY}"),
    ],
)
def test_what_is_wrong_is_said(text, dimension, message):
    with pytest.raises(InputError) as caught:
        units.parse(text, dimension)
    assert str(caught.value) == message


def test_lists_of_quantities():
    assert units.sequence("0.8, 1.8, 2.8 MeV") == ((0.0008, 0.0018, 0.0028), "GeV")
    assert units.sequence(["0.2 GeV", "70 MeV"]) == ((0.2, 0.07), "GeV")
    assert units.sequence("0.2 GeV, 70 MeV", "energy") == ((0.2, 0.07), "GeV")
    assert units.sequence([1, 2.5]) == ((1.0, 2.5), "1")
    assert units.sequence("20, 34 %", "number") == ((0.2, 0.34), "1")
    assert units.sequence("3.097 GeV") == ((3.097,), "GeV")


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ([0.9, "1.13 GeV"], "0.9 has no unit: write a number with its unit, such as '0.2 GeV'"),
        (["1 cm", "1 GeV"], "['1 cm', '1 GeV'] mixes the units GeV and cm: one list has one unit"),
        ([], "the list of quantities is empty"),
        ("1,, 2 GeV", "'' is not a quantity: write a number with its unit, such as '0.2 GeV'"),
    ],
)
def test_wrong_lists(raw, message):
    with pytest.raises(InputError) as caught:
        units.sequence(raw)
    assert str(caught.value) == message


def test_an_unknown_dimension_is_refused():
    with pytest.raises(InputError, match="unknown unit 'lenght'"):
        units.parse("1 cm", "lenght")


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(finite, st.sampled_from(sorted(units.CANONICAL.values())))
def test_what_is_written_is_read_back(value, unit):
    assert units.parse(units.format_quantity(value, unit), unit) == value


@given(st.floats(1e-200, 1e200), st.sampled_from(sorted(units.DIMENSION)))
def test_a_unit_scales_by_its_size(value, unit):
    size = float(units.TABLE[units.DIMENSION[unit]][1][unit])
    assert units.parse(f"{value!r} {unit}", unit) == pytest.approx(value * size, rel=1e-15)


@given(st.text(max_size=40), st.sampled_from(sorted(units.TABLE)))
def test_any_text_gives_a_finite_number_or_an_error(text, dimension):
    try:
        value = units.parse(text, dimension)
    except InputError:
        return
    assert math.isfinite(value)
