"""Whatever stands in a definition, it is understood or refused with a message: never a crash."""

import copy
import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from scanner.definition import from_json, parse, template, text
from scanner.errors import InputError

WHOLE = [YAML(typ="safe").load(source) for source in (template(), text("alp_gg"), text("bump_hunt"))]
ODD = [
    None, 0, -1, 3.5, True, "", "x", "1 GeV", "5 cm", "m", "m > 1", "else", "nan", "m**m", "1" * 80, "😀",
    [], [1], ["1 GeV"], [[1]], {}, {"a": 1}, {"constant": 1}, {"table": {}}, {"formula": "m"},
    {"product": {}},
]  # fmt: skip


def places(value, path=()):
    if path:
        yield path
    entries = (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    )
    for key, item in entries:
        yield from places(item, (*path, key))


@st.composite
def mutated(draw):
    whole = copy.deepcopy(draw(st.sampled_from(WHOLE)))
    *path, last = draw(st.sampled_from(list(places(whole))))
    owner = whole
    for step in path:
        owner = owner[step]
    owner[last] = draw(st.sampled_from(ODD))
    return json.dumps(whole)


@settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
@given(mutated())
def test_a_wrong_value_anywhere(source):
    try:
        search = parse(source, "my.yaml")
    except InputError as error:
        assert "my.yaml:" in str(error)  # noqa: PT017 (the message of an error that may or may not come)
        return
    assert from_json(search.canonical).digest == search.digest


@settings(max_examples=200)
@given(st.text(max_size=60))
def test_any_text(source):
    try:
        parse(source)
    except InputError:
        return
    raise AssertionError(f"{source!r} is no definition")
