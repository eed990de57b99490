"""Coupling models: one small module each, and the table that lists them."""

from scanner.errors import InputError
from scanner.models.alp_photon import ALPPhoton
from scanner.models.base import CouplingModel
from scanner.models.muonphilic_scalar import MuonphilicScalar
from scanner.models.zprime_lmu_ltau import ZPrimeLMuLTau

__all__ = ["MODELS", "CouplingModel", "get"]

MODELS: dict[str, CouplingModel] = {
    model.name: model for model in (ZPrimeLMuLTau(), MuonphilicScalar(), ALPPhoton())
}
"""The coupling models by name."""


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
