"""Names that expressions may use without declaring them, and what a name may look like."""

import math
import re

from scanner import constants

NAMED_CONSTANTS: dict[str, float] = {
    "m_e": constants.MASS_ELECTRON,
    "m_mu": constants.MASS_MUON,
    "m_tau": constants.MASS_TAU,
    "m_pi": constants.MASS_PION,
    "pi": math.pi,
}
"""Constants inside expressions, masses in GeV; `sqrt_s` joins them from the definition's beam."""

MASS_ALIAS = "m"
"""Name of the window's mass beside the name of the mass axis itself."""
BEAM_ENERGY = "sqrt_s"
RESERVED = frozenset({*NAMED_CONSTANTS, BEAM_ENERGY})

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")
"""Names become columns, dimensions and file names, so they are plain identifiers."""
