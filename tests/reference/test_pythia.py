"""Spectra of muon and τ pairs beside those of PYTHIA, from `make pythia`; skipped where it is absent.

Both have radiation off the beams by structure functions, none off the leptons, and unpolarised τ leptons.
PYTHIA's photons have transverse momentum, and its hadronic decays of the τ go by measured currents, those of
the generator by one resonance: what is asked is that distribution functions, smeared by a detector's
resolution, differ by no more than 0.03 beyond statistics. Photons softer than that are cut off differently.

Combinations that look like B → K⁺γγ are drawn from a table that PYTHIA made; other events of it find them.
"""

import subprocess
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import ks_2samp

from scanner.constants import SQRT_S
from scanner.simulation import calibrate_combinations, generate_chunk, get, kinematics, recoil, tau_decays

ORACLES = Path(__file__).parent / "oracles"
PYTHON = Path(__file__).parents[2] / ".venv-pythia" / "bin" / "python"
EVENTS, OURS, HADRONIC = 40_000, 150_000, 120_000
APART = 0.03
"""Largest distance of two distribution functions that the approximations explain."""
RESOLUTION = 0.005
"""Of momenta and masses, relative to half of √s and to √s."""
CRITICAL = 1.63
"""Kolmogorov's 1% point, over √N."""
KINDS = {11: tau_decays.ELECTRON, 13: tau_decays.MUON, 211: tau_decays.HADRON, 0: tau_decays.SEVERAL}

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="no PYTHIA: `make pythia` sets up its environment"
)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    path = tmp_path_factory.mktemp("pythia") / "spectra.npz"
    subprocess.run([PYTHON, ORACLES / "pythia_spectra.py", str(EVENTS), path], check=True)
    return dict(np.load(path))


@pytest.fixture(scope="module")
def taus():
    return recoil.TAUS.draw(np.random.default_rng(2), OURS, SQRT_S)


@pytest.fixture(scope="module")
def decays(taus):
    return tau_decays.one_prong(np.random.default_rng(3), taus[0])


def check(name, ours, other, scale=1.0):
    rng = np.random.default_rng(4)
    ours, other = (v + scale * RESOLUTION * rng.standard_normal(len(v)) for v in (ours, other))
    distance, allowed = ks_2samp(ours, other).statistic, APART + CRITICAL / np.sqrt(len(other))
    print(f"{name}: distance {distance:.4f} of {allowed:.4f}, means {ours.mean():.4f} and {other.mean():.4f}")
    assert distance < allowed, name


def cosine(p):
    return kinematics.BEAM_AXIS @ p[1:] / kinematics.momentum(p)


def test_muon_pairs_in_the_drift_chamber(theirs):
    pairs = np.stack([kinematics.turn_to_beam(k) for k in theirs["muons"]])
    seen = recoil._seen(pairs) & (kinematics.mass(pairs[0] + pairs[1]) > recoil.LOWEST["mu_mu"])
    sigma = recoil.MUONS.integral(SQRT_S).cross_section / 1e6
    print(
        f"muons seen: {sigma:.4f} nb and {theirs['sigma_13'] * seen.mean():.4f} of {theirs['sigma_13']:.4f}"
    )
    assert theirs["sigma_13"] * seen.mean() == pytest.approx(sigma, rel=0.03)
    pairs, ours = pairs[:, :, seen], recoil.MUONS.draw(np.random.default_rng(1), OURS, SQRT_S)
    check("momentum of the muon", *(2 * kinematics.momentum(p[0]) / SQRT_S for p in (ours, pairs)))
    check("cosine of the muon", cosine(ours[0]), cosine(pairs[0]))
    check("mass of the muons", *(kinematics.mass(p[0] + p[1]) for p in (ours, pairs)), SQRT_S)


def test_masses_and_rate_of_tau_pairs(theirs, taus):
    sigma = recoil.TAUS.integral(SQRT_S).cross_section / 1e6
    print(f"τ pairs: {sigma:.4f} nb and {theirs['sigma_15']:.4f}")
    assert theirs["sigma_15"] == pytest.approx(sigma, rel=0.03)
    check("mass of the τ pair", kinematics.mass(taus[0] + taus[1]), theirs["pair_mass"], SQRT_S)


@pytest.mark.parametrize("code", [11, 13, 211])
def test_momenta_and_angles_of_tau_decays(theirs, decays, code):
    momenta, kinds = decays
    ours, other = momenta[:, kinds == KINDS[code]], theirs["tau"][:, theirs["kind"] == code]
    check(f"momentum of {code}", *(2 * kinematics.momentum(p) / SQRT_S for p in (ours, other)))
    check(f"cosine of {code}", cosine(ours), other[3] / kinematics.momentum(other))


def test_shares_of_tau_decays(theirs, decays):
    for code, kind in KINDS.items():
        share = np.mean(theirs["kind"] == code)
        print(f"{code}: {np.mean(decays[1] == kind):.4f} and {share:.4f}")
        assert np.mean(decays[1] == kind) == pytest.approx(share, abs=0.015)


def test_flavours_of_quarks(theirs):
    """1.61, 0.40, 0.38 and 1.30 nb of u, d, s and c in full generators (1808.10567, table 10)."""
    for code, expected in ((2, 1.61), (1, 0.40), (3, 0.38), (4, 1.30)):
        print(f"flavour {code}: {expected} and {theirs[f'sigma_{code}']:.4f}")
        assert theirs[f"sigma_{code}"] == pytest.approx(expected, rel=0.1)


@pytest.fixture(scope="module")
def combinations(tmp_path_factory):
    """Return candidates of K⁺γγ in the wide ranges, a pass through the detector, and the luminosity."""
    path = tmp_path_factory.mktemp("pythia") / "combinations.npz"
    subprocess.run([PYTHON, ORACLES / "pythia_combinations.py", str(HADRONIC), path, "5"], check=True)
    whole, luminosity = calibrate_combinations.merged([path])
    return calibrate_combinations.measured(whole, repeats=4), luminosity


def test_combinations_have_the_rate_of_their_table(combinations):
    found, luminosity = combinations
    inside = found["inside"]
    sigma = np.count_nonzero(inside) / 4 / luminosity
    several = len(np.unique(found["event"][inside]))
    table = get("kaon_photon_combinations").size
    print(f"K⁺γγ: {table:.0f} fb and {sigma:.0f} fb, of {several} combinations")
    assert sigma == pytest.approx(table, rel=0.03 + 3 / np.sqrt(several))


def test_combinations_have_the_spectra_of_their_table(combinations):
    found, _ = combinations
    ours = generate_chunk("kaon_photon_combinations", OURS, (1,), sqrt_s=SQRT_S)
    for name, chosen in (("m_gg", slice(None)), ("m_bc", found["inside"]), ("delta_e", found["inside"])):
        other = found[name][chosen]
        distance = ks_2samp(ours[name], other).statistic
        allowed = APART + CRITICAL / np.sqrt(len(np.unique(found["event"][chosen])))
        print(f"{name} of K⁺γγ: distance {distance:.3f} of {allowed:.3f}")
        assert distance < allowed, name
