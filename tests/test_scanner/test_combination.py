"""Channels in one fit against pyhf, and templates of weighted samples."""

from dataclasses import replace

import numpy as np
import pyhf
import pytest
from scipy.stats import norm

from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.combination import combine
from scanner.likelihoods.fit import fit
from scanner.likelihoods.interchange import STRENGTH, pyhf_workspace
from scanner.likelihoods.nuisances import Nuisances
from scanner.stats import METHODS, Settings

pytestmark = pytest.mark.filterwarnings("ignore:jsonschema.RefResolver:DeprecationWarning")


@pytest.fixture(scope="module", autouse=True)
def minuit():
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-4, strategy=2))
    yield
    pyhf.set_backend("numpy")


def channel(number, windows=1, bins=8, terms=1, delta=0.0):
    """Every channel has the luminosity in common, an efficiency and a bent background of its own."""
    rng = np.random.default_rng(number)
    x = np.linspace(-1.0, 1.0, bins)
    signal = (0.2 + 0.2 * number) * np.diff(norm.cdf(np.linspace(-4.0, 4.0, bins + 1)))
    background = np.array([np.ones(bins), 1.0 + 0.5 * x])[:terms]
    fixed = 20.0 + 5.0 * number - 4.0 * x
    norms = np.zeros((windows, 2, 2 + terms, 2))
    norms[:, 0, [0, -1]] = [-0.03, 0.03]
    norms[:, 1, 0] = [-0.1 * (number + 1), 0.08]
    bend = 0.1 * fixed * x
    effects = Nuisances(
        ("luminosity", f"efficiency_{number}" if number < 2 else "efficiency_0"),
        norms,
        np.tile(np.stack([-bend, 1.2 * bend]), (windows, 1, 1, 1)),
        np.array([1]),
        np.array([1 + terms]),
        np.tile(fixed, (windows, 1, 1)),
        statistics=np.full((windows, bins), delta),
        uncertain=np.arange(2 + terms) == 1 + terms,
    )
    counts = rng.poisson(30.0 * background.sum(axis=0) + fixed + 60.0 * signal, (windows, bins))
    tile = (windows, 1)
    return BinnedProblem(
        counts.astype(float), np.tile(signal, tile), np.tile(background, (windows, 1, 1)), nuisances=effects
    )


def of_pyhf(channels):
    """Return pyhf's model of all channels and its data; factors and γ of a channel carry its number."""
    documents = [pyhf_workspace(one, 0) for one in channels]
    specification, observations, parameters = [], [], {}
    for number, document in enumerate(documents):
        (found,) = document["channels"]
        found["name"] = f"channel_{number}"
        for sample in found["samples"]:
            for modifier in sample["modifiers"]:
                if modifier["name"].startswith(("background", "template_statistics")):
                    modifier["name"] += f"_{number}"
        specification.append(found)
        observations.append({"name": found["name"], "data": document["observations"][0]["data"]})
        for parameter in document["measurements"][0]["config"]["parameters"]:
            name = parameter["name"]
            if name.startswith("background"):
                name += f"_{number}"
            parameters[name] = parameter | {"name": name}
    parameters[STRENGTH] = {"name": STRENGTH, "inits": [50.0], "bounds": [[0.0, 500.0]]}
    workspace = pyhf.Workspace(
        {
            "version": "1.0.0",
            "channels": specification,
            "observations": observations,
            "measurements": [
                {"name": "fit", "config": {"poi": STRENGTH, "parameters": list(parameters.values())}}
            ],
        }
    )
    settings = {"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    model = workspace.model(modifier_settings=settings)
    return model, workspace.data(model)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize(("numbers", "delta"), [((0, 1), 0.1), ((0, 1, 2), 0.0)])
def test_channels_have_the_maximum_and_the_limit_of_pyhf(numbers, delta):
    channels = [channel(number, delta=delta * (number != 1)) for number in numbers]
    together = combine(channels)
    model, data = of_pyhf(channels)
    ours = fit(together, second_opinion=False)
    best = pyhf.infer.mle.fit(data, model)
    assert best[model.config.poi_index] == pytest.approx(ours.yields[0], abs=3e-3 * ours.errors[0])
    for j, name in enumerate(together.nuisances.names):
        assert best[model.config.par_slice(name)] == pytest.approx(ours.pulls[0, j : j + 1], abs=5e-3)
    limits = METHODS["asymptotic"](together, Settings(0.95))
    level = pyhf.infer.hypotest(limits.yield_limit[0], data, model, test_stat="qtilde")
    assert float(level) == pytest.approx(0.05, rel=2e-3)


def test_one_channel_stays_what_it_is():
    one = channel(0, windows=3, delta=0.1)
    alone, combined = fit(one), fit(combine([one]))
    assert combined.yields == pytest.approx(alone.yields, rel=1e-8)
    assert combined.nll == pytest.approx(alone.nll, rel=1e-10)


def test_channels_without_effects_are_concatenated():
    plain = [replace(channel(number, windows=4, terms=2), nuisances=None) for number in (0, 1)]
    first = replace(plain[0], terms=np.array([1, 2, 2, 0]))
    together = combine([first, plain[1]])
    assert together.nuisances is None
    assert together.terms.tolist() == [3, 4, 4, 2]
    for w in range(4):
        a, b = first.background[w, : first.terms[w]], plain[1].background[w]
        blocks = np.zeros((len(a) + 2, 16))
        blocks[: len(a), :8], blocks[len(a) :, 8:] = a, b
        assert np.array_equal(together.background[w, : together.terms[w]], blocks)


def test_a_channel_twice_is_a_channel_of_twice_the_data():
    """With statistics left out, as the same template errors would have to be shared."""
    one = channel(0)
    twice = combine([one, replace(one, counts=one.counts.copy())])
    double = replace(
        one,
        counts=2.0 * one.counts,
        signal=2.0 * one.signal,
        background=2.0 * one.background,
        nuisances=replace(one.nuisances, shape=2.0 * one.nuisances.shape, fixed=2.0 * one.nuisances.fixed),
    )
    assert fit(twice).yields == pytest.approx(fit(double).yields, rel=1e-5)
    # an error is that of the Hessian before the last step, of up to a thousandth of it
    assert fit(twice).errors == pytest.approx(fit(double).errors, rel=1e-3)


def test_channels_that_do_not_fit_together_are_refused():
    with pytest.raises(InputError, match="same number of windows"):
        combine([channel(0), channel(1, windows=2)])
    moved = channel(1)
    moved.nuisances.observed[0, 0] = 0.5
    with pytest.raises(InputError, match="'luminosity' has different global observables"):
        combine([channel(0), moved])
    bent = channel(0, windows=2)
    bent = replace(bent, nuisances=replace(bent.nuisances, shape_sample=np.array([1])))
    with pytest.raises(InputError, match="different numbers of background terms"):
        combine([replace(channel(1, windows=2), terms=np.array([0, 1])), bent])
