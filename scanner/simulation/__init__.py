"""The embedded generator: the table of processes, expected event numbers, and chunks of candidates.

A chunk is a function of the process, its parameters, the number of events and the key alone. Its
events are numbered from 0; who joins chunks shifts the numbers.
"""

from collections.abc import Mapping

import numpy as np

from scanner.errors import InputError
from scanner.simulation.b_to_kaon_photons import KaonALP, KaonMesons, KaonPhotonCombinations
from scanner.simulation.base import Columns, Process
from scanner.simulation.dark_higgs import DarkHiggsDimuon
from scanner.simulation.dimuon_backgrounds import RadiatedDimuon, TauPairDimuon, TwoPhotonDimuon
from scanner.simulation.displaced import DisplacedCombinations, KaonScalar
from scanner.simulation.four_muons import FourMuons, MuMuScalar, MuMuZPrime
from scanner.simulation.four_tracks import (
    MuMuALPTauTau,
    MuMuScalarTauTau,
    MuMuZPrimeTauTau,
    TauTauPair,
    TauTauScalar,
)
from scanner.simulation.heavy_neutrinos import TauHeavyNeutrino
from scanner.simulation.inelastic import FourTracks, InelasticDarkHiggs
from scanner.simulation.lambda_invisible import LambdaCombinations, LambdaInvisible
from scanner.simulation.photons import ALPGamma, EEGammaGamma, GammaGammaGamma, GammaMesons
from scanner.simulation.recoil import EEMuMu, EMuInvisible, MuMuInvisible, MuMuLost, TauTauLost
from scanner.simulation.recoil_lost import EEMuMuLost, MuMuPhotonLost
from scanner.simulation.resonances import EEResonances, MuMuResonances
from scanner.simulation.sampling import generator
from scanner.simulation.single_photon import (
    EEGammaLost,
    GammaALPInvisible,
    GammaGammaLost,
    GammaInvisible,
)
from scanner.simulation.six_tracks import RadiativeSixTracks, SixTracks
from scanner.simulation.spectra import FallingSpectrum, Peak
from scanner.simulation.tau_pairs import TauAlpha, TauLeptons, TauPions
from scanner.simulation.three_muons import TauPionsAsMuons, TauThreeMuons, ThreeMuonCombinations
from scanner.simulation.three_pairs import DarkHiggsSix, DarkoniumSix
from scanner.simulation.upsilon import DipionCombinations, DipionInvisible, DipionLeptons
from scanner.simulation.visible_photon import EEGamma, GammaAPrime, MuMuGamma

__all__ = ["PROCESSES", "Process", "expected_events", "generate_chunk", "get"]

PROCESSES: dict[str, Process] = {
    process.name: process
    for process in (
        *(MuMuZPrime(), MuMuScalar(), FourMuons()),
        *(ALPGamma(), GammaGammaGamma(), EEGammaGamma(), GammaMesons()),
        *(KaonALP(), KaonMesons(), KaonPhotonCombinations()),
        *(DipionInvisible(), DipionLeptons(), DipionCombinations()),
        *(TauAlpha(), TauLeptons(), TauPions()),
        *(TauThreeMuons(), TauPionsAsMuons(), ThreeMuonCombinations()),
        *(GammaInvisible(), GammaALPInvisible(), GammaGammaLost(), EEGammaLost()),
        *(DarkHiggsDimuon(), RadiatedDimuon(), TauPairDimuon(), TwoPhotonDimuon()),
        *(GammaAPrime(), EEGamma(), MuMuGamma(), EEResonances(), MuMuResonances()),
        *(KaonScalar(), DisplacedCombinations()),
        *(LambdaInvisible(), LambdaCombinations()),
        *(InelasticDarkHiggs(), FourTracks(), TauHeavyNeutrino()),
        *(DarkHiggsSix(), SixTracks(), DarkoniumSix(), RadiativeSixTracks()),
        *(MuMuZPrimeTauTau(), MuMuScalarTauTau(), MuMuALPTauTau(), TauTauScalar(), TauTauPair()),
        *(
            MuMuInvisible(),
            EMuInvisible(),
            MuMuLost(),
            TauTauLost(),
            EEMuMu(),
            MuMuPhotonLost(),
            EEMuMuLost(),
        ),
        *(FallingSpectrum(), Peak()),
    )
}
"""The processes by name."""

BLOCK = 8192
"""Events generated at once within a chunk; part of what a chunk's content depends on."""


def get(name: str) -> Process:
    """Return the process of this name.

    Raises
    ------
    InputError
        For a name that is not in `PROCESSES`.
    """
    if name not in PROCESSES:
        raise InputError(f"no process {name!r} in the generator; there are {', '.join(sorted(PROCESSES))}")
    return PROCESSES[name]


def expected_events(
    process_name: str, *, sqrt_s: float, luminosity: float, parameters: Mapping[str, float] | None = None
) -> float:
    """Return the mean number of events that are produced, before the detector.

    Parameters
    ----------
    process_name
        Key of `PROCESSES`.
    sqrt_s
        Centre-of-mass energy [GeV].
    luminosity
        Integrated luminosity [fb⁻¹].
    parameters
        Parameters of the process, for a signal the mass and either `cross_section` [fb] (σ×B of the
        generated final state) or `coupling`.
    """
    if not (np.isfinite(luminosity) and luminosity > 0):
        raise InputError(f"luminosity {luminosity} fb^-1 is not a positive number")
    return luminosity * get(process_name).cross_section(sqrt_s, parameters or {})


def generate_chunk(
    process_name: str,
    events: int,
    key: tuple[int, ...],
    *,
    sqrt_s: float,
    parameters: Mapping[str, float] | None = None,
) -> Columns:
    """Produce `events` events and return their candidates.

    Parameters
    ----------
    process_name
        Key of `PROCESSES`.
    events
        Events produced, before the detector.
    key
        Non-negative integers, such as (seed, number of the chunk); with the process's name the only
        source of randomness.
    sqrt_s
        Centre-of-mass energy [GeV].
    parameters
        Parameters of the process.

    Returns
    -------
    Columns
        One row a candidate: int64 `event`, from 0 to events − 1 and never falling, and the float32
        columns that the process names in its `columns`.
    """
    process = get(process_name)
    process.check(parameters or {})
    if events < 0:
        raise InputError(f"{events} events of {process_name}: the number must not be negative")
    rng, parts = generator(process_name, key), []
    for start in range(0, max(events, 1), BLOCK):
        part = process.generate(min(BLOCK, events - start), rng, sqrt_s, parameters or {})
        part["event"] = part["event"] + start
        parts.append(part)
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
