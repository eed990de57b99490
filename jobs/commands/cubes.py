"""`darkscan query`, `project` and `plot`: questions to limit cubes."""

from pathlib import Path
from typing import Annotated, Any

import typer

from jobs.commands.output import Json, print_json, print_table

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


def point(text: str) -> dict[str, Any]:
    """Read `m_zprime=3.2,luminosity=1000`; values may carry units.

    Raises
    ------
    InputError
        If an item is no `name=value`.
    """
    from scanner import units
    from scanner.errors import InputError

    found: dict[str, Any] = {}
    for item in filter(None, text.split(",")):
        name, equals, value = item.partition("=")
        if not equals:
            raise InputError(f"{item!r} is no point: write name=value, such as m_zprime=3.2")
        found[name.strip()] = units.quantity(value.strip(), "number").value
    return found


def query(
    cube: Cube,
    at: Annotated[str, typer.Option(help="A point, such as m_zprime=3.2.")] = "",
    configuration: Annotated[str, typer.Option(help="A model configuration by name.")] = "",
    variable: Annotated[
        list[str] | None, typer.Option(help="A variable of the cube; may be repeated.")
    ] = None,
    json: Json = False,
) -> None:
    """Print the limits at a point; without a point, the largest excess."""
    from scanner.errors import InputError

    found = open_cube(cube)
    place = point(at) if at else {found.limits.axis: found.limits.largest_excess().mass}
    if configuration:
        place["configuration"] = configuration
    selected = found.limits.at(**place)
    names = variable or [
        name for name in selected.data_vars if selected[name].ndim <= 1 and name != "cutflow"
    ]
    unknown = [name for name in names if name not in selected]
    if unknown:
        raise InputError(
            f"{unknown[0]!r} is no variable of this cube: it has {', '.join(map(str, found.data_vars))}"
        )
    if json:
        values = {name: selected[name].to_numpy().tolist() for name in names}
        where = {str(name): c.item() for name, c in selected.coords.items() if c.ndim == 0}
        print_json({"at": where, "values": values})
        return
    flags = {name: found.limits.flags(name) for name in names if "flag_values" in found[name].attrs}
    rows = [
        [name, numbers(selected[name], flags.get(name, {})), selected[name].attrs.get("units", "")]
        for name in names
    ]
    title = ", ".join(f"{name} = {show(c.item())}" for name, c in selected.coords.items() if c.ndim == 0)
    print_table(title, ["variable", "value", "unit"], rows)


def show(value: Any) -> str:
    """Write a number or a label."""
    return f"{value:.5g}" if isinstance(value, float) else str(value)


def numbers(array: Any, flags: dict[int, str]) -> str:
    """Write the numbers of a variable, flags by their meaning."""
    return " ".join(flags.get(value) or show(value) for value in array.to_numpy().ravel().tolist())


def luminosities(text: str) -> list[float]:
    """Read `1/ab,5/ab` into fb⁻¹."""
    from scanner import units

    return [units.parse(item.strip(), "luminosity") for item in text.split(",")]


def project(
    cube: Cube,
    luminosity: Annotated[str, typer.Option(help="Target luminosities, such as 1/ab,5/ab,10/ab,50/ab.")],
    scenario: Annotated[str, typer.Option(help="statistical, constant or improving.")] = "statistical",
    output: Annotated[str, typer.Option("-o", "--output", help="The projection cube to write.")] = "",
    at: Annotated[str, typer.Option(help="Print the limits at this point.")] = "",
    json: Json = False,
) -> None:
    """Project expected limits to future luminosities."""
    from storage import cubes

    found = open_cube(cube)
    projection = found.limits.project(luminosities(luminosity), scenario)
    if output:
        cubes.write(projection, output, overwrite=False)
    place = point(at) if at else {projection.limits.axis: found.limits.largest_excess().mass}
    median = projection.limits.at(**place).sel(quantile=0.5)
    if json:
        values = {str(name): median[name].to_numpy().tolist() for name in median.data_vars}
        print_json(
            {"at": place, "scenario": scenario, "luminosity": luminosities(luminosity), "median": values}
        )
        return
    names = [str(name) for name in median.data_vars]
    rows = [
        [f"{value.item():g} fb⁻¹", *(show(float(median[name].sel(luminosity=value))) for name in names)]
        for value in median["luminosity"]
    ]
    title = ", ".join(f"{name} = {value:g}" for name, value in place.items())
    print_table(f"median expected limits at {title}, {scenario}", ["luminosity", *names], rows)


def plot(
    cube: Cube,
    output: Annotated[Path, typer.Option("-o", "--output", help="A .png, .pdf or .svg file.")],
    variable: Annotated[str, typer.Option(help="coupling, cross_section, yield, or all.")] = "all",
) -> None:
    """Draw the limits of a cube, or the projections of a projection cube."""
    from scanner import plots

    found = open_cube(cube)
    if "luminosity" in found.dims:
        figure = plots.projection_plot(found)
    else:
        figure = plots.overview_plot(found) if variable == "all" else plots.limit_plot(found, variable)
    plots.save(figure, output)
    typer.echo(f"wrote {output}")
