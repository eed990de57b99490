"""What the signals of the generator share: mass and cross section from the user's parameters."""

from scanner.errors import InputError
from scanner.models import MODELS
from scanner.simulation.base import Parameters, required


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
    process: str, model: str, final_state: str, sqrt_s: float, parameters: Parameters
) -> float:
    """Return σ×B [fb]: the parameter `cross_section`, or what the model gives for `coupling`.

    Raises
    ------
    InputError
        When neither or both are given, or the value is negative.
    """
    given = [name for name in ("cross_section", "coupling") if name in parameters]
    if len(given) != 1:
        raise InputError(
            f"process {process} needs either cross_section [fb] or coupling; given: {sorted(parameters)}"
        )
    value = float(parameters[given[0]])
    if value < 0:
        raise InputError(f"process {process}: {given[0]} = {value} must not be negative")
    if given == ["cross_section"]:
        return value
    m, chosen = required(process, parameters, "mass"), MODELS[model]
    unit = chosen.production(m, sqrt_s) * chosen.branching_fraction(m, final_state)
    return float(unit) * value**chosen.power
