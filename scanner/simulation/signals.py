"""What the signals of the generator share: mass and cross section from the user's parameters."""

from scanner.errors import InputError
from scanner.models import MODELS
from scanner.simulation.base import Parameters, required

STRENGTHS = ("cross_section", "coupling")
DECAY_STRENGTHS = ("cross_section", "branching_fraction", "coupling")
"""Parameters of which a signal takes one: a cross section [fb], or of a decay its branching fraction."""


def mass_between(process: str, parameters: Parameters, low: float, high: float) -> float:
    """Return the mass of a signal [GeV].

    Raises
    ------
    InputError
        When it is missing or not between `low` and `high`.
    """
    mass = required(process, parameters, "mass")
    if not low < mass < high:
        raise InputError(f"process {process}: mass {mass} GeV is not between {low:.6g} and {high:.6g} GeV")
    return mass


def signal_cross_section(
    process: str, model: str, final_state: str | None, sqrt_s: float, parameters: Parameters
) -> float:
    """Return σ×B [fb]: the parameter `cross_section`, or what the model gives for `coupling`.

    Without a final state it is σ of any decay.

    Raises
    ------
    InputError
        When neither or both are given, or the value is negative.
    """
    name, value = given_strength(process, parameters, STRENGTHS)
    if name == "cross_section":
        return value
    return value ** MODELS[model].power * _unit(process, model, final_state, sqrt_s, parameters)


def decay_cross_section(
    process: str, model: str, final_state: str | None, parents: float, sqrt_s: float, parameters: Parameters
) -> float:
    """Return σ×B [fb] of a signal from decays of parents that are made with σ = `parents` [fb].

    It is the parameter `cross_section`; or `parents` times `branching_fraction`, or times what the model
    gives for `coupling`.

    Raises
    ------
    InputError
        When none or several are given, or the value is negative.
    """
    name, value = given_strength(process, parameters, DECAY_STRENGTHS)
    if name == "cross_section":
        return value
    if name == "branching_fraction":
        return parents * value
    unit = _unit(process, model, final_state, sqrt_s, parameters)
    return parents * value ** MODELS[model].power * unit


def given_strength(process: str, parameters: Parameters, known: tuple[str, ...]) -> tuple[str, float]:
    """Return name and value of the one strength of a signal that is given.

    Raises
    ------
    InputError
        When none or several are given, or the value is negative.
    """
    given = [name for name in known if name in parameters]
    if len(given) != 1:
        units = [f"{name} [fb]" if name == "cross_section" else name for name in known]
        raise InputError(f"process {process} needs either {' or '.join(units)}; given: {sorted(parameters)}")
    (name,) = given
    value = float(parameters[name])
    if value < 0:
        raise InputError(f"process {process}: {name} = {value} must not be negative")
    return name, value


def _unit(process: str, model: str, final_state: str | None, sqrt_s: float, parameters: Parameters) -> float:
    """Return production times branching fraction at unit coupling."""
    m, chosen = required(process, parameters, "mass"), MODELS[model]
    decay = 1.0 if final_state is None else float(chosen.branching_fraction(m, final_state))
    return float(chosen.production(m, sqrt_s)) * decay
