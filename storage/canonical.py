"""One digest for equal datasets, whatever their chunks, encodings or times."""

import hashlib
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from storage.errors import StorageError
from storage.manifest import canonical
from storage.parts import canonical_array

VOLATILE_ATTRIBUTES = frozenset(
    {"created", "elapsed", "host", "hostname", "user", "path", "workers", "executor"}
)


def digest(dataset: xr.Dataset) -> str:
    """Return the sha256 of a dataset: names, dimensions, types, values and attributes.

    NaNs count as equal; attributes in `VOLATILE_ATTRIBUTES` do not count, nor do encodings and chunks.
    """
    total = hashlib.sha256()
    total.update(canonical(_plain(dataset.attrs)))
    for name in sorted(map(str, dataset.variables)):
        variable = dataset.variables[name]
        values = np.asarray(variable.values)
        text = values.dtype.kind in "OUT"
        if not text and values.dtype.kind not in "biufc":
            raise StorageError(f"variable {name} has type {values.dtype}; a dataset holds numbers and texts")
        head = {
            "name": name,
            "coordinate": name in dataset.coords,
            "dims": [str(dim) for dim in variable.dims],
            "shape": list(values.shape),
            "dtype": "str" if text else values.dtype.newbyteorder("<").str,
            "attrs": _plain(variable.attrs),
        }
        total.update(canonical(head))
        if text:
            total.update(canonical([str(value) for value in values.ravel()]))
        else:
            total.update(canonical_array(values).data)
    return total.hexdigest()


def _plain(attributes: Mapping[Hashable, Any]) -> dict[str, Any]:
    return {str(key): plain(value) for key, value in attributes.items() if key not in VOLATILE_ATTRIBUTES}


def plain(value: Any) -> Any:
    """Return an attribute in JSON types; NaN and infinities as their names."""
    if isinstance(value, np.ndarray):
        return [plain(item) for item in value.tolist()]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    if value is not None and not isinstance(value, (str, int, float)):
        raise StorageError(f"attribute {value!r} of type {type(value).__name__} has no JSON form")
    return value
