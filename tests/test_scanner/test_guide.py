"""The statistics guide says what the code gives: tables, figures, names and thresholds."""

import re
from pathlib import Path

import numpy as np
import pytest

from scanner.cube import VARIABLES
from scanner.guide import TABLES, counting, spectra, windows
from scanner.guide.tables import Table, filled, place
from scanner.plots import guide
from scanner.results import VETOED
from scanner.stats import METHODS, STATUS_MEANINGS, auto, look_elsewhere, order
from scanner.stats.settings import PRIORS

DOCS = Path(__file__).resolve().parents[2] / "docs"
TEXT = "\n\n".join((DOCS / name).read_text() for name in guide.TEXTS)
SLOW = {"methods", "elsewhere", "priors", "orders", "limits"}
"""Tables that take many seconds of a busy machine."""
NUMBER = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")
TOLERANCE = 0.011
"""Of numbers with three digits, whose last may round the other way."""
LARGEST = 100_000
"""Bytes of a figure that is kept beside the text."""


def cells(markdown):
    return [[cell.strip() for cell in line.strip("| ").split("|")] for line in markdown.splitlines()]


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in SLOW)) for name in TABLES]
)
def test_the_tables_of_the_guide_are_what_the_code_gives(name):
    stated, made = cells(place(name).search(TEXT).group()), cells(TABLES[name]().markdown)
    assert len(stated) == len(made)
    for old, new in zip(stated, made, strict=True):
        assert [NUMBER.sub("#", cell) for cell in old] == [NUMBER.sub("#", cell) for cell in new]
        numbers = [[float(x) for cell in row for x in NUMBER.findall(cell)] for row in (old, new)]
        assert numbers[0] == pytest.approx(numbers[1], rel=TOLERANCE, abs=1e-9)


def test_every_table_of_the_text_is_made_by_code():
    assert set(re.findall(r"<!-- (\w+) -->", TEXT)) == set(TABLES)
    with pytest.raises(ValueError, match="0 places for the table 'limits'"):
        filled("no table", {"limits": Table(("n",), [])})


def test_figures_are_there_and_small():
    shown = set(re.findall(r"images/statistics/(\w+)\.svg", TEXT))
    assert shown == set(guide.FIGURES)
    for name in shown:
        assert 1000 < (DOCS / guide.IMAGES / f"{name}.svg").stat().st_size < LARGEST


def test_figures_are_drawn_from_the_same_numbers():
    figure = guide.coverage_figure()
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert (lines["CLs, asymptotic, worst"] == counting.coverage("asymptotic").worst).all()
    figure = guide.order_figure()
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert (lines["Envelope"] == windows.profiles().envelope).all()
    assert (lines["Envelope"] <= lines["Order 2"] + 1e-9).all()


@pytest.mark.parametrize(
    "words",
    [
        f"of {auto.THRESHOLD:g} events on limits are asymptotic",
        f"({auto.KNOWN_THRESHOLD:g} where the background is known)",
        f"down to {auto.COUNTED:g} event,",
        f"every window has {({10.0: 'ten'})[look_elsewhere.FEW]} effective background events",
        f"2NLL plus {({1.0: 'one'})[order.PENALTY]} for each free parameter",
        f"up to {counting.STRONGEST:g}(√b + 1)",
        f"at {100 * counting.LEVEL:g}% CL",
        f"{windows.CHOSEN_AT:g} effective events",
        f"±{windows.HALF_WIDTH:g} resolutions",
        f"of {spectra.EVENTS:,.0f} events".replace(",", " "),
    ],
)
def test_thresholds_of_the_text_are_those_of_the_code(words):
    assert words in re.sub(r"\s+", " ", TEXT)


def test_names_of_the_text_are_those_of_the_code():
    for name in (*STATUS_MEANINGS.values(), "vetoed"):
        assert f"| `{name}` |" in TEXT
    assert VETOED not in STATUS_MEANINGS
    for name in ("fit_quality", "fit_attempts", "fit_rung", "outliers", "toys_failed", "method"):
        assert name in VARIABLES
        assert f"`{name}`" in TEXT
    for name in (*PRIORS, *(name for name in METHODS if name != "counting")):
        assert f"`{name}`" in TEXT, name


def test_what_the_text_says_of_coverage_and_priors():
    assert (counting.coverage("cls").worst >= counting.LEVEL).all()
    at_100 = counting.BACKGROUNDS.index(100.0)
    assert counting.LEVEL - counting.coverage("asymptotic").worst[at_100] == pytest.approx(0.01, abs=0.001)


@pytest.mark.slow
def test_priors_flat_in_the_coupling_give_stronger_limits_most_where_nothing_is_seen():
    flat, square, fourth = counting.prior_limits().values()
    assert (fourth < square).all()
    assert (square < flat).all()
    assert (np.diff(fourth / flat) > 0.0).all()
