"""Committed results of blocks: one self-checking, create-only object each."""

import hashlib
import json
import re
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from storage.errors import ConflictError, NonDeterminismError, StorageError
from storage.locations import Location
from storage.manifest import canonical

MAGIC = b"darkscan part 1\n"
SUFFIX = ".part"
_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.=+-]{0,180}")
_LENGTH = struct.Struct("<Q")
_DIGEST = 32


@dataclass(frozen=True)
class Part:
    """The content of a part: named arrays of any shape, and a few JSON values."""

    arrays: Mapping[str, np.ndarray]
    meta: Mapping[str, Any]


def canonical_array(values: np.ndarray) -> np.ndarray:
    """Return a little-endian, C-contiguous array with only one kind of NaN."""
    values = np.ascontiguousarray(values)
    values = values.astype(values.dtype.newbyteorder("<"), copy=False)
    if values.dtype.kind in "fc":
        missing = np.isnan(values)
        if missing.any():
            values = np.where(missing, values.dtype.type(np.nan), values)
    return values


def encode_part(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> bytes:
    """Return the one sequence of bytes of a part: magic, header, arrays in the order of names, sha256."""
    canonical_arrays = {name: canonical_array(arrays[name]) for name in sorted(arrays)}
    for name, values in canonical_arrays.items():
        if values.dtype.kind not in "biuf":
            raise StorageError(f"array {name} of a part has type {values.dtype}; only numbers can be kept")
    fields = [[name, values.dtype.str, list(values.shape)] for name, values in canonical_arrays.items()]
    header = canonical({"arrays": fields, "meta": dict(meta)})
    pieces = [MAGIC, _LENGTH.pack(len(header)), header]
    body = b"".join([*pieces, *(values.tobytes() for values in canonical_arrays.values())])
    return body + hashlib.sha256(body).digest()


def decode_part(data: bytes, where: str) -> Part:
    """Check and take apart what `encode_part` made; StorageError naming `where` if a byte differs."""
    body, digest = data[:-_DIGEST], data[-_DIGEST:]
    if not data.startswith(MAGIC) or hashlib.sha256(body).digest() != digest:
        raise StorageError(f"{where}: damaged part; `remove_damaged`, as in `scan --resume`, redoes it")
    offset = len(MAGIC) + _LENGTH.size
    (length,) = _LENGTH.unpack_from(body, len(MAGIC))
    header = json.loads(body[offset : offset + length])
    offset += length
    arrays = {}
    for name, dtype, shape in header["arrays"]:
        count = int(np.prod(shape, dtype=np.int64))
        arrays[name] = np.frombuffer(body, dtype, count, offset).reshape(shape)
        offset += arrays[name].nbytes
    return Part(arrays, header["meta"])


class PartStore:
    """The parts of one scan, by key.

    Parameters
    ----------
    url : str or Location
        Directory or prefix; made with the first part.

    Examples
    --------
    >>> parts = PartStore("memory://doctest/parts")
    >>> parts.commit("block-0", {"limit": np.array([1.0, 2.0])}, {"windows": [0, 2]})
    True
    >>> parts.keys(), parts.read("block-0").arrays["limit"].tolist()
    (('block-0',), [1.0, 2.0])
    """

    def __init__(self, url: str | Location) -> None:
        self.location = Location(url)

    def commit(
        self, key: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any] | None = None
    ) -> bool:
        """Write a part durably; a part that exists is never changed.

        Parameters
        ----------
        key : str
            Letters, digits and ``_ . = + -``.
        arrays : mapping of str to ndarray
            Numbers of any shape; NaNs count as equal.
        meta : mapping, optional
            JSON values without NaN, equal for every copy of the block: no times, hosts or attempts.

        Returns
        -------
        bool
            False if an equal part was there.

        Raises
        ------
        NonDeterminismError
            If an intact part with other content is there.
        StorageError
            If what is there is damaged, or nothing can be written.
        """
        name, data = _name(key), encode_part(arrays, meta or {})
        try:
            return self.location.create(name, data)
        except ConflictError:
            where = self.location.describe(name)
            held = decode_part(self.location.read(name), where)
        raise NonDeterminismError(
            f"{where}: block {key} was computed twice with other results, in {_difference(held, arrays)}; "
            "the scan stops. The workers differ in code, libraries or instruction set, or there is a defect"
        )

    def keys(self) -> tuple[str, ...]:
        """Return the sorted keys of all parts, damaged ones included."""
        names = self.location.list()
        return tuple(name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX))

    def read(self, key: str) -> Part:
        """Return a part, checked."""
        name = _name(key)
        return decode_part(self.location.read(name), self.location.describe(name))

    def damaged(self) -> tuple[str, ...]:
        """Read everything and return the keys of parts that are not what was committed."""
        return tuple(key for key in self.keys() if not self._is_intact(key))

    def remove_damaged(self) -> tuple[str, ...]:
        """Delete damaged parts, so that their blocks are computed again, and return their keys."""
        keys = self.damaged()
        for key in keys:
            self.location.remove(_name(key))
        return keys

    def _is_intact(self, key: str) -> bool:
        data = self.location.read(_name(key))
        return data.startswith(MAGIC) and hashlib.sha256(data[:-_DIGEST]).digest() == data[-_DIGEST:]


def _name(key: str) -> str:
    if not _KEY.fullmatch(key):
        raise StorageError(
            f"{key!r} is no key of a part: letters, digits and _.=+- (at most 181) are allowed"
        )
    return key + SUFFIX


def _difference(held: Part, arrays: Mapping[str, np.ndarray]) -> str:
    """Name the arrays that differ."""
    names = sorted({*held.arrays, *arrays})
    different = [
        name
        for name in names
        if name not in held.arrays
        or name not in arrays
        or canonical_array(arrays[name]).tobytes() != held.arrays[name].tobytes()
    ]
    return ", ".join(different) or "its meta record"
