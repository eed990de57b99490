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

MASS_ELECTRON = 0.51099895e-3
MASS_MUON = 0.1056583755
MASS_TAU = 1.77686
MASS_PION = 0.13957039
MASS_PION0 = 0.1349768
MASS_ETA = 0.547862
MASS_ETA_PRIME = 0.95778
"""Masses [GeV]."""

SQRT_S = 10.58
"""Nominal centre-of-mass energy of the B factories at the Υ(4S) [GeV]."""

QUANTILES = (0.025, 0.16, 0.5, 0.84, 0.975)
"""Quantiles of the background-only distribution at which expected limits are stored."""
