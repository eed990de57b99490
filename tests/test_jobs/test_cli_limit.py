"""`darkscan limit`: one counting experiment on the command line."""

from math import log

import pytest
from scipy.optimize import brentq
from scipy.stats import poisson

METHODS = ["cls", "asymptotic", "bayesian", "fc"]
KNOWN = ["--background", "1"]
UNCERTAIN = ["--background", "1", "--background-error", "0.3"]
OFF = ["--off", "4", "--tau", "2"]
# Observed 3: exact CLs and flat-prior limits coincide for Poisson counts; Feldman and Cousins,
# Phys. Rev. D57 (1998) 3873, table IV has 0.10 to 6.42 for 3 events over a background of 1.
LIMITS = {
    "cls": (5.7115, 0.0),
    "bayesian": (5.7115, 0.0),
    "asymptotic": (4.9894, 0.0),
    "fc": (6.42, 0.10),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("background", [KNOWN, UNCERTAIN, OFF], ids=["known", "uncertain", "off"])
def test_json_gives_limit_bands_and_interval(darkscan, method, background):
    answer = darkscan("limit", "--observed", 3, *background, "--method", method, "--json").json
    assert answer["method"] == method
    assert answer["low"] < answer["limit"] == answer["high"]
    assert len(answer["expected"]) == 5
    assert answer["expected"] == sorted(answer["expected"])


@pytest.mark.parametrize("method", METHODS)
def test_the_limits_are_the_known_ones(darkscan, method):
    answer = darkscan("limit", "--observed", 3, *KNOWN, "--method", method, "--json").json
    limit, low = LIMITS[method]
    assert answer["limit"] == pytest.approx(limit, abs=0.006)
    assert answer["low"] == pytest.approx(low, abs=0.006)


@pytest.mark.parametrize(
    ("method", "error"), [*((m, 1e-12) for m in METHODS), ("asymptotic", 1e-9), ("asymptotic", 1e-7)]
)
def test_a_negligible_error_gives_the_limit_of_a_known_background(darkscan, method, error):
    options = ["limit", "--observed", 3, *KNOWN, "--method", method, "--json"]
    known, answer = darkscan(*options).json, darkscan(*options, "--background-error", error).json
    assert answer["limit"] == pytest.approx(known["limit"], rel=1e-7)
    assert answer["expected"] == pytest.approx(known["expected"], rel=1e-7)


def test_no_event_and_no_background_excludes_minus_log_alpha(darkscan):
    answer = darkscan("limit", "--observed", 0, "--background", 0, "--cl", 0.9, "--json").json
    assert answer["limit"] == pytest.approx(-log(0.1), rel=1e-9)


def test_text_says_what_json_says(darkscan):
    lines = darkscan("limit", "--observed", 3, *KNOWN, "--cl", "0.95").out.splitlines()
    limit = brentq(lambda s: poisson.cdf(3, s + 1.0) / poisson.cdf(3, 1.0) - 0.05, 0.0, 20.0)
    assert lines[0] == f"upper limit at 95% CL (cls): {limit:.4f} events"
    assert lines[1].startswith("expected (2.5%, 16%, 50%, 84%, 97.5%): 2.9957  ")
    assert lines[2] == f"interval: [0.0000, {limit:.4f}]"
    assert "at 99.999% CL" in darkscan("limit", "--observed", 3, *KNOWN, "--cl", "0.99999").out


def test_uncertainties_and_what_was_done_with_them(darkscan):
    """No event, s = 4.76 with a log-normal error of 20% over b = 1.47: .67229 of the strength at 95%."""
    options = ["--observed", 0, "--background", 1.47, "--efficiency-error", 0.2, "--cl", 0.95]
    options += ["--method", "bayesian"]
    answer = darkscan("limit", *options, "--json").json
    assert answer["limit"] / 4.76 == pytest.approx(0.67229, abs=6e-6)
    assert answer["treatment"] == "efficiency marginalised"
    assert darkscan("limit", *options).out.splitlines()[3] == "uncertainties: efficiency marginalised"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--observed", 3], "give the background either by its number or by an off region"),
        (["--observed", -3, *KNOWN], "observed is -3; it must be finite and not negative"),
        (["--observed", 3, "--background", -1], "background is -1.0"),
        (["--observed", 3, "--background", "nan"], "background is nan"),
        (["--observed", 3, "--background", "inf"], "background is inf"),
        (["--observed", 3, *KNOWN, "--background-error", -1], "background_error is -1.0"),
        (["--observed", 3, "--background", 0, "--background-error", 1], "a background of 0 cannot have an"),
        (["--observed", 3, "--off", 3], "an off region needs both its events (off) and its background ratio"),
        (["--observed", 3, "--off", 3, "--tau", 0], "tau is 0: such an off region says nothing"),
        (["--observed", 3, "--off", 3, "--tau", 1, *KNOWN], "either by its number or by an off region"),
        (
            ["--observed", 3, *OFF, "--background-error", 1],
            "a background error belongs to a background number",
        ),
        (["--observed", 3, *KNOWN, "--method", "guess"], "unknown method 'guess': take one of cls,"),
        (["--observed", 3, *KNOWN, "--cl", 90], "confidence level 90.0: give one between 0.5 and 1"),
        (["--observed", 3, *KNOWN, "--cl", "nan"], "confidence level nan"),
        (
            ["--observed", 3, *KNOWN, "--efficiency-error", 0.3, "--efficiency-shape", "normal"],
            "a normal efficiency of relative error 0.3 reaches 0",
        ),
        (["--observed", 10**18, "--background", "1e6"], "1e+18 events are too many for the method cls"),
        (["--observed", 0, "--background", "1e300"], "1e+300 events are too many"),
        (
            ["--observed", 10**6, "--background", "1e6", "--method", "fc"],
            "take cls or asymptotic or bayesian",
        ),
    ],
)
def test_what_is_no_experiment_is_refused(refused, arguments, message):
    assert message in refused("limit", *arguments)
