"""ROOT files, TTree and RNTuple, as a stream through uproot."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import uproot

from storage.columns import near
from storage.errors import StorageError
from storage.readers.table import Options, Piece, Table, decoding

_CLASSES = ("TTree", "TNtuple", "TNtupleD", "ROOT::RNTuple")
_PLAIN = re.compile(r"(std::)?(u?int(8|16|32|64)_t|float|double|bool|char|unsigned .*|short|int|long.*)")
_VECTOR = re.compile(r"(std::vector|ROOT::VecOps::RVec)<(.*)>")
# Damaged bytes make uproot's decoders fail in any way that Python code can, so all of them are explained.
_ANY = Exception


def open_root(path: Path, options: Options) -> Table:
    """Open a tree or RNTuple; flat branches give a row an entry, lists a row an element."""
    with decoding(path, "ROOT", _ANY), uproot.open(path) as file:
        name = _chosen(path, file, options.tree)
        tree = file[name]
        shapes = {key: _shape(tree, key) for key in tree.keys()}  # noqa: SIM118 - iteration gives no names
        entries = int(tree.num_entries)
    numeric = tuple(key for key, shape in shapes.items() if shape in ("flat", "list"))
    other = {
        key: f"holds {shape}, no numbers or lists of numbers"
        for key, shape in shapes.items()
        if key not in numeric
    }

    def stream(names: Sequence[str], rows: int) -> Iterator[Piece]:
        lists = [key for key in names if shapes[key] == "list"]
        with decoding(path, "ROOT", _ANY), uproot.open(path) as opened:
            start = 0
            for batch in opened[name].iterate(list(names), step_size=rows, library="ak"):
                yield _exploded(path, batch, names, lists, start) if lists else _flat(batch, names)
                start += len(batch)
            if start != entries:
                raise StorageError(
                    f"{path}: {start} entries could be read, {entries} are announced; copy it again"
                )

    held = frozenset(key for key in numeric if shapes[key] == "list")
    return Table(path, "root", numeric, stream, other, entries, held)


def _chosen(path: Path, file: Any, tree: str | None) -> str:
    """Return the name of the tree to read."""
    names = [key for key, kind in file.classnames(cycle=False).items() if kind in _CLASSES]
    if tree is not None:
        if tree not in names:
            raise StorageError(f"{path}: no tree {tree!r}: {near(tree, names)}")
        return tree
    if len(names) != 1:
        raise StorageError(
            f"{path}: {len(names)} trees, name the one to read: {', '.join(names) or 'there is none'}"
        )
    return str(names[0])


def _shape(tree: Any, key: str) -> str:
    """Return "flat", "list", or a description of what else a branch holds."""
    kind = str(getattr(tree[key], "typename", "unknown"))
    meaning = getattr(tree[key], "interpretation", None)
    if meaning is None:
        vector = _VECTOR.fullmatch(kind)
        if _PLAIN.fullmatch(kind):
            return "flat"
        return "list" if vector and _PLAIN.fullmatch(vector[2]) else kind
    if isinstance(meaning, uproot.AsJagged) and _is_scalar(meaning.content):
        return "list"
    return "flat" if _is_scalar(meaning) else kind


def _is_scalar(meaning: Any) -> bool:
    if not isinstance(meaning, uproot.AsDtype):
        return False
    return meaning.to_dtype.shape == () and meaning.to_dtype.kind in "biuf"


def _flat(batch: Any, names: Sequence[str]) -> Piece:
    return Piece({name: _values(batch[name]) for name in names})


def _exploded(path: Path, batch: Any, names: Sequence[str], lists: Sequence[str], start: int) -> Piece:
    """Make a row of every element; flat branches are repeated."""
    lengths = {name: _values(ak.num(batch[name])) for name in lists}
    counts = lengths[lists[0]]
    for name in lists[1:]:
        different = np.flatnonzero(lengths[name] != counts)
        if different.size:
            entry = int(different[0])
            raise StorageError(
                f"{path}: entry {start + entry} has {counts[entry]} values in {lists[0]} but "
                f"{lengths[name][entry]} in {name}; read branches of different lists separately"
            )
    columns = {
        name: _values(ak.flatten(batch[name])) if name in lengths else np.repeat(_values(batch[name]), counts)
        for name in names
    }
    return Piece(columns, np.repeat(np.arange(start, start + counts.size, dtype=np.int64), counts))


def _values(array: Any) -> np.ndarray:
    return np.asarray(ak.to_numpy(array, allow_missing=False))
