"""Coupling models: one small module each, and the table that lists them."""

from scanner.errors import InputError
from scanner.models.alp_lepton import ALPLepton
from scanner.models.alp_photon import ALPPhoton
from scanner.models.alp_w import ALPW
from scanner.models.base import CouplingModel
from scanner.models.dark_higgsstrahlung import DarkHiggsstrahlung
from scanner.models.dark_photon import DarkPhoton, InvisibleDarkPhoton
from scanner.models.dark_scalar import DarkScalar
from scanner.models.heavy_neutral_lepton import HeavyNeutralLepton
from scanner.models.inelastic import InelasticDarkMatter, InelasticMixing
from scanner.models.leptophilic_scalar import LeptophilicScalar
from scanner.models.muonphilic_scalar import MuonphilicScalar
from scanner.models.tau_alpha import TauAlpha
from scanner.models.zprime_lmu_ltau import ZPrimeLMuLTau

__all__ = ["MODELS", "CouplingModel", "get"]

MODELS: dict[str, CouplingModel] = {
    model.name: model
    for model in (
        ZPrimeLMuLTau(),
        MuonphilicScalar(),
        ALPPhoton(),
        ALPW(),
        ALPLepton(),
        DarkPhoton(),
        InvisibleDarkPhoton(),
        DarkHiggsstrahlung(),
        DarkScalar(),
        LeptophilicScalar(),
        InelasticDarkMatter(),
        InelasticMixing(),
        HeavyNeutralLepton(),
        TauAlpha(),
    )
}
"""The coupling models by name, with default parameters."""


def get(name: str) -> CouplingModel:
    """Return the model of this name.

    Raises
    ------
    InputError
        For a name that is not in `MODELS`.
    """
    if name not in MODELS:
        raise InputError(f"no coupling model {name!r}; there are {', '.join(sorted(MODELS))}")
    return MODELS[name]
