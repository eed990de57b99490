"""`darkscan query`, `project` and `plot`: questions to limit cubes."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.commands.output import Json, print_json, print_table
from jobs.commands.points import place_of

Cube = Annotated[str, typer.Argument(help="A limit cube.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(query)
    app.command()(project)
    app.command()(plot)


def open_cube(url: str) -> Any:
    """Open a cube with its accessor."""
    import scanner.query  # noqa: F401 - registers the accessor
    from storage import cubes

    return cubes.open(url)


def query(
    cube: Cube,
    at: Annotated[str, typer.Option(help="A point, such as m_zprime=3.2.")] = "",
    configuration: Annotated[str, typer.Option(help="A model configuration by name.")] = "",
    variable: Annotated[
        list[str] | None, typer.Option(help="A variable of the cube; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the limits at a point, or at the largest excess."""
    from scanner.errors import InputError

    found = open_cube(cube)
    place = place_of(found, at)
    if not set(found.limits.axes) & set(place):
        place |= interesting(found)
    if configuration:
        place["configuration"] = configuration
    selected = found.limits.at(**place)
    names = variable or [str(name) for name in selected.data_vars if name not in ASIDE]
    unknown = [name for name in names if name not in selected.data_vars]
    if unknown:
        raise InputError(
            f"{unknown[0]!r} is no variable of this cube: it has {', '.join(map(str, found.data_vars))}"
        )
    meanings = {name: found.limits.meanings(name) for name in names if "flag_meanings" in found[name].attrs}
    if json:
        print_json(answer(selected, names, meanings))
        return
    rows = [
        [label(selected[name]), numbers(selected[name], meanings.get(name, {})), unit(selected[name])]
        for name in names
    ]
    title = ", ".join(f"{name} = {show(c.item())}" for name, c in selected.coords.items() if c.ndim == 0)
    print_table(title, ["variable", "value", "unit"], rows)


ASIDE = {"cutflow", "background_order", "background_coefficients", "background_slope", "channel_efficiency"}
ASIDE |= {
    "channel_observed",
    "channel_background",
    "channel_yield_limit",
    "fit_attempts",
    "fit_rung",
    "fit_quality_toys",
    "outliers",
}
"""Variables that are printed only when they are asked for."""


def interesting(cube: Any) -> dict[str, float]:
    """Return the masses [GeV] of the largest excess, or the middle of each axis where there is none."""
    if "z_local" in cube and cube.limits.has_significance():
        return dict(cube.limits.largest_excess().place)
    return {name: float(cube[name].median()) for name in cube.limits.axes}


def answer(selected: Any, names: list[str], meanings: dict[str, dict[int, str]]) -> dict[str, Any]:
    """Put values, units and the meanings of flags together for scripts."""
    values = {name: selected[name].to_numpy().tolist() for name in names}
    report = {
        "at": {str(name): c.item() for name, c in selected.coords.items() if c.ndim == 0},
        "values": values,
        "units": {name: unit(selected[name]) for name in names},
        "meanings": {
            name: meaning[values[name]] for name, meaning in meanings.items() if isinstance(values[name], int)
        },
    }
    axes = {str(dim) for name in names for dim in selected[name].dims if dim in selected.coords}
    return report | {"axes": {name: selected[name].to_numpy().tolist() for name in sorted(axes)}}


def label(array: Any) -> str:
    """Name a variable, with its quantiles in their order where it has them."""
    quantiles = (
        ", ".join(f"{value:.1%}".replace(".0%", "%") for value in array["quantile"].values.flat)
        if "quantile" in array.dims
        else ""
    )
    return f"{array.name} ({quantiles})" if quantiles else str(array.name)


def unit(array: Any) -> str:
    """Return the unit of a variable."""
    return str(array.attrs.get("units", ""))


def show(value: Any) -> str:
    """Write a number or a label."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def numbers(array: Any, flags: dict[int, str]) -> str:
    """Write the numbers of a variable, flags by their meaning; a line a row of a matrix."""
    if array.ndim < 2:
        return "  ".join(flags.get(value) or show(value) for value in array.to_numpy().ravel().tolist())
    along = array.dims[0]
    places = array[along].values.tolist() if along in array.coords else range(array.sizes[along])
    of = str(array[along].attrs.get("units", "")) if along in array.coords else ""
    return "\n".join(
        f"{show(place)} {of}".rstrip() + f": {numbers(array.isel({along: index}), flags)}"
        for index, place in enumerate(places)
    )


def luminosities(text: str) -> list[float]:
    """Read `1/ab,5/ab` into fb⁻¹.

    Raises
    ------
    InputError
        If an item is no luminosity.
    """
    from scanner import units
    from scanner.errors import InputError

    try:
        return [units.parse(item.strip(), "luminosity") for item in text.split(",")]
    except InputError as error:
        raise InputError(f"--luminosity {text!r}: {error}; write a list such as 1/ab,5/ab") from None


def project(
    cube: Cube,
    luminosity: Annotated[str, typer.Option(help="Target luminosities, such as 1/ab,5/ab,10/ab,50/ab.")],
    scenario: Annotated[str, typer.Option(help="statistical, constant or improving.")] = "statistical",
    output: Annotated[str, typer.Option("-o", "--output", help="The projection cube to write.")] = "",
    at: Annotated[str, typer.Option(help="Print the limits at this point.")] = "",
    configuration: Annotated[str, typer.Option(help="Print those of a model configuration.")] = "",
    json: Json = False,
) -> None:
    """Project expected limits to future luminosities."""
    from storage import cubes

    found = open_cube(cube)
    check_cube(found)
    place: dict[str, Any] = place_of(found, at)
    if not set(found.limits.axes) & set(place):
        place |= interesting(found)
    if configuration:
        place["configuration"] = configuration
    found.limits.at(**place)  # a point outside is better found before the work
    projection = projected(cube, found, luminosities(luminosity), scenario)
    if output:
        cubes.write(projection, output, overwrite=False)
    median = projection.limits.at(**place).sel(quantile=0.5)
    if json:
        values = {str(name): median[name].to_numpy().tolist() for name in median.data_vars}
        report = {"at": place, "scenario": scenario, "luminosity": median["luminosity"].to_numpy().tolist()}
        print_json(report | {"median": values, "cube": output or None})
        return
    names = [str(name) for name in median.data_vars]
    rows = [
        [f"{value.item():g} fb^-1", *(numbers(median[name].sel(luminosity=value), {}) for name in names)]
        for value in median["luminosity"]
    ]
    title = ", ".join(f"{name} = {show(value)}" for name, value in place.items())
    head = [f"{name.removesuffix('_expected')} [{unit(median[name])}]" for name in names]
    print_table(f"median expected limits at {title}, {scenario}", ["luminosity", *head], rows)
    if output:
        typer.echo(f"wrote {output}")


def projected(url: str, cube: Any, targets: list[float], scenario: str) -> Any:
    """Project by what the cube says, or where that is not enough by the likelihoods of its run."""
    from jobs import projection
    from scanner import definition
    from scanner.projection import alone

    if alone(definition.from_json(cube.attrs["definition"])):
        return cube.limits.project(targets, scenario)
    return projection.project(url, targets, scenario)


def check_cube(cube: Any) -> None:
    """Refuse a projection where a cube with fits is due."""
    from scanner.errors import InputError

    if "study" in cube.attrs:
        raise InputError(f"this cube is a study of {cube.attrs['study']}: project the limit cube of a scan")
    if "luminosity" in cube.dims:
        raise InputError("this cube is a projection already: project the limit cube that it was made from")
    if "combined" in cube.attrs:
        raise InputError("this cube is a combination: project the limit cubes that it was made from")


def plot(
    cube: Cube,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .png, .pdf or .svg file.")],
    variable: Annotated[
        str, typer.Option(help="coupling, cross_section, yield, excluded (intervals of a coupling), or all.")
    ] = "all",
    at: Annotated[str, typer.Option(help="A point of the axes beside the mass, such as ctau_s=1cm.")] = "",
    configuration: Annotated[str, typer.Option(help="A model configuration by name.")] = "",
) -> None:
    """Draw the limits of a cube or of a projection, or a study."""
    from scanner import plots

    found = open_cube(cube)
    selected = found.limits.at(**place_of(found, at)) if at else found
    selected = selected.limits.at(configuration=configuration) if configuration else selected
    chosen = ""
    if "study" in found.attrs:
        figure = plots.study_plot(selected)
    elif "luminosity" in found.dims:
        figure = plots.projection_plot(selected, None if variable == "all" else variable)
    else:
        selected, chosen = at_one_point(selected, variable)
        figure = plots.draw(selected, variable)
    plots.save(figure, output)
    typer.echo(f"wrote {output}{chosen}")


def at_one_point(cube: Any, variable: str) -> tuple[Any, str]:
    """Return what a plot over the masses shows of a cube, and what was chosen for those who chose nothing."""
    from jobs.searches.catalogue import point_drawn

    numbers = point_drawn(cube)
    if variable.startswith("excluded"):  # over no axis beside the mass
        numbers = {name: number for name, number in numbers.items() if name == "configuration"}
    found = cube.isel(numbers)
    free = [name for name in numbers if cube.sizes[name] > 1]
    if not free:
        return found, ""
    text = ", ".join(f"{name} = {show(found[name].item())} {unit(found[name])}".rstrip() for name in free)
    return found, f" at {text}; --configuration and --at take others"
