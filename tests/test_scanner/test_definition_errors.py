"""What a user is told when a definition is wrong: file, line, column, value, allowed values, nearest name."""

import pickle

import pytest

from scanner.definition import DefinitionError, load, names, parse
from scanner.errors import InputError

HUNT = "extends: bump_hunt\n"
BUILT_IN = ", ".join(names())
WHOLE = """name: mine
beam: {sqrt_s: 10.58 GeV}
columns: {mass: GeV}
scan: {m_x: {range: [1 GeV, 5 GeV]}}
channels: {all: {observable: mass}}
signal: {resolution: {constant: 10 MeV, source: user}}
"""
EXPRESSION = "cannot use this expression (column 1): unknown name"
TAG = "is not allowed: definitions hold plain values"


def message(text):
    with pytest.raises(DefinitionError) as caught:
        parse(text, "my.yaml")
    return str(caught.value)


CASES = {
    "unknown key": (
        HUNT + "signal: {shap: gaussian}\n",
        (
            "my.yaml:2:10: signal.shap: unknown key 'shap'; did you mean 'shape'?; "
            "allowed: shape, resolution, resolutions, width, efficiency, parameters, measured_in, floating, "
            "template, source"
        ),
    ),
    "unknown key in a list": (
        HUNT + "vetoes:\n  - {around: 3.1 GeV, widht: 3 resolution, source: user, width: 1 resolution}\n",
        (
            "my.yaml:3:23: vetoes[0].widht: unknown key 'widht'; did you mean 'width'?; "
            "allowed: title, around, width, half_width, range, observable, in_windows, source"
        ),
    ),
    "a key that only the engine writes": (
        HUNT + "scan: {m: {low: 1 GeV}}\n",
        "my.yaml:2:12: scan.m.low: unknown key 'low'; allowed: range, values, title, unit, step, where",
    ),
    "duplicate key": (
        "name: a\ntitle: b\nname: c\n",
        "my.yaml:3:1: the key 'name' stands twice; it is first on line 1",
    ),
    "wrong unit": (
        HUNT + "luminosity: 5 cm\n",
        (
            "my.yaml:2:13: luminosity: '5 cm' is a length; a luminosity wants nb^-1, pb^-1, fb^-1 or ab^-1, "
            "such as '178 fb^-1'"
        ),
    ),
    "missing unit": (
        HUNT + "resolution: 12\n",
        (
            "my.yaml:2:13: signal.resolution.constant: 12 has no unit: "
            "write a number with its unit, such as '0.2 GeV'"
        ),
    ),
    "missing unit in a range": (
        HUNT + "range: [0.9, 1.1 GeV]\n",
        "my.yaml:2:8: scan.m.range: 0.9 has no unit: write a number with its unit, such as '0.2 GeV'",
    ),
    "no unit in a range": (
        HUNT + "range: [0.9, 1.1]\n",
        "my.yaml:2:8: scan.m.range: the axis has no unit: write it with each number, or state 'unit: 1'",
    ),
    "misspelt unit": (
        HUNT + "resolution: 12 Mev\n",
        (
            "my.yaml:2:13: signal.resolution.constant: '12 Mev': unknown unit 'Mev'; did you mean 'MeV'?; "
            "known units: eV, keV, MeV, GeV, TeV"
        ),
    ),
    "reversed range": (
        HUNT + "range: [2 GeV, 1 GeV]\n",
        "my.yaml:2:8: scan.m.range: the range is reversed or empty: 2 to 1",
    ),
    "nan": (HUNT + "confidence_level: .nan\n", "my.yaml:2:19: .nan is not a finite number"),
    "infinity": (HUNT + "confidence_level: -.inf\n", "my.yaml:2:19: -.inf is not a finite number"),
    "overflow": (HUNT + "confidence_level: 1e999\n", "my.yaml:2:19: 1e999 is not a finite number"),
    "nan with a unit": (
        HUNT + "luminosity: nan fb^-1\n",
        "my.yaml:2:13: luminosity: 'nan fb^-1' is not a finite number",
    ),
    "stated twice": (
        HUNT + "order: 2\nbackground: {order: 3}\n",
        "my.yaml:2:8: order: 'order' is also stated in full, on line 3: drop one",
    ),
    "out of range": (
        HUNT + "confidence_level: 1.2\n",
        "my.yaml:2:19: confidence_level: 1.2 is out of range: it must be at most 1",
    ),
    "negative luminosity": (
        HUNT + "luminosity: -5 fb^-1\n",
        "my.yaml:2:13: luminosity: '-5 fb^-1' is out of range: it must be above 0",
    ),
    "wrong type": (HUNT + "scan: 3\n", "my.yaml:2:7: scan: 3 is not a mapping of keys to values"),
    "list wanted": (HUNT + "simulation: foo\n", "my.yaml:2:13: simulation: 'foo' is not a list"),
    "whole number wanted": (
        HUNT + "window: {bins: 10.5}\n",
        "my.yaml:2:16: window.bins: 10.5 is not a whole number",
    ),
    "absurd size": (
        HUNT + "window: {bins: 1000000}\n",
        "my.yaml:2:16: window.bins: 1000000 is out of range: it must be at most 100000",
    ),
    "unknown word": (
        HUNT + "signal: {shape: gausian}\n",
        (
            "my.yaml:2:17: signal.shape: 'gausian' is not known here; did you mean 'gaussian'?; "
            "allowed: gaussian, double_gaussian, crystal_ball, double_crystal_ball, voigt, johnson, "
            "template, counting"
        ),
    ),
    "unknown built-in": (
        "extends: bump_hnt\n",
        (
            "my.yaml:1:10: extends: no built-in search 'bump_hnt'; did you mean 'bump_hunt'?; "
            f"built in: {BUILT_IN}"
        ),
    ),
    "missing keys": (
        "name: x\n",
        (
            "my.yaml:1:1: the key 'beam' is missing here\nmy.yaml:1:1: the key 'scan' is missing here\n"
            "my.yaml:1:1: the key 'channels' is missing here"
        ),
    ),
    "no value": (WHOLE + "background:\n", "my.yaml:7:1: background: the key 'background' has no value"),
    "no source": (
        HUNT + "systematics:\n  x: {on: signal, size: 5%}\n",
        "my.yaml:3:6: systematics.x: the key 'source' is missing here",
    ),
    "source of a function": (
        HUNT + "signal: {efficiency: 34%}\n",
        "my.yaml:2:22: signal.efficiency: the key 'source' is missing here",
    ),
    "no citation": (
        HUNT + "resolution: {constant: 1 MeV, source: a paper}\n",
        (
            "my.yaml:2:39: signal.resolution.source: 'a paper' is not a source: write a citation such as "
            "'arXiv:2403.02841' or 'doi:10.1103/...', or 'computed', 'default' or 'user'"
        ),
    ),
    "unknown name": (
        HUNT + "select: mas > 3\n",
        (
            f"my.yaml:2:9: channels.all.select: {EXPRESSION} `mas`; known are m, m_e, m_mu, m_pi, m_tau, "
            "mass, pi, sqrt_s; did you mean `mass`?\n  mas > 3\n  ^\n"
            "  a column of the events is declared under `columns`, such as `columns: {NAME: GeV}`"
        ),
    ),
    "number for a condition": (
        HUNT + "select: [mass > 2, mass]\n",
        (
            "my.yaml:2:20: channels.all.select[1]: 'mass' is a number, and a condition is due here, "
            "such as 'm > 1'"
        ),
    ),
    "condition for a number": (
        HUNT + "observable: mass > 1\ncolumns: {mass: GeV}\n",
        "my.yaml:2:13: channels.all.observable: 'mass > 1' is a condition, and a number is due here",
    ),
    "observable without a column": (
        HUNT + "observable: m + 1\n",
        "my.yaml:2:13: channels.all.observable: 'm + 1' uses no column: it is the same for every candidate",
    ),
    "name of a constant": (
        HUNT + "columns: {pi: GeV}\n",
        "my.yaml:2:15: columns.pi: 'pi' is a constant of the expression language: choose another name",
    ),
    "name of a function": (
        HUNT + "columns: {sqrt: GeV}\n",
        (
            "my.yaml:2:17: columns.sqrt: 'sqrt' is already a function of the expression language: "
            "choose another name"
        ),
    ),
    "hostile name": (
        HUNT + "columns: {../../etc: GeV}\n",
        (
            "my.yaml:2:22: columns.../../etc: '../../etc' is not a name: names start with a letter and hold "
            "letters, digits and _ only"
        ),
    ),
    "a column in another unit": (
        HUNT + "columns: {p: MeV}\n",
        "my.yaml:2:14: columns.p: columns are in canonical units: write GeV, and let ingest convert from MeV",
    ),
    "derived from itself": (
        HUNT + "columns:\n  a: {unit: GeV, expression: 2 * b}\n  b: {unit: GeV, expression: a / 2}\n",
        (
            "my.yaml:3:30: columns.a.expression: the column 'a' is derived from itself\n"
            "my.yaml:4:30: columns.b.expression: the column 'b' is derived from itself"
        ),
    ),
    "table that does not rise": (
        HUNT + "resolution:\n  source: user\n  table:\n    m: 1, 3, 2 GeV\n    value: 1, 2, 3 MeV\n",
        "my.yaml:5:8: signal.resolution.table.m: m does not rise: 2 comes after 3",
    ),
    "table that is too short": (
        HUNT
        + "range: [1 GeV, 5 GeV]\nresolution: {source: user, table: {m: '1, 3 GeV', value: '1, 2 MeV'}}\n",
        (
            "my.yaml:3:13: signal.resolution: m = 3.01562 GeV is outside of the table, which covers "
            "1 to 3 GeV: extend the table, or state 'outside: clamp'"
        ),
    ),
    "table without a unit": (
        HUNT + "resolution: {source: user, outside: clamp, table: {m: '1, 3', value: '1, 2 MeV'}}\n",
        "my.yaml:2:55: signal.resolution.table.m: m is in GeV, and this table has it without a unit",
    ),
    "table over an unknown axis": (
        HUNT + "resolution: {source: user, table: {q: '1, 3 GeV', value: '1, 2 MeV'}}\n",
        "my.yaml:2:39: signal.resolution.table.q: 'q' is no axis or parameter; known are m",
    ),
    "negative resolution": (
        HUNT + "resolution: {formula: 0.01 * (m - 2), unit: GeV, source: user}\n",
        "my.yaml:2:13: signal.resolution: it is -0.01 at 1 GeV: it must be positive",
    ),
    "efficiency above one": (
        HUNT + "efficiency: 134%\n",
        ("my.yaml:2:13: signal.efficiency: it is 1.34 at 1 GeV: it must be above 0 and at most 1"),
    ),
    "efficiency above one in a table of two axes": (
        WHOLE.replace("{range: [1 GeV, 5 GeV]}}", "{range: [1 GeV, 5 GeV]}, ctau: {values: [1 cm, 2 cm]}}")
        + "efficiency: {source: user, table: {m: '1, 5 GeV', ctau: '1, 2 cm', value: [[1, 2], [1, 1]]}}\n",
        "my.yaml:7:13: signal.efficiency: it is 2 in its table: it must be above 0 and at most 1",
    ),
    "a systematic in the wrong unit": (
        HUNT + "systematics: {x: {on: signal, size: 50, source: user}}\n",
        "my.yaml:2:37: systematics.x.size: it is 50 at 1 GeV: it must be above 0 and at most 10",
    ),
    "a systematic on nothing": (
        HUNT + "systematics: {x: {on: singal, size: 5%, source: user}}\n",
        (
            "my.yaml:2:23: systematics.x.on: 'singal' is not known here; did you mean 'signal'?; "
            "allowed: background, efficiency, luminosity, mass, resolution, signal, yield"
        ),
    ),
    "a parameter of a shape": (
        HUNT + "signal: {shape: crystal_ball, source: user, parameters: {alpha: 1, n: 1}}\n",
        "my.yaml:2:71: signal.parameters.n: it is 1 at 1 GeV: it must be above 1 and at most 1000",
    ),
    "no order at some mass": (
        HUNT + "order: {m > 2: 2}\n",
        "my.yaml:2:8: background.order: no background order is stated at m = 1 GeV: add a rule 'else'",
    ),
    "true is no number": (
        WHOLE + "systematics: {x: {on: signal, size: true, source: user}}\n",
        (
            "my.yaml:7:37: systematics.x.size: True is not a quantity: "
            "write a number with its unit, such as '0.2 GeV'"
        ),
    ),
    "order rule": (
        HUNT + "order: {q < 1: 2, else: 3}\n",
        (
            f"my.yaml:2:16: background.order.q < 1: {EXPRESSION} `q`; known are m, m_e, m_mu, m_pi, "
            "m_tau, pi, sqrt_s\n  q < 1\n  ^"
        ),
    ),
    "negative order": (
        HUNT + "order: -1\n",
        "my.yaml:2:8: background.order: -1 is out of range: it must be at least 0",
    ),
    "regions that overlap": (
        WHOLE + "regions:\n  a: {mass: [1 GeV, 3 GeV]}\n  b: {mass: [2 GeV, 5 GeV]}\n",
        "my.yaml:9:13: regions[1].mass: 'b' overlaps 'a', which ends at 3 GeV",
    ),
    "regions with a gap": (
        WHOLE + "regions:\n  a: {mass: [1 GeV, 3 GeV]}\n  b: {mass: [4 GeV, 5 GeV]}\n",
        "my.yaml:9:13: regions[1].mass: 'b' leaves a gap to 'a', which ends at 3 GeV",
    ),
    "regions that do not cover": (
        WHOLE + "regions:\n  a: {mass: [1 GeV, 3 GeV]}\n",
        "my.yaml:8:3: regions: the regions cover 1 to 3 GeV, and the scan goes from 1 to 5 GeV",
    ),
    "region in cm": (
        WHOLE + "regions:\n  a: {mass: [1 cm, 3 cm]}\n",
        (
            "my.yaml:8:13: regions[0].mass: '1 cm' is a length; an energy wants eV, keV, MeV, GeV or TeV, "
            "such as '0.2 GeV'"
        ),
    ),
    "too many configurations": (
        WHOLE
        + "configurations:\n  product:\n"
        + "".join(f"    p{i}: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]\n" for i in range(5)),
        "my.yaml:9:5: configurations.product: 100000 configurations; allowed are 1 to 10000",
    ),
    "shape without its parameters": (
        HUNT + "signal: {shape: crystal_ball}\n",
        (
            "my.yaml:2:9: signal: the shape 'crystal_ball' needs the parameter 'alpha', under "
            "signal.parameters\n"
            "my.yaml:2:9: signal: the shape 'crystal_ball' needs the parameter 'n', under signal.parameters"
        ),
    ),
    "rates without an efficiency": (
        WHOLE + "luminosity: 1/fb\n",
        "my.yaml:6:9: signal: 'efficiency' is missing: rates need it, with its source",
    ),
    "published in another unit": (
        HUNT + "published: {quantity: coupling, source: user, table: {m: '1 GeV', value: '1 fb'}}\n",
        "my.yaml:2:12: published: a published coupling is in 1 or GeV^-1, not in fb",
    ),
    "yaml": (
        "name: [x\n",
        (
            "my.yaml:2:1: not valid YAML: while parsing a flow sequence expected ',' or ']', "
            "but got '<stream end>'"
        ),
    ),
    "empty": ("", "my.yaml:1:1: a definition is a mapping of keys to values; this file holds none"),
    "a list": ("- a\n", "my.yaml:1:1: a definition is a mapping of keys to values; this file holds none"),
    "a tag": (
        "name: x\nbeam: !!python/object:os.system {}\n",
        f"my.yaml:2:7: the tag 'tag:yaml.org,2002:python/object:os.system' {TAG}",
    ),
    "two documents": (
        "name: x\n---\nname: y\n",
        "my.yaml:2:1: a second document starts here; a file holds one definition",
    ),
    "deep nesting": ("[" * 10000, "my.yaml:1:25: nested deeper than 24 levels"),
    "a long number": (
        f"name: {'1' * 5000}\n",
        "my.yaml:1:7: the number has 5000 characters, more than 60",
    ),
    "a large file": (
        "# " + "x" * (1 << 20),
        "my.yaml:1:1: the definition has 1048578 characters, more than 1048576",
    ),
    "a loop": (
        "a: &a [*a]\n",
        "my.yaml:1:4: more than 200000 values or 24 levels: aliases repeat too much",
    ),
    "an alias of nothing": ("a: *b\n", "my.yaml:1:4: not valid YAML: found undefined alias 'b'"),
}
HOSTILE = HUNT + "select: __import__('os').system('true') > 1\n"


@pytest.mark.parametrize("case", CASES)
def test_the_message_names_place_value_and_remedy(case):
    text, expected = CASES[case]
    assert message(text) == expected


def test_cuts_need_a_source():
    text = WHOLE.replace("{observable: mass}", "{observable: mass, select: mass > 1}")
    assert message(text) == "my.yaml:5:17: channels.all: the cuts of a channel need their 'source'"


def test_a_hostile_expression_is_refused_with_its_place():
    found = message(HOSTILE)
    assert found.startswith("my.yaml:2:9: channels.all.select: cannot use this expression")


def test_a_bomb_of_aliases_is_refused():
    lines = ["a0: &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    assert "aliases repeat too much" in message("\n".join(lines))


def test_all_problems_of_a_file_come_at_once_in_its_order():
    text = HUNT + "luminosity: 5 cm\nsignal: {shap: x}\nrange: [2 GeV, 1 GeV]\norder: x\n"
    with pytest.raises(DefinitionError) as caught:
        parse(text, "my.yaml")
    problems = caught.value.problems
    assert [problem.mark.line for problem in problems] == [2, 3, 4, 5]
    assert [problem.path for problem in problems] == [
        "luminosity",
        "signal.shap",
        "scan.m.range",
        "background.order",
    ]
    assert str(problems[-1]) == "my.yaml:5:8: background.order: 'x' is not a whole number"


def test_the_error_is_bad_input_and_crosses_processes():
    with pytest.raises(InputError) as caught:
        parse("- a\n", "my.yaml")
    assert caught.value.exit_code == 2
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.problems) == (str(caught.value), caught.value.problems)


def test_a_short_key_with_nowhere_to_go():
    text = WHOLE.replace("{all: {observable: mass}}", "{a: {observable: mass}, b: {observable: mass}}")
    assert message(text + "select: mass > 1\n") == (
        "my.yaml:5:11: channels: a short key needs exactly one entry under 'channels', and there are 2"
    )


def test_a_missing_file_names_the_built_in_searches(tmp_path):
    with pytest.raises(InputError) as caught:
        load("zp_mumuu")
    assert str(caught.value) == (
        "no built-in search and no file 'zp_mumuu'; did you mean 'zp_mumu'?; "
        f"built in: {BUILT_IN}; a definition of your own ends in .yaml"
    )
    with pytest.raises(InputError, match=r"cannot read the definition .*gone.yaml: No such file"):
        load(tmp_path / "gone.yaml")
    with pytest.raises(InputError, match="no built-in search and no file"):
        load(tmp_path)


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "binary.yaml"
    path.write_bytes(b"name: \xff\xfe\n")
    with pytest.raises(InputError, match=r"binary.yaml is not UTF-8 text \(byte 6\): it is no definition"):
        load(path)
    path.write_bytes(b" " * (5 << 20))
    with pytest.raises(InputError, match="no definition is that large"):
        load(path)
    path.write_text("name: a\x00b\n")
    with pytest.raises(DefinitionError, match="not valid YAML: unacceptable character"):
        load(path)
