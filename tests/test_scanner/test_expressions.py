"""The cut language: what it means, and what it refuses with which message."""

import time

import numpy as np
import pytest

from scanner.errors import InputError
from scanner.expressions import parse
from scanner.expressions.nodes import Name, power_steps

NAMES = ("x", "y", "m_mumu", "sqrt_s")

HOSTILE = {
    "attribute": ("x.real", "attributes are not part"),
    "attribute of a call": ("abs(x).real", "attributes are not part"),
    "attribute of a number": ("1..real", "attributes are not part"),
    "method call": ("x.mean()", "attributes are not part"),
    "class walk": ("().__class__.__bases__", "attributes are not part"),
    "dunder name": ("__builtins__ > 0", "must not begin with `__`"),
    "dunder import": ("__import__(x)", "must not begin with `__`"),
    "built-in function": ("open(x)", "unknown function `open`"),
    "eval": ("eval(x)", "unknown function `eval`"),
    "exec": ("exec(x)", "unknown function `exec`"),
    "misspelt function": ("sqr(x)", "did you mean `sqrt`?"),
    "misspelt name": ("m_mumuu > 1", "did you mean `m_mumu`?"),
    "unknown name": ("zzz > 1", "unknown name `zzz`; known are m_mumu, sqrt_s, x, y"),
    "function as a value": ("abs > 1", "`abs` is a function; write `abs(…)`"),
    "lambda": ("lambda: 1", "`lambda` is not part"),
    "called lambda": ("(lambda x: x)(1)", "`lambda` is not part"),
    "list comprehension": ("[a for a in x]", "indexing and lists"),
    "generator": ("max(a for a in x)", "`for` is not part"),
    "set": ("{x, y}", "braces are not part"),
    "dictionary": ("{1: x}", "braces are not part"),
    "walrus": ("(x := 1) > 0", "assignment is not part"),
    "assignment": ("x = 1", "write `==` to compare"),
    "augmented assignment": ("x += 1", "write `==` to compare"),
    "f-string": ("f'{x}'", "text is not part"),
    "string": ("'x' < y", "text is not part"),
    "double-quoted string": ('"x"', "text is not part"),
    "bytes": ("b'x'", "text is not part"),
    "back quotes": ("`id`", "back quotes"),
    "subscript": ("x[0] > 1", "indexing and lists"),
    "slice": ("x[1:2]", "indexing and lists"),
    "star argument": ("max(*x)", "takes plain arguments only"),
    "star": ("*x", "invalid syntax"),
    "two stars": ("max(**x)", "takes plain arguments only"),
    "keyword argument": ("max(x, key=y)", "keyword arguments"),
    "import": ("import os", "`import` is not part"),
    "from import": ("from os import path", "`from` is not part"),
    "huge whole number": ("x < " + "9" * 5000, "characters"),
    "long whole number": ("x < " + "9" * 60, "a number of 60 characters"),
    "number too large": ("x < 1e400", "the number is too large"),
    "number beyond bound": ("x < 1e101", "the number is too large"),
    "power tower": ("10**10**10", "an exponent is from -16 to 16"),
    "large power": ("9**9**9", "an exponent is from -16 to 16"),
    "large exponent": ("x**17", "an exponent is from -16 to 16"),
    "zero exponent": ("x**0", "an exponent is from -16 to 16 and not 0"),
    "variable exponent": ("x**y > 1", "an exponent must be a constant"),
    "constant beyond bound": ("x < 1e90 * 1e90", "its constant part is 1e+180"),
    "division by zero": ("x < 1 / 0", "its constant part is inf"),
    "constant NaN": ("x < 0 / 0", "its constant part is nan"),
    "root of a negative number": ("x < sqrt(-1)", "its constant part is nan"),
    "nan": ("x < nan", "unknown name `nan`"),
    "inf": ("x < inf", "unknown name `inf`"),
    "1000 parentheses": ("(" * 1000 + "x" + ")" * 1000, "nest deeper than 40"),
    "3000 signs": ("-" * 3000 + "x", "deep"),
    "100 signs": ("-" * 100 + "x", "nests deeper than 80"),
    "100 nots": ("not " * 100 + "x > 1", "nests deeper than 80"),
    "very long": ("x > " + "1 + " * 2000 + "1", "at most 4000"),
    "many parts": (" + ".join(["x"] * 600), "deep"),
    "long chain of comparisons": (" < ".join(["x"] * 600), "more than 500 parts"),
    "long chain of and": (" and ".join(["x > y"] * 300), "more than 500 parts"),
    "NUL character": ("x\0 > 1", "NUL"),
    "homoglyph": ("х > 1", "U+0445 is not part"),
    "full-width letter": ("ｘ > 1", "U+FF58 is not part"),
    "ligature": ("ﬁt > 1", "U+FB01 is not part"),
    "superscript": ("x² > 1", "U+00B2 is not part"),
    "full-width digit": ("x > １", "U+FF11 is not part"),
    "bidirectional control": ("x \u202e> 1", "U+202E is not part"),
    "zero-width space": ("x\u200b > 1", "U+200B is not part"),
    "surrogate": ("x\ud800 > 1", "U+D800 is not part"),
    "form feed": ("x\f> 1", "U+000C is not part"),
    "bitwise and": ("x & y", "write `and`"),
    "bitwise or": ("x | y", "write `or`"),
    "exclusive or": ("x ^ 2", "write `**` for a power"),
    "inversion": ("~x", "write `not`"),
    "shift left": ("1 << 70", "shifts are not part"),
    "shift right": ("x >> 1", "shifts are not part"),
    "C's and": ("x > 1 && y > 1", "write `and`"),
    "C's or": ("x > 1 || y > 1", "write `or`"),
    "C's not": ("!x", "write `not`"),
    "C's conditional": ("x ? 1 : 2", "write `a if condition else b`"),
    "matrix product": ("x @ y", "`@` is not part"),
    "remainder": ("x % 2", "`%` is not part"),
    "whole division": ("x // 2", "`FloorDiv` is not part"),
    "complex": ("1j > x", "complex numbers"),
    "complex with exponent": ("1e5J > x", "complex numbers"),
    "hexadecimal": ("0x10 > x", "decimal digits"),
    "octal": ("0o17 > x", "decimal digits"),
    "underscore in a number": ("1_000 > x", "decimal digits"),
    "number and word": ("1and x", "decimal digits"),
    "leading zero": ("007 > x", "leading zeros"),
    "await": ("await x", "`await` is not part"),
    "yield": ("yield x", "`yield` is not part"),
    "None": ("x == None", "`None` is not part"),
    "True": ("True and x > 1", "`True` is not part"),
    "is": ("x is y", "`is` is not part"),
    "in": ("x in y", "`in` is not part"),
    "semicolon": ("x > 1; y", "one expression only"),
    "newline": ("x > 1\ny > 1", "an expression is one line"),
    "carriage return": ("x > 1\ry > 1", "an expression is one line"),
    "comment": ("x > 1 # always", "comments are not part"),
    "type comment": ("x > 1 # type: ignore", "comments are not part"),
    "backslash": ("x > \\\n1", "backslashes are not part"),
    "dollar": ("$HOME", "`$` is not part"),
    "annotation": ("x: 1", "`:` is not part"),
    "tuple": ("x, y", "a list of values is not part"),
    "empty tuple": ("()", "a list of values is not part"),
    "empty": ("", "it is empty"),
    "blank": ("   ", "it is empty"),
    "call of a number": ("1(x)", "only a function by its name"),
    "call of a call": ("abs(x)(y)", "only a function by its name"),
    "call of a name": ("x(y)", "unknown function `x`"),
    "too few arguments": ("atan2(x)", "`atan2` takes 2 argument(s), not 1"),
    "too many arguments": ("sqrt(x, y)", "`sqrt` takes 1 argument(s), not 2"),
    "no arguments": ("min()", "`min` takes 2 to 16 argument(s), not 0"),
    "too many for max": ("max(" + ", ".join(["x"] * 17) + ")", "not 17"),
    "unclosed": ("(x > 1", "1 `(` without a `)`"),
    "unopened": ("x > 1)", "a `)` without its `(`"),
    "two names": ("x y", "invalid syntax"),
    "missing operand": ("x >", "invalid syntax"),
    "doubled operator": ("x > < y", "invalid syntax"),
    "number as condition": ("x and y > 1", "a condition is due here"),
    "negated number": ("not x", "a condition is due here"),
    "number as test": ("1 if x else 2", "a condition is due here"),
    "condition as number": ("(x > 1) + 1", "a number is due here"),
    "condition as argument": ("abs(x > 1)", "a number is due here"),
    "compared conditions": ("(x > 1) == (y > 1)", "a number is due here"),
    "mixed branches": ("x if x > 1 else y > 2", "both values must be numbers"),
    "constants compared": ("1 < 2", "compares only constants"),
    "else without if": ("x else y", "invalid syntax"),
    "if without else": ("x if y > 1", "expected 'else'"),
}


@pytest.mark.parametrize(("text", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_expression_is_refused_with_its_reason(text, message):
    started = time.perf_counter()
    with pytest.raises(InputError) as refused:
        parse(text, NAMES, where="search.yaml:7")
    assert message in str(refused.value)
    assert str(refused.value).startswith("search.yaml:7: ")
    assert time.perf_counter() - started < 1.0


@pytest.mark.parametrize("text", [text for text, _ in HOSTILE.values()], ids=HOSTILE.keys())
def test_a_refusal_is_short_and_shows_the_culprit(text):
    with pytest.raises(InputError) as refused:
        parse(text, NAMES)
    head, shown, caret = str(refused.value).split("\n")
    assert len(head) < 500
    assert len(shown) < 110
    assert caret.strip() == "^"
    assert len(caret) <= len(shown) + 1


def test_the_caret_stands_under_the_culprit():
    with pytest.raises(InputError) as refused:
        parse("x > 1 and pt < 3", NAMES)
    _, shown, caret = str(refused.value).split("\n")
    assert shown[caret.index("^") :].startswith("pt < 3")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3", 7.0),
        ("-2**2", -4.0),
        ("(-2)**2", 4.0),
        ("7 / 2", 3.5),
        ("2**-1 + 4**0.5", 2.5),
        ("2**(1 / 2)", np.sqrt(2.0)),
        ("x**3", 27.0),
        ("x**-2", 1.0 / 9.0),
        ("min(x, y, 5) + max(x, y)", 7.0),
        ("hypot(x, y) if x > 0 else -1", 5.0),
        ("atan2(y, x)", np.arctan2(4.0, 3.0)),
        ("abs(-x) + sqrt(y)", 5.0),
        ("log(exp(x))", np.log(np.exp(3.0))),
        ("sin(x)**2 + cos(x)**2 + tan(x)", np.sin(3.0) ** 2 + np.cos(3.0) ** 2 + np.tan(3.0)),
        ("  +x  ", 3.0),
    ],
)
def test_numbers(text, value):
    assert float(parse(text).evaluate({"x": 3, "y": np.float32(4)})) == value


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 < x < 3", [False, True, False, False]),
        ("x <= 1 or x > 2", [True, False, True, False]),
        ("not (x < 2)", [False, True, True, True]),
        ("x != x", [False, False, False, True]),
        ("x == 2 and not x < 1", [False, True, False, False]),
        ("x > 1 if x < 2.5 else x > 5", [False, True, False, False]),
        ("min(x, 2) == 2", [False, True, True, False]),
    ],
)
def test_conditions_treat_nan_as_numpy_does(text, expected):
    x = np.array([1.0, 2.0, 3.0, np.nan], dtype=np.float32)
    assert parse(text).evaluate({"x": x}).tolist() == expected


def test_evaluation_widens_before_arithmetic():
    x = np.array([0.1], dtype=np.float32)
    assert parse("x * 3").evaluate({"x": x})[0] == np.float64(x[0]) * 3.0
    assert parse("x * 3").evaluate({"x": x}).dtype == np.float64
    assert parse("x - 1").evaluate({"x": np.array([0], dtype=np.uint8)})[0] == -1.0


def test_registered_functions_are_called_with_arrays():
    expression = parse("x > cut(m, 2)", ["x", "m"], functions={"cut": 2})
    got = expression.evaluate({"x": np.array([1.0, 5.0]), "m": 2.0}, {"cut": lambda m, k: m * k})
    assert got.tolist() == [False, True]
    with pytest.raises(InputError, match="`cut` takes 2 argument"):
        parse("x > cut(m)", ["x", "m"], functions={"cut": 2})
    with pytest.raises(InputError, match="`cut` was not given"):
        expression.evaluate({"x": 1.0, "m": 2.0})


def test_a_name_without_a_value_is_named():
    with pytest.raises(InputError, match="`pt` has no value here; known are pt_1; did you mean `pt_1`"):
        parse("pt > 1").evaluate({"pt_1": 1.0})


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([1j]), np.array([object()])])
def test_a_value_that_is_no_number_is_refused(value):
    with pytest.raises(InputError, match=r"`x` holds .*; expressions need integer"):
        parse("x > 1").evaluate({"x": value})


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("x>1 and y<2", "x > 1 and y < 2"),
        ("((x))*(y+1.50)", "x * (y + 1.5)"),
        ("x-(y-1)", "x - (y - 1)"),
        ("(x-y)-1", "x - y - 1"),
        ("x/(y*2)", "x / (y * 2)"),
        ("not(x>1 or y>1)", "not (x > 1 or y > 1)"),
        ("(x if x>1 else y)+1", "(x if x > 1 else y) + 1"),
        ("(-x)**2", "(-x)**2"),
        ("-(x**2)", "-x**2"),
        ("2*3*x", "6 * x"),
        ("x**(4/2)", "x**2"),
        ("x > -0", "x > 0"),
    ],
)
def test_canonical_text(text, canonical):
    expression = parse(text)
    assert expression.text == canonical
    assert parse(canonical) == expression
    assert parse(canonical).digest == expression.digest


def test_names_and_kind():
    expression = parse("abs(m_mumu - 3.1) < 2 * x", NAMES)
    assert expression.names == {"m_mumu", "x"}
    assert expression.is_truth
    assert not parse("x + 1").is_truth


def test_expressions_are_frozen_and_hashable():
    expression = parse("x + 1")
    with pytest.raises(AttributeError):
        expression.tree = Name("y")
    assert len({expression, parse("x+1"), parse("x + 2")}) == 2


@pytest.mark.parametrize("exponent", range(1, 17))
def test_power_steps_build_the_power(exponent):
    made = {1}
    for left, right in power_steps(exponent):
        assert {left, right} <= made
        made.add(left + right)
    assert exponent in made
