"""Fits with constrained nuisances against iminuit, pyhf and the linear engine."""

from dataclasses import replace

import numpy as np
import pyhf
import pytest
from numpy.polynomial import chebyshev
from scipy.stats import norm, poisson

from scanner.errors import InputError
from scanner.likelihoods.binned import BinnedProblem
from scanner.likelihoods.expectation import Expectation
from scanner.likelihoods.fit import STATUS_MEANINGS, expectation, fit, fit_with_nuisances
from scanner.likelihoods.interchange import STRENGTH, pyhf_workspace
from scanner.likelihoods.minuit import fit_window
from scanner.likelihoods.nuisances import Nuisances


def problem(rate, bins=40, terms=2, windows=3, nuisances=6, delta=0.0, signal_yield=0.0, seed=1):
    """Half of the nuisances scale signal and a fixed sample, half bend the fixed sample."""
    edges = np.linspace(-1.0, 1.0, bins + 1)
    signal = np.diff(norm.cdf(edges / 0.1))
    rows = [np.diff(chebyshev.chebval(edges, chebyshev.chebint(row))) for row in np.eye(terms)]
    rows = np.array(rows).reshape(terms, bins)
    x = 0.5 * (edges[1:] + edges[:-1])
    fixed = 0.5 * rate * np.exp(-x)
    rng = np.random.default_rng([seed, int(1000 * rate), bins, nuisances])
    mean = fixed + rate * (1.0 - 0.5 * x) * (terms > 0) + signal_yield * signal
    effects = nuisance_effects(windows, terms, nuisances, fixed, x, delta)
    return BinnedProblem(
        rng.poisson(mean, (windows, bins)).astype(float),
        np.tile(signal, (windows, 1)),
        np.tile(rows, (windows, 1, 1)),
        nuisances=effects,
    )


def nuisance_effects(windows, terms, nuisances, fixed, x, delta):
    scaled = nuisances // 2
    logs = np.zeros((windows, nuisances, terms + 2, 2))
    logs[:, :scaled, 0] = [-0.05, 0.04]
    logs[:, :scaled, -1] = np.array([-0.15, 0.1]) / max(scaled, 1)
    bent = [0.1 / (k + 1) * fixed * np.sin((k + 1) * x) for k in range(nuisances - scaled)]
    shape = np.array([[-1.2 * change, change] for change in bent]).reshape(-1, 2, fixed.size)
    return Nuisances(
        tuple(f"n{j}" for j in range(nuisances)),
        logs,
        np.tile(shape, (windows, 1, 1, 1)),
        np.arange(scaled, nuisances),
        np.full(nuisances - scaled, terms + 1),
        np.tile(fixed, (windows, 1, 1)),
        statistics=np.full((windows, fixed.size), delta),
        uncertain=np.arange(terms + 2) == terms + 1,
    )


KINDS = {
    "dense": {"rate": 500.0},
    "signal": {"rate": 100.0, "signal_yield": 80.0},
    "huge": {"rate": 1e5},
    "few a bin": {"rate": 3.0},
    "statistics": {"rate": 50.0, "delta": 0.1},
    "poor statistics": {"rate": 5.0, "delta": 0.7},
    "no background terms": {"rate": 20.0, "terms": 0},
    "one bin": {"rate": 50.0, "bins": 1, "terms": 0, "nuisances": 3},
}


@pytest.mark.parametrize("held", [None, 7.0])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_window_agrees_with_iminuit(kind, held):
    batch = problem(**KINDS[kind], windows=2)
    result = fit(batch, None if held is None else np.full(2, held), second_opinion=False)
    for w in range(2):
        opinion = fit_window(batch, w, held)
        assert opinion.valid
        assert STATUS_MEANINGS[result.status[w]] == "ok"
        assert result.nll[w] == pytest.approx(opinion.nll, abs=1e-6)
        assert np.abs(result.pulls[w] - opinion.pulls).max() < 2e-3
        by_differences = errors_by_differences(batch, result, w, held)
        assert result.pull_errors[w] == pytest.approx(by_differences, rel=2e-3)
        # the steps of HESSE are too long for the bent valley of a huge window
        assert result.pull_errors[w] == pytest.approx(
            opinion.pull_errors, rel=0.06 if kind == "huge" else 0.02
        )
        if held is None:
            assert abs(result.yields[w] - opinion.signal_yield) < 1e-3 * result.errors[w]
            assert result.errors[w] == pytest.approx(opinion.error, rel=5e-3)


def errors_by_differences(batch, result, w, held):
    """Return errors of the nuisances from differences of the gradient, itself from differences of sums."""
    model, counts = Expectation.of(batch, w), batch.counts[w]
    terms, nuisances = batch.terms[w], result.pulls.shape[1]
    theta = np.concatenate([result.pulls[w], result.background[w, :terms], result.yields[w : w + 1]])
    scale = np.ones(theta.size)
    scale[nuisances:] = np.sqrt(counts.sum())
    steps = np.eye(theta.size)[: theta.size - (held is not None)]

    def gradient(x):
        """At the best β only A and C move the NLL, by 1 − n/ν each."""
        nu, beta = model.expected(theta + scale * x, counts)
        slope = 1.0 - np.divide(counts, nu, out=np.zeros_like(nu), where=counts > 0.0)
        found = np.empty(len(steps))
        for i, step in enumerate(1e-3 * steps):
            above, below = model.sums(theta + scale * (x + step)), model.sums(theta + scale * (x - step))
            found[i] = slope @ (beta * (above[0] - below[0]) + above[1] - below[1]) / 2e-3
        found[:nuisances] += (theta + scale * x)[:nuisances] - model.effects.observed[0]
        return found

    def hessian(size):
        return np.array([gradient(size * step) - gradient(-size * step) for step in steps]) / (2.0 * size)

    extrapolated = (4.0 * hessian(1e-3) - hessian(2e-3)) / 3.0
    return np.sqrt(np.diag(np.linalg.inv(extrapolated)))[:nuisances]


@pytest.fixture
def tight_pyhf():
    backend, optimizer = pyhf.get_backend()
    pyhf.set_backend("numpy", pyhf.optimize.minuit_optimizer(tolerance=1e-5, strategy=2, maxiter=100_000))
    yield
    pyhf.set_backend(backend, optimizer)


def pyhf_model(batch, w):
    workspace = pyhf.Workspace(pyhf_workspace(batch, w))
    model = workspace.model(
        modifier_settings={"normsys": {"interpcode": "code4"}, "histosys": {"interpcode": "code4p"}}
    )
    return model, workspace.data(model)


def pyhf_parameters(model, batch, result, w):
    """Return a fit as pyhf's parameters."""
    terms = batch.terms[w]
    theta = np.concatenate([result.pulls[w], result.background[w, :terms], result.yields[w : w + 1]])
    _, beta = Expectation.of(batch, w).expected(theta, batch.counts[w])
    values = {STRENGTH: result.yields[w], "template_statistics": beta}
    values |= dict(zip(batch.nuisances.names, result.pulls[w], strict=True))
    values |= {f"background_{k}": result.background[w, k] for k in range(terms)}
    return np.concatenate([np.atleast_1d(values[name]) for name in model.config.par_order])


def saturated(batch, w):
    """Return pyhf's −ln L where every count and every constraint is met."""
    counts, delta = batch.counts[w], batch.nuisances.statistics[w]
    constraints = (
        -norm.logpdf(0.0) * len(batch.nuisances.names) - norm.logpdf(0.0, scale=delta[delta > 0]).sum()
    )
    return constraints - poisson.logpmf(counts, counts).sum()


@pytest.mark.usefixtures("tight_pyhf")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("kind", ["dense", "signal", "few a bin", "statistics", "one bin"])
def test_likelihood_and_minimum_are_those_of_pyhf(kind):
    batch = problem(**KINDS[kind], windows=1)
    model, data = pyhf_model(batch, 0)
    for held in (-3.0, 0.0, 12.0):
        result = fit(batch, np.array([held]))
        theirs = -float(model.logpdf(pyhf_parameters(model, batch, result, 0), data)[0])
        assert result.nll[0] == pytest.approx(theirs - saturated(batch, 0), abs=1e-8 * max(theirs, 1.0))
    result = fit(batch)
    best, twice = pyhf.infer.mle.fit(data, model, return_fitted_val=True)
    assert result.nll[0] == pytest.approx(0.5 * float(twice) - saturated(batch, 0), abs=2e-5)
    assert abs(best[model.config.poi_index] - result.yields[0]) < 5e-3 * result.errors[0]


@pytest.mark.parametrize("rate", [500.0, 3.0, 0.5, 0.05])
def test_without_effects_the_fit_is_the_linear_one(rate):
    batch = problem(rate, windows=60)
    linear = BinnedProblem(batch.counts, batch.signal, batch.background)
    plain, ours = fit(linear, second_opinion=False), fit_with_nuisances(linear, np.full(60, np.nan))
    assert ours.status.tolist() == plain.status.tolist()
    usable = np.isfinite(plain.yields)
    assert usable.sum() > 50
    assert np.all(np.abs(ours.yields - plain.yields)[usable] < 1e-4 * plain.errors[usable])
    assert ours.nll[usable] == pytest.approx(plain.nll[usable], abs=1e-7)


def test_nuisances_of_size_zero_change_nothing():
    batch = problem(20.0, windows=20)
    still = Nuisances(("a",), np.zeros((20, 1, 3, 2)), *no_shapes(20, 40), np.zeros((20, 0, 40)))
    linear = BinnedProblem(batch.counts, batch.signal, batch.background)
    with_still = fit(BinnedProblem(batch.counts, batch.signal, batch.background, nuisances=still))
    assert with_still.yields == pytest.approx(fit(linear).yields, abs=1e-4)
    assert np.all(with_still.pulls == 0.0)
    assert with_still.pull_errors == pytest.approx(1.0, rel=1e-12)


def no_shapes(windows, bins):
    return np.zeros((windows, 0, 2, bins)), np.empty(0, int), np.empty(0, int)


def test_a_window_gives_the_same_bits_in_any_company():
    sparse, dense = problem(0.5, windows=12, delta=0.2), problem(300.0, windows=12, delta=0.2)
    for batch in (sparse, dense):
        together = fit(batch)
        order = np.random.default_rng(0).permutation(12)
        shuffled = fit(batch.select(order))
        for name in ("yields", "errors", "nll", "pulls", "pull_errors", "status", "attempts"):
            assert np.array_equal(getattr(shuffled, name), getattr(together, name)[order], equal_nan=True)


@pytest.mark.parametrize("delta", [0.0, 0.2])
def test_terms_out_of_use_change_no_bit(delta):
    own = problem(30.0, windows=8, delta=delta)
    effects, junk = own.nuisances, np.random.default_rng(3).normal(size=(8, 2, 40))
    norm = np.insert(effects.norm, [3, 3], 0.3, axis=2)
    uncertain = np.insert(effects.uncertain, [3, 3], True)
    wider = replace(effects, norm=norm, shape_sample=effects.shape_sample + 2, uncertain=uncertain)
    background = np.concatenate([own.background, junk], axis=1)
    among = BinnedProblem(own.counts, own.signal, background, terms=np.full(8, 2), nuisances=wider)
    alone, padded = fit(own), fit(among)
    for name in ("yields", "errors", "nll", "pulls", "pull_errors", "status", "attempts"):
        assert np.array_equal(getattr(padded, name), getattr(alone, name), equal_nan=True)


@pytest.mark.parametrize(("rate", "close"), [(0.2, 1e-4), (5.0, 1e-5), (500.0, 1e-6)])
def test_samples_without_events_change_nothing(rate, close):
    """With many samples the Hessian is summed by parameters, with few by samples.

    Errors are those before the last step, of 1e-3 σ at most: by rounding, one of two fits takes another.
    """
    few = problem(rate, windows=10)
    effects = few.nuisances
    nothing = np.zeros((10, 12, 40))
    many = replace(
        effects,
        norm=np.concatenate([effects.norm, np.full((10, 6, 12, 2), 0.2)], axis=2),
        fixed=np.concatenate([effects.fixed, nothing], axis=1),
        uncertain=np.ones(16, dtype=bool),
    )
    ours, other = fit(few), fit(replace(few, nuisances=many))
    assert other.status.tolist() == ours.status.tolist()
    assert np.abs(other.yields - ours.yields).max() < 1e-5 * ours.errors.max()
    assert other.errors == pytest.approx(ours.errors, rel=close)
    assert other.pulls == pytest.approx(ours.pulls, abs=1e-5)
    assert other.pull_errors == pytest.approx(ours.pull_errors, rel=close)


@pytest.mark.parametrize("delta", [0.0, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("rate", [0.02, 0.2])
def test_sparse_windows_have_a_minimum_that_nothing_near_undercuts(rate, delta):
    batch = problem(rate, windows=10, delta=delta)
    result = fit(batch, second_opinion=False)
    assert {STATUS_MEANINGS[code] for code in result.status} <= {"ok", "positivity_boundary"}
    step = 0.02 * np.maximum(np.abs(result.yields), 0.1)
    for shifted in (result.yields - step, result.yields + step):
        beside = fit(batch, shifted, second_opinion=False)
        assert np.all(~np.isfinite(beside.nll) | (beside.nll >= result.nll - 1e-8))


def test_expectation_of_the_fit():
    batch = problem(50.0, delta=0.1)
    result = fit(batch)
    total = expectation(batch, result)
    assert total.shape == batch.counts.shape
    assert total.sum(axis=1) == pytest.approx(batch.counts.sum(axis=1), rel=0.2)


def test_a_part_of_the_signal_with_effects_of_its_own():
    """A part that takes up the whole effect of its sample is that sample."""
    batch = problem(50.0, nuisances=2, signal_yield=60.0)
    effects = batch.nuisances
    logs = np.concatenate([effects.norm, effects.norm[:, :, :1]], axis=2)
    half = 0.5 * batch.signal[:, None]
    rest = (effects.shape, effects.shape_nuisance, effects.shape_sample, effects.fixed)
    split = Nuisances(effects.names, logs, *rest, parts=half, part_of=np.array([0]))
    divided = BinnedProblem(batch.counts, batch.signal, batch.background, nuisances=split)
    whole, parted = fit(batch), fit(divided)
    assert parted.yields == pytest.approx(whole.yields, rel=1e-8)
    assert parted.nll == pytest.approx(whole.nll, rel=1e-10)


def test_events_where_nothing_is_expected():
    batch = problem(10.0, terms=0, windows=2)
    batch.signal[0, 4] = batch.nuisances.fixed[0, 0, 4] = 0.0
    batch.nuisances.shape[0, :, :, 4] = 0.0
    batch.counts[0, 4] = 1.0
    result = fit(batch)
    assert [STATUS_MEANINGS[code] for code in result.status] == ["events_where_none_are_possible", "ok"]
    assert np.isnan(result.pulls[0]).all()


def test_wrong_shapes_are_refused():
    effects = problem(10.0).nuisances
    with pytest.raises(InputError, match="negative standard deviations"):
        Nuisances(
            effects.names,
            effects.norm,
            effects.shape,
            effects.shape_nuisance,
            effects.shape_sample,
            effects.fixed,
            statistics=np.full((3, 40), -0.1),
        )
