"""From the parts of a complete run to its limit cube."""

import json
from typing import Any

import numpy as np
import xarray as xr

from jobs.scanning import additions, counted
from jobs.scanning.run import Run
from scanner import cube as cubes
from scanner import engine
from scanner.windows import systematics
from scanner.windows.channels import views
from scanner.windows.filled import uses_templates
from scanner.windows.merging import merged_spans
from storage.provenance import versions
from storage.samples import DATA_LIKE


def assemble(run: Run) -> xr.Dataset:
    """Collect the parts of a complete run into the limit cube."""
    found: dict[tuple[int, int], dict[str, list[dict[str, Any]]]] = {}
    for block in run.plan.fits:
        parts: dict[tuple[int, int], dict[str, Any]] = {}
        for key, array in run.parts.read(block.key).arrays.items():
            number, point, name = key.split(".", 2)
            parts.setdefault((int(number), int(point)), {})[name] = array
        for place, part in parts.items():
            found.setdefault(place, {}).setdefault(block.region, []).append(part)
    cube = cubes.assemble(run.search, run.counting or run.grids, found, attributes(run))
    return cube.assign(cutflows(run))


def attributes(run: Run) -> dict[str, Any]:
    """Return the attributes of the cube that come from the run."""
    plan = run.plan
    found = events(run) | {
        "statistical_method": plan.method,
        "seed": plan.seed,
        "scan_identity": plan.scan_identity,
        "store_digest": plan.store_digest,
        "code_digest": plan.code,
        "instruction_set": plan.cpu,
        "systematics": systematics.describe(run.search),
        **{f"version_{name}": version for name, version in versions().items()},
        **additions.kept(run.place),
    }
    for region in counted.of_data(run.histograms):
        histogram = run.histograms[region]
        found[f"candidates_outside_{region}"] = int(histogram.outside.sum())
        found[f"candidates_not_finite_{region}"] = int(histogram.not_finite.sum())
    if uses_templates(run.search):
        found["merged_bins"] = json.dumps(merged_bins(run))
    return found


def merged_bins(run: Run) -> dict[str, list[tuple[float, float, int]]]:
    """Return the bins of templates that are merged from stated ones, as lower edge, upper edge and how many.

    By configuration and name of the histogram.
    """
    found = {}
    for region in run.grids:
        for number, chosen in enumerate(run.search.configurations):
            grid = run.grid(region, number)
            for channel in run.search.channels:
                axis, name = grid.channels.get(channel, grid), engine.pass_name(run.search, region, channel)
                if axis.bounds is not None:
                    found[f"{chosen.name}.{name}"] = merged_spans(axis.bounds, axis.edges)
    return found


def events(run: Run) -> dict[str, Any]:
    """Return the attributes that say what the limits are from."""
    stated = engine.stated(run.search)
    luminosity = {
        "luminosity": run.plan.luminosity,
        "luminosity_source": "definition" if stated or not run.store.luminosity else "store",
    }
    found: dict[str, Any] = luminosity if run.plan.luminosity is not None else {}
    if stated:
        return found | {"data_kind": "published counts"}
    missing = {name: count for name, count in sorted(run.store.non_finite().items()) if count}
    kinds = sorted({sample.kind for sample in run.store.samples if sample.kind in DATA_LIKE})
    return found | {"data_kind": ", ".join(kinds), "non_finite_in_store": json.dumps(missing)}


def cutflows(run: Run) -> dict[str, xr.DataArray]:
    """Return the candidates left after each cut, (region, cut), summed over nothing but the rows.

    Several channels have a cutflow each, under their names.
    """
    if engine.stated(run.search):
        return {}
    if len(run.search.channels) == 1:
        (channel,) = run.search.channels
        return {"cutflow": cutflow(run, channel, "cut")}
    return {f"cutflow_{name}": cutflow(run, name, f"cut_{name}") for name in run.search.channels}


def cutflow(run: Run, channel: str, dimension: str) -> xr.DataArray:
    """Return the cutflow of a channel, its cuts along a dimension of that name."""
    names = {region: engine.pass_name(run.search, region, channel) for region in run.counting or run.grids}
    flows = np.stack([run.histograms[name].cutflow[0] for name in names.values()])
    single = views(run.search)[channel]
    labels = ["all", *engine.cuts(single, single.channels[channel])][: flows.shape[1]]
    coordinates = {"channel_region": list(names), dimension: labels}
    attributes = {"units": "1", "long_name": "candidates left after the cuts so far"}
    return xr.DataArray(flows, coordinates, dims=("channel_region", dimension), attrs=attributes)
