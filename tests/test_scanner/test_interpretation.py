"""From yields to rates and couplings, against the formulas by hand."""

import numpy as np
import pytest

from scanner import definition
from scanner.errors import InputError
from scanner.interpretation import Exposure, Place, events_per_rate, physics_limits, quantity
from scanner.models import MODELS
from scanner.models.dark_higgsstrahlung import DarkHiggsstrahlung
from scanner.models.leptophilic_scalar import LeptophilicScalar

BUMP = """
extends: bump_hunt
observable: M
range: [1 GeV, 3 GeV]
resolution: 12 MeV
beam: {sqrt_s: 10.58 GeV}
"""
LUMINOSITY = "normalisation: luminosity\nluminosity: 10 fb^-1\n"
PAIRS = BUMP + "normalisation: {kind: pairs, pairs: 4e8, per_pair: 2, source: user}\nluminosity: 400 fb^-1\n"
MASS, YIELD, EFFICIENCY = np.array([1.2, 2.0]), np.array([8.0, 20.0]), np.array([0.1, 0.25])
BANDS = YIELD[:, None] * np.array([0.5, 0.7, 1.0, 1.4, 2.0])


def limits(text, luminosity=None, **values):
    search = definition.parse(text)
    return search, physics_limits(search, Place(MASS, values), YIELD, BANDS, EFFICIENCY, Exposure(luminosity))


def test_pairs_give_a_branching_fraction():
    search, found = limits(PAIRS, 400.0)
    assert quantity(search) == "branching_fraction"
    np.testing.assert_allclose(found["branching_fraction_limit"], YIELD / (2 * 4e8 * EFFICIENCY))
    np.testing.assert_allclose(found["branching_fraction_limit_expected"].T, BANDS.T / (8e8 * EFFICIENCY))


def test_stated_pairs_grow_with_the_luminosity_that_they_were_stated_at():
    _, today = limits(PAIRS, 400.0)
    _, later = limits(PAIRS, 4000.0)
    np.testing.assert_allclose(today["branching_fraction_limit"], 10 * later["branching_fraction_limit"])
    _, unknown = limits(PAIRS)
    np.testing.assert_array_equal(unknown["branching_fraction_limit"], today["branching_fraction_limit"])


def test_the_cross_section_of_pairs_and_what_follows_them():
    text = (
        BUMP
        + "luminosity: 100 fb^-1\n"
        + (
            "normalisation: {kind: pairs, cross_section: 0.919 nb, per_pair: 2, source: user, "
            "branching_fraction: {constant: 10%, source: user}}\n"
        )
    )
    _, found = limits(text, 100.0)
    expected = YIELD / (2 * 100.0 * 0.919e6 * EFFICIENCY * 0.1)
    np.testing.assert_allclose(found["branching_fraction_limit"], expected)
    assert limits(text)[1] == {}


def test_nothing_without_a_normalisation_or_a_luminosity():
    assert limits(BUMP, 100.0)[1] == {}
    assert limits(BUMP + LUMINOSITY)[1] == {}


def test_every_interpretation_has_its_limit():
    text = (
        BUMP
        + LUMINOSITY
        + (
            "interpretations:\n"
            "  lmu_ltau: {name: zprime_lmu_ltau, final_state: invisible}\n"
            "  all_invisible: {name: zprime_lmu_ltau, branching_fraction: 1, source: user}\n"
        )
    )
    _, found = limits(text, 100.0)
    model, rate = MODELS["zprime_lmu_ltau"], YIELD / (100.0 * EFFICIENCY)
    first = {"coupling_limit", "coupling_limit_all_invisible", "coupling_limit_lmu_ltau"} & set(found)
    assert len(first) == 2
    by_name = {"lmu_ltau": model.branching_fraction(MASS, "invisible"), "all_invisible": np.ones(2)}
    values = [found[name] for name in sorted(first)]
    for share in by_name.values():
        expected = np.sqrt(rate / (model.production(MASS, 10.58) * share))
        assert any(np.allclose(value, expected, rtol=1e-12) for value in values)


def test_an_interpretation_with_an_efficiency_of_its_own_sees_its_own_events():
    """g = √(σ_UL ε/(σ₁ ε_own)): as many events of the own efficiency as the limit on the yield allows."""
    text = (
        BUMP
        + LUMINOSITY
        + "signal: {efficiency: {formula: 0.1 * m, source: user}}\n"
        + "model: {name: zprime_lmu_ltau, final_state: invisible}\n"
        + "interpretations:\n"
        + "  own: {name: zprime_lmu_ltau, final_state: invisible,\n"
        + "        efficiency: {constant: 20%, source: user}}\n"
    )
    search = definition.parse(text)
    seen = 0.1 * MASS
    found = physics_limits(search, Place(MASS), YIELD, BANDS, seen, Exposure(100.0))
    model = MODELS["zprime_lmu_ltau"]
    rate = model.production(MASS, 10.58) * model.branching_fraction(MASS, "invisible")
    for name, efficiency in (("coupling_limit", seen), ("coupling_limit_own", 0.2)):
        np.testing.assert_allclose(100.0 * rate * found[name] ** 2 * efficiency, YIELD, rtol=1e-12)


def test_a_model_takes_its_parameters_from_the_scan_and_the_definition():
    text = BUMP + LUMINOSITY + "model: {name: dark_higgsstrahlung}\n"
    _, found = limits(text, 10.0, m_hprime=np.array([0.5, 1.0]))
    sigma = DarkHiggsstrahlung(m_hprime=np.array([0.5, 1.0])).production(MASS, 10.58)
    np.testing.assert_allclose(found["coupling_limit"], YIELD / (10.0 * EFFICIENCY) / sigma)
    charged = text.replace("lung}", "lung, parameters: {charge: 2}}")
    _, twice = limits(charged, 10.0, m_hprime=np.array([0.5, 1.0]))
    np.testing.assert_allclose(twice["coupling_limit"], found["coupling_limit"] / 4)
    with pytest.raises(InputError, match="no parameter colour"):
        limits(text.replace("lung}", "lung, parameters: {colour: 2}}"), 10.0)


def test_events_per_rate_is_the_luminosity_times_the_efficiency():
    search = definition.parse(BUMP + LUMINOSITY)
    found = events_per_rate(search, Place(MASS), EFFICIENCY, Exposure(7.0))
    np.testing.assert_allclose(found, 7.0 * EFFICIENCY)


def test_a_word_chooses_the_radiator_of_an_interpretation():
    text = BUMP + LUMINOSITY + "model: leptophilic_scalar\ninterpretations:\n"
    text += "  off_muons: {name: leptophilic_scalar, parameters: {radiator: mu_mu}}\n"
    _, found = limits(text, 10.0)
    ratio = (found["coupling_limit_off_muons"] / found["coupling_limit"]) ** 2
    taus, muons = (LeptophilicScalar(radiator=name).production(MASS, 10.58) for name in ("tau_tau", "mu_mu"))
    np.testing.assert_allclose(ratio, taus / muons)


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ("radiator: 1", "has radiator = tau_tau, not 1.0"),
        ("radiator: quarks", "take tau_tau or mu_mu"),
        ("charge: 1", "no parameter charge: it has radiator"),
    ],
)
def test_a_parameter_that_the_model_cannot_have_is_refused(parameters, words):
    text = BUMP + LUMINOSITY + f"model: {{name: leptophilic_scalar, parameters: {{{parameters}}}}}\n"
    with pytest.raises(InputError, match=words):
        limits(text, 10.0)
