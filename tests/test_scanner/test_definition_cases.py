"""The hard cases that the schema must be able to say, and what is understood of each."""

import numpy as np
import pytest

from scanner.definition import from_json, parse

PLANE = """
name: dark_higgsstrahlung
title: e+e- → A′h′, A′ → μμ, h′ invisible
reference: {experiment: Belle II, arxiv: "2207.00509"}
beam: {sqrt_s: 10.58 GeV}
luminosity: 8.34 fb^-1
columns: {m_mumu: GeV, m_recoil: GeV, p_t: GeV, helicity: "1"}
scan:
  m_aprime: {range: [1.65 GeV, 10.51 GeV], step: 1 resolution(m_mumu)}
  m_hprime: {range: [0 GeV, 10.51 GeV], step: 1 resolution(m_recoil), where: m_hprime < m_aprime}
window:
  shape: ellipse
  axes: [m_mumu, m_recoil]
  half_width: 2 resolution
  tilt: {formula: 0.1 * m_hprime / m_aprime, source: default}
channels:
  mumu:
    source: default
    select: p_t > cut_pt(m_aprime, m_hprime) and abs(helicity) < cut_h(m_aprime, m_hprime)
    functions:
      cut_pt:
        outside: clamp
        table:
          m_aprime: 2, 4, 8 GeV
          m_hprime: 0, 5 GeV
          value: ["0.1, 0.2 GeV", "0.3, 0.4 GeV", "500, 600 MeV"]
      cut_h: {table: {m_aprime: 2 GeV, m_hprime: "0, 5 GeV", value: [0.9, 0.95]}, outside: clamp}
signal:
  shape: counting
  source: default
  resolutions: {m_mumu: 10 MeV, m_recoil: {formula: 0.02 + 0.001 * m_hprime, unit: GeV}}
  efficiency: 10%
background: {shape: counting, estimate: simulation, systematic: 10%, source: default}
method: {limit: bayesian, prior: flat in yield}
model: dark_higgsstrahlung
"""

CONFIGURATIONS = """
name: idm_dark_higgs
beam: {sqrt_s: 10.58 GeV}
luminosity: 365 fb^-1
columns:
  {m_pair_1: GeV, r_vertex_1: cm, pointing_angle_1: rad, l_proper_1: cm, l_proper_2: cm, ctau_1: cm,
   ctau_2: cm}
configurations:
  product:
    splitting: 0.2, 0.4
    ratio_aprime_chi1: [3, 4]
    alpha_d: [0.1, 0.5]
    m_chi1: 0.5, 1, 2, 2.5 GeV
scan:
  m_hprime: {range: [0.28 GeV, 3 GeV], step: 0.5 resolution}
  ctau_hprime: {values: {log: [1e-3 cm, 10 m], points: 7}}
channels:
  mumu:
    select: [pointing_angle_1 < 0.02, r_vertex_1 > 0.1, m_pair_1 < m_chi1 * ratio_aprime_chi1]
    observable: m_pair_1
    vetoes: [{range: [0.48 GeV, 0.52 GeV], source: default}]
    source: default
  pipi: {observable: m_pair_1, efficiency: {constant: 5%, source: default}}
signal: {shape: gaussian, source: default, resolution: 4 MeV, efficiency: {formula: 0.1 / (1 + ctau_hprime)}}
background: {shape: counting, estimate: sideband, sideband: {observable: m_pair_1, exclude: 5 resolution}}
decays:
  hprime: {displacement: l_proper_1, generated_ctau: ctau_1, axis: ctau_hprime}
  chi2: {displacement: l_proper_2, generated_ctau: ctau_2}
model: idm_dark_higgs
"""

CHANNELS = """
name: b_ks_llp
beam: {sqrt_s: 10.58 GeV}
confidence_level: 95%
normalisation: {kind: pairs, pairs: 2.0e8, per_pair: 2, source: default}
columns: {m_ll: GeV, m_pipi: GeV, reduced_ll: {unit: GeV, expression: "sqrt(max(m_ll**2 - 4 * m_mu**2, 0))"}}
scan:
  m_s: {range: [0.25 GeV, 4 GeV], step: 1 resolution}
  ctau: {values: {log: [1e-3 cm, 400 cm], points: 17}}
channels:
  kplus_mumu:
    observable: reduced_ll
    efficiency:
      source: computed
      table: {m_s: "0.2, 4 GeV", ctau: "1e-3, 400 cm", value: ["20, 1 %", "10, 2 %"]}
  kplus_pipi:
    observable: m_pipi
    efficiency: {constant: 3%, source: computed}
    background: {shape: linear, order: {"m < 1": 0, else: 1}}
signal: {shape: double_gaussian, source: default, resolution: 3 MeV, parameters: {fraction: 0.2, ratio: 2}}
background: {shape: linear}
systematics:
  tracking: {on: efficiency, size: 2%, channels: [kplus_mumu], group: tracks, source: default}
method: {likelihood: unbinned}
"""

TEMPLATES = """
name: zp_inv
beam: {sqrt_s: 10.58 GeV}
luminosity: 79.7/fb
columns: {m_recoil: GeV, theta_recoil: rad}
scan: {m_zprime: {range: [0 GeV, 9 GeV], step: 0.5 resolution}}
channels: {mumu: {observable: [m_recoil**2, theta_recoil]}}
window:
  binning:
    - {observable: m_recoil**2, where: m < 3, edges: "-1, 0, 1, 4 GeV^2"}
    - {observable: theta_recoil, edges: [0 deg, 90 deg, 180 deg]}
signal: {shape: template, template: zprime_invisible, source: computed, resolution: 50 MeV, efficiency: 5%}
background:
  shape: template
  templates:
    mumugamma: {sample: mu_mu_gamma, floating: true, source: default}
    tautau: {sample: tau_tau, normalisation: 5%, source: default}
systematics:
  shape: {on: mumugamma, kind: shape, size: spurious_signal, source: default}
interpretations:
  lmu_ltau: {name: zprime_lmu_ltau, final_state: invisible}
  all_invisible: {name: zprime_lmu_ltau, branching_fraction: 1, source: default}
"""

COUNTS = """
name: hnl_tau
beam: {sqrt_s: 10.58 GeV}
normalisation: {kind: pairs, pairs: 836e6, per_pair: 2, source: arXiv:2402.02580}
scan:
  m_n: {range: [0.3 GeV, 1.6 GeV], step: 1 resolution}
  u2: {values: {log: [1e-6, 1e-1], points: 11}, unit: 1}
channels:
  heavy: {counts: {observed: 1, expected: 0.8, error: 0.4, source: arXiv:2402.02580}}
  light: {counts: {observed: 0, expected: 0.7, error_low: 0.3, error_high: 0.6, source: arXiv:2402.02580}}
signal:
  shape: counting
  source: default
  resolution: 5 MeV
  efficiency:
    interpolation: log
    table: {m_n: "0.3, 1.6 GeV", u2: [1.0e-6, 1.0e-1], value: [[0.1, 1.0e-3], [0.2, 2.0e-3]]}
background: {shape: counting, estimate: given}
model: hnl
"""

SINGLE = """
name: tau_3mu
beam: {sqrt_s: 10.58 GeV}
luminosity: 424 fb^-1
normalisation: {kind: pairs, cross_section: 0.919 nb, per_pair: 2, source: arXiv:2405.07386}
scan: {m_3mu: {values: 1.777 GeV}}
channels:
  ellipse: {counts: {observed: 1, expected: 0.7, error_low: 0.5, error_high: 0.6, source: arXiv:2405.07386}}
signal: {shape: counting, efficiency: {constant: 20.4%, source: arXiv:2405.07386}}
background: {shape: counting, estimate: given}
systematics:
  momentum_scale: {on: background, kind: normal, size: 16%, source: arXiv:2405.07386}
"""

ALL = {"plane": PLANE, "configurations": CONFIGURATIONS, "channels": CHANNELS}
ALL |= {"templates": TEMPLATES, "counts": COUNTS, "single": SINGLE}


@pytest.mark.parametrize("case", ALL)
def test_each_case_survives_its_canonical_text(case):
    search = parse(ALL[case])
    again = from_json(search.canonical)
    assert again.canonical == search.canonical
    assert again.digest == search.digest
    assert list(again.channels) == list(search.channels)
    assert list(again.scan) == list(search.scan)


def test_a_plane_of_windows():
    search = parse(PLANE)
    assert list(search.scan) == ["m_aprime", "m_hprime"]
    assert search.scan["m_hprime"].where == "m_hprime < m_aprime"
    assert (search.scan["m_aprime"].step, search.scan["m_aprime"].step_of) == (1.0, "m_mumu")
    assert search.window.shape == "ellipse"
    assert search.window.axes == ("m_mumu", "m_recoil")
    assert search.window.tilt(4.0, m_hprime=2.0) == pytest.approx(0.05)
    cut = search.channels["mumu"].functions["cut_pt"]
    assert cut.variables == ("m_aprime", "m_hprime")
    assert cut(np.array([3.0, 9.0]), m_hprime=2.5) == pytest.approx([0.25, 0.55])
    assert search.signal.resolutions["m_recoil"](1.0, m_hprime=2.0) == pytest.approx(0.022)
    assert search.background.systematic == 0.1
    assert search.method.prior == "flat in yield"


def test_configurations_and_lifetimes():
    search = parse(CONFIGURATIONS)
    assert len(search.configurations) == 32
    first = search.configurations[0]
    assert first.name == "alpha_d=0.1,m_chi1=0.5,ratio_aprime_chi1=3,splitting=0.2"
    assert first.parameters == {"alpha_d": 0.1, "m_chi1": 0.5, "ratio_aprime_chi1": 3.0, "splitting": 0.2}
    assert first.units["m_chi1"] == "GeV"
    lifetimes = search.scan["ctau_hprime"]
    assert lifetimes.unit == "cm"
    assert lifetimes.values == pytest.approx([1e-3, 1e-2, 1e-1, 1, 10, 100, 1000])
    assert search.channels["mumu"].vetoes[0].range == (0.48, 0.52)
    assert search.decays["hprime"].axis == "ctau_hprime"
    assert search.background.sideband.exclude == 5.0
    assert search.signal.efficiency(1.0, ctau_hprime=1.0) == pytest.approx(0.05)


def test_several_channels():
    search = parse(CHANNELS)
    assert search.confidence_level == 0.95
    assert (search.normalisation.kind, search.normalisation.pairs) == ("pairs", 2e8)
    assert search.channels["kplus_mumu"].observable == "reduced_ll"
    assert search.channels["kplus_mumu"].efficiency(4.0, ctau=1e-3) == pytest.approx(0.1)
    rule = search.channels["kplus_pipi"].background
    assert rule.order_at([0.5, 2.0]).tolist() == [0, 1]
    assert search.method.likelihood == "unbinned"
    assert search.systematics["tracking"].channels == ("kplus_mumu",)


def test_two_dimensional_templates():
    search = parse(TEMPLATES)
    assert search.channels["mumu"].observables == ("m_recoil**2", "theta_recoil")
    assert search.window.binning[0].edges == (-1.0, 0.0, 1.0, 4.0)
    assert search.window.binning[1].edges == pytest.approx((0, np.pi / 2, np.pi))
    assert search.background.templates["tautau"].normalisation == 0.05
    assert search.systematics["shape"].estimate == "spurious_signal"
    assert list(search.interpretations) == ["all_invisible", "lmu_ltau"]
    assert search.model == search.interpretations["all_invisible"]


def test_a_grid_of_published_counts():
    search = parse(COUNTS)
    assert search.inputs == "counts"
    heavy, light = search.channels["heavy"].counts, search.channels["light"].counts
    assert (heavy.observed, heavy.expected, heavy.error_low, heavy.error_high) == (1, 0.8, 0.4, 0.4)
    assert (light.error_low, light.error_high) == (0.3, 0.6)
    assert search.scan["u2"].unit == "1"
    assert search.signal.efficiency(0.3, u2=[1e-6, 1e-1]) == pytest.approx([0.1, 1e-3])


def test_a_single_number():
    search = parse(SINGLE)
    assert search.scan_axis.values == (1.777,)
    assert search.normalisation.cross_section == pytest.approx(0.919e6)
    assert search.signal.efficiency(1.777) == pytest.approx(0.204)
    assert search.systematics["momentum_scale"].size(1.777) == pytest.approx(0.16)
    assert search.luminosity == 424.0


def test_a_spectrum_of_ones_own_is_three_lines():
    search = parse("extends: bump_hunt\nobservable: M\nrange: [0.9 GeV, 1.13 GeV]\nresolution: 12 MeV\n")
    assert {name: column.unit for name, column in search.columns.items()} == {"M": "GeV"}
    (region,) = search.regions
    assert (region.low, region.high, region.observable, region.peak) == (0.9, 1.13, "M", "m")
    assert search.signal.resolution([1.0, 1.1]).tolist() == [0.012, 0.012]
    assert search.signal.resolution.source == "user"
    assert search.channels["all"].select == ()
    assert search.normalisation.kind == "none"


def test_the_short_keys_of_a_spectrum():
    search = parse(
        "extends: bump_hunt\nname: z\nobservable: M\nrange: [60 GeV, 120 GeV]\nresolution: 2.5 GeV\n"
        "select: [M > 50, M < m + 60]\norder: 3\nefficiency: 20%\nluminosity: 2 pb^-1\n"
        "confidence_level: 95%\n"
        "background: {shape: exponential}\nwindow: {half_width: 8 resolution}\n"
    )
    assert search.name == "z"
    assert search.channels["all"].select == ("M > 50", "M < m + 60")
    assert search.channels["all"].source == "user"
    assert search.background.order_at(90.0) == 3
    assert search.background.shape == "exponential"
    assert search.signal.efficiency(90.0) == 0.2
    assert search.luminosity == 0.002
    assert search.normalisation.kind == "luminosity"
    assert search.window.half_width(90.0) == 8.0


def test_a_narrower_range_of_a_built_in_search():
    search = parse("extends: alp_gg\nrange: [1 GeV, 5 GeV]\nname: mine\n")
    assert [region.name for region in search.regions] == ["diphoton"]
    assert (search.regions[0].low, search.regions[0].high) == (1.0, 5.0)
    assert search.scan_axis.name == "m_alp"
    assert search.background.order_at([1.0, 4.9]).tolist() == [4, 4]


def test_orders_by_region():
    search = parse("extends: alp_gg\nbackground: {order:  }\n")
    assert search.background.order_at([1.0]).tolist() == [1]
    search = parse("extends: alp_gg\norder: {diphoton: 2, recoil: 7}\n")
    assert search.background.order_at([0.2, 6.8, 6.85, 9.7]).tolist() == [2, 2, 7, 7]


def test_the_full_form_on_top_of_the_short_one():
    search = parse(
        "extends: bump_hunt\nchannels: {dimuon: {observable: m_mumu}}\ncolumns: {m_mumu: GeV}\n"
        "scan: {m_x: {range: [2 GeV, 3 GeV], step: 1 resolution}}\n"
        "signal: {resolution: {constant: 5 MeV, source: computed}}\nbackground: {order: 4}\n"
    )
    assert list(search.channels) == ["dimuon"]
    assert list(search.scan) == ["m_x"]
    assert search.scan_axis.step == 1.0
    assert search.signal.resolution.source == "computed"
    assert search.background.order_at(2.5) == 4
