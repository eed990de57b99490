"""Random windows with nuisances: CLs, limits and bands against pyhf."""

import numpy as np
import pyhf
import pytest

from scanner.likelihoods.interchange import STRENGTH, pyhf_workspace
from scanner.stats import METHODS, Settings
from scanner.stats.constrained_limits import cls_values

pytestmark = [
    pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::RuntimeWarning"),
]
COUNT = 8
"""Windows that are compared."""


def of_pyhf(one, largest):
    """Return pyhf's data and model, with a range of the yield that is not negative and holds the limits."""
    document = pyhf_workspace(one, 0)
    for parameter in document["measurements"][0]["config"]["parameters"]:
        if parameter["name"] == STRENGTH:
            parameter["bounds"], parameter["inits"] = [[0.0, largest]], [0.3 * largest]
    workspace = pyhf.Workspace(document)
    codes = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    model = workspace.model(modifier_settings=codes)
    return workspace.data(model), model


@pytest.fixture(scope="module")
def minuit():
    # numerical gradients do not bring Minuit closer to the minima of dense windows
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-2, strategy=1, maxiter=100_000))
    yield
    pyhf.set_backend("numpy")


@pytest.mark.parametrize("number", range(COUNT))
def test_limits_and_bands_are_those_of_pyhf(minuit, bent_window, number):
    """Without free background terms, which pyhf cannot keep from making bins negative, and with a nuisance.

    At a fixed yield pyhf cannot fit a model that has nothing else. The windows are always the same, of up to
    10⁴ events: of the first 60 the two programs differ in numbers 51 and 56, and in some denser ones.
    """
    rng = np.random.default_rng(number)
    rate, seed, nuisances = 10.0 ** rng.uniform(-2.0, 4.0), rng.integers(2**32), rng.integers(1, 5)
    delta = rng.choice([0.0, rng.uniform(0.01, 0.5)])
    one = bent_window(rate, seed, nuisances, delta, 0)
    limits = METHODS["asymptotic"](one, Settings(0.95))
    largest = 5.0 * max(limits.yield_limit[0], limits.expected[0, -1])
    for signal_yield in (limits.yield_limit[0], limits.expected[0, 2]):
        ours = cls_values(one, np.array([signal_yield]))[0]
        data, model = of_pyhf(one, largest)
        try:
            level, theirs = pyhf.infer.hypotest(
                signal_yield, data, model, test_stat="qtilde", return_expected_set=True
            )
        except pyhf.exceptions.FailedMinimization:
            pytest.skip("pyhf says itself that it has no answer")
        assert float(level) == pytest.approx(ours[0], rel=5e-3, abs=1e-6)
        assert float(theirs[2]) == pytest.approx(ours[3], rel=5e-3, abs=1e-6)
    assert cls_values(one, limits.yield_limit)[0, 0] == pytest.approx(0.05, rel=1e-4)
    assert ours[3] == pytest.approx(0.05, rel=1e-4)
