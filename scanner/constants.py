"""Constants of nature: GeV, fb and cm throughout.

Source: Particle Data Group, Review of Particle Physics (2024), unless said otherwise.
"""

import math

ALPHA = 1.0 / 137.036
"""Fine-structure constant at zero momentum transfer."""
E_CHARGE = math.sqrt(4.0 * math.pi * ALPHA)
"""Positron charge in natural units."""
HBARC2 = 0.3893794e12
"""(ħc)² [fb GeV²]."""
HBARC_CM = 1.973269804e-14
"""ħc [GeV cm]."""
FERMI_CONSTANT = 1.1663788e-5
"""Fermi constant [GeV⁻²]."""
VACUUM_EXPECTATION = (math.sqrt(2.0) * FERMI_CONSTANT) ** -0.5
"""Vacuum expectation value of the Higgs field [GeV]."""
HBAR = 6.582119569e-25
"""ħ [GeV s]."""
SIN2_THETA_W = 0.2312
"""Weak mixing angle sin²θ_W at the Z pole, MS-bar."""

V_UD, V_TS, V_TB = 0.97367, 0.04110, 0.999118
"""Magnitudes of CKM matrix elements."""
F_PION = 0.1302
"""Decay constant of the charged pion [GeV]."""

MASS_ELECTRON = 0.51099895e-3
MASS_MUON = 0.1056583755
MASS_TAU = 1.77686
MASS_PION = 0.13957039
MASS_PION0 = 0.1349768
MASS_ETA = 0.547862
MASS_ETA_PRIME = 0.95778
MASS_RHO = 0.77526
MASS_OMEGA = 0.78266
MASS_PHI = 1.019461
MASS_KAON = 0.493677
MASS_KSTAR0 = 0.89555
MASS_B = 5.27941
MASS_B0 = 5.27972
MASS_UPSILON_1S = 9.4604
MASS_STRANGE_QUARK, MASS_CHARM_QUARK, MASS_BOTTOM_QUARK = 0.0935, 1.273, 4.183
MASS_TOP = 172.57
MASS_W = 80.3692
"""Masses [GeV]; those of quarks but top at their own scale (strange at 2 GeV), MS-bar."""

LIFETIME_TAU = 290.3e-15
LIFETIME_B, LIFETIME_B0 = 1.638e-12, 1.517e-12
"""Mean lives [s]."""

SQRT_S = 10.58
"""Nominal centre-of-mass energy of the B factories at the Υ(4S) [GeV]."""

QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)
"""Quantiles of the background-only distribution at which expected limits are stored."""
