"""A page of documentation for every search, made from its definition."""

from collections.abc import Iterator, Sequence

from jobs.searches import catalogue, own_files
from scanner import engine, simulation
from scanner.definition import Search
from scanner.interpretation import bound_model, ordered, quantity
from scanner.islands import axes_of
from scanner.schema.axes import ScanAxis
from scanner.schema.statistics import Systematic

RATES = {"cross_section": "cross section [fb]", "branching_fraction": "branching fraction", None: "yield"}


def page(search: Search) -> str:
    """Return the page of a search, in Markdown."""
    blocks = [
        f"# `{search.name}`: {search.title}",
        *_head(search),
        *_limits(search),
        *_picture(search),
        *_scan(search),
        *_own_files(search),
        *_systematics(search),
        *_simulation(search),
        *_published(search),
        f"The definition with every number and its source: `darkscan searches show {search.name}`.",
    ]
    return "\n\n".join(blocks) + "\n"


def _head(search: Search) -> Iterator[str]:
    reference = search.reference
    where = f"{reference.experiment}, arXiv:{reference.arxiv}" if reference.arxiv else reference.experiment
    luminosity = "" if search.luminosity is None else f", {search.luminosity:g} fb⁻¹"
    yield f"{where or 'No reference'}{luminosity}. {search.notes}".strip()
    steps = [f"darkscan scan {search.name} -o limits.zarr"]
    if engine.reads(search):
        steps = [
            f"darkscan generate {search.name} events.zarr",
            f"darkscan scan {search.name} events.zarr -o limits.zarr",
        ]
    yield _code([*steps, "darkscan plot limits.zarr -o limits.pdf"])


def _limits(search: Search) -> Iterator[str]:
    level, method = f"{search.confidence_level:.0%}", search.method
    text = f"Limits at {level} CL on yield and {RATES[quantity(search)]} by the method `{method.limit}`"
    if quantity(search) is None:
        text = f"Limits at {level} CL on the yield by the method `{method.limit}`"
    couplings = [
        reference.title or f"{bound_model(reference).coupling} of {bound_model(reference).title}"
        for _, reference in ordered(search)
    ]
    yield text + (f", and on {'; '.join(couplings)}." if couplings else ".")
    if any(axes_of(search, reference) for _, reference in ordered(search)):
        yield (
            "A coupling sets the lifetime too, and what is excluded of it are intervals: "
            "`darkscan plot limits.zarr -o excluded.pdf --variable excluded`."
        )


def _picture(search: Search) -> Iterator[str]:
    """Show the picture that `darkscan searches pages --plots` draws, and say what it is from."""
    if not (search.simulation or engine.stated(search)):
        return
    yield f"![Limits of {search.name}](images/{search.name}.png)"
    if engine.stated(search):
        yield "*From the counts of the definition.*"
        return
    first = ", of the first configuration" if len(search.configurations) > 1 else ""
    yield (
        f"*From one pseudo-experiment of the luminosity in the corner, that of at most "
        f"{catalogue.QUICK_EVENTS:.0f} produced events, at a few of the masses{first}.*"
    )


def _scan(search: Search) -> Iterator[str]:
    rows = [
        [f"`{name}`", axis.title or name, _range(axis), _points(axis)] for name, axis in search.scan.items()
    ]
    yield "## What is scanned\n\n" + _table(["axis", "", "range", "points"], rows)
    if len(search.configurations) > 1:
        yield f"{len(search.configurations)} model configurations from one reading of the events."
    if len(search.channels) > 1:
        names = ", ".join(f"`{name}`" for name in search.channels)
        yield f"{len(search.channels)} channels, fitted together: {names}."


def _range(axis: ScanAxis) -> str:
    return f"{axis.low:g} to {axis.high:g} {axis.unit}".removesuffix(" 1")


def _points(axis: ScanAxis) -> str:
    if axis.values is not None:
        return f"{len(axis.values)} values"
    return f"steps of {axis.step:g} resolutions" + (f" of {axis.step_of}" if axis.step_of else "")


def _own_files(search: Search) -> Iterator[str]:
    if engine.stated(search):
        yield from _own_numbers(search)
    if engine.reads(search):
        yield from _own_events(search)


def _own_numbers(search: Search) -> Iterator[str]:
    counts = [
        [f"`{name}`", str(c.counts.observed), f"{c.counts.expected:g}"]
        for name, c in search.channels.items()
        if c.counts is not None
    ]
    what = "No data are" if search.decays else "No events are"
    yield f"## With your own numbers\n\n{what} read: copy the definition, and change its counts."
    yield _table(["channel", "observed", "expected"], counts)


def _own_events(search: Search) -> Iterator[str]:
    """Say what files a search reads, and the commands that take them."""
    samples = own_files.samples(search)
    text = f"CSV, Parquet, NumPy or ROOT files, a row a candidate. {search.rows or ''}"
    yield f"## On your own files\n\n{text.strip()}"
    if len(samples) > 1 or samples[0].kind != "data":
        rows = [[f"`{sample.name}`", sample.kind, sample.meaning] for sample in samples]
        yield _table(["sample", "kind", "what it is"], rows)
    yield _table(["column", "unit", ""], [_column(search, name) for name in own_files.columns(search)])
    yield _code(own_files.commands(search))
    yield own_files.remarks(search)


def _column(search: Search, name: str) -> list[str]:
    column, read = search.columns[name], own_files.data_columns(search)
    of_signals = ", of signals" if read and name not in read else ""
    return [f"`{name}`", column.unit, column.title + of_signals]


def _systematics(search: Search) -> Iterator[str]:
    rows = [
        [f"`{name}`", term.on, term.kind, _size(term), term.source]
        for name, term in search.systematics.items()
    ]
    if rows:
        yield "## Systematics\n\n" + _table(["", "on", "kind", "size", "source"], rows)


def _size(term: Systematic) -> str:
    if term.size is None:
        return "events" if term.events is not None else "from a study"
    return f"{term.size.constant:.2%}" if term.size.constant is not None else "depends on the mass"


def _simulation(search: Search) -> Iterator[str]:
    rows = [
        [f"`{process.process}`", process.role, process.note or simulation.get(process.process).approximation]
        for process in search.simulation
    ]
    if rows:
        yield "## What is generated\n\n" + _table(["process", "role", "what is left out"], rows)


def _published(search: Search) -> Iterator[str]:
    known = search.published
    if known is None:
        return
    curves = [known.curve(place) for place in known.places]
    rows = [[f"{m:g}", *(f"{v:.3g}" for v in row)] for m, *row in zip(known.mass, *curves, strict=True)]
    title = f"{known.quantity.replace('_', ' ')} [{known.unit}]".removesuffix(" [1]")
    titles = [
        ", ".join([title, *(f"{name} = {_value(search, name, x)}" for name, x in place.items())])
        for place in known.places
    ]
    text = _table(["mass [GeV]", *titles], rows)
    yield (
        f"## Published limits\n\n{known.label or known.source} ({known.source}). {known.note}".strip()
        + f"\n\n{text}"
    )


def _value(search: Search, name: str, value: float) -> str:
    return f"{value:g} {search.scan[name].unit}"


def _code(lines: Sequence[str]) -> str:
    return "\n".join(["```bash", *lines, "```"])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(" ".join(cell.split()) for cell in line) + " |" for line in lines)
