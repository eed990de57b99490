"""ROOT, Parquet, CSV and NumPy files -> batches of columns."""

from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from pathlib import Path

from storage.errors import StorageError
from storage.local import explained
from storage.readers.source import Derivation, Source
from storage.readers.table import Options, Table

# name: (first bytes, module, function); text has no first bytes of its own
READERS = {
    "root": (b"root", "root", "open_root"),
    "parquet": (b"PAR1", "parquet", "open_parquet"),
    "npy": (b"\x93NUMPY", "arrays", "open_npy"),
    "npz": (b"PK\x03\x04", "arrays", "open_npz"),
    "csv": (b"", "text", "open_text"),
}
SUFFIXES = {
    ".root": "root",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".npy": "npy",
    ".npz": "npz",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".dat": "csv",
}
_EXTRAS = {"root": "root", "parquet": "parquet", "csv": "parquet"}


def open_source(
    path: str | Path,
    columns: Mapping[str, str] | None = None,
    *,
    derived: Mapping[str, Derivation] | None = None,
    scale: Mapping[str, float] | None = None,
    drop: Collection[str] = (),
    tree: str | None = None,
    header: Sequence[str] | None = None,
    delimiter: str | None = None,
    batch_rows: int = 2**18,
    first_event: int = 0,
) -> Source:
    r"""Open a file as a stream of batches; the format is found from its first bytes.

    Parameters
    ----------
    path : str or Path
        A ROOT, Parquet, CSV, `.npy` or `.npz` file.
    columns : mapping of str to str, optional
        New name to name in the file; all numeric columns under their own names if not given.
    derived : mapping of str to callable, optional
        New name to a function from columns, shape (n,) each, to an array of shape (n,).
    scale : mapping of str to float, optional
        New name to the factor that turns the file's unit into the store's.
    drop : collection of str
        Columns that only serve to derive others.
    tree : str, optional
        Name of the TTree or RNTuple; needed if the file has several.
    header : sequence of str, optional
        Column names of a text file without header line or of a plain `.npy`.
    delimiter : str, optional
        Of a text file, if it is not to be guessed from the first line.
    batch_rows : int
        Rows of a batch at most; entries where lists are exploded.
    first_event : int
        Added to the entry number of exploded lists, for further files of one sample.

    Raises
    ------
    StorageError
        If the file is missing, truncated or foreign, or a column is missing, doubled or not numeric.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "a.csv"
    >>> _ = path.write_text("M,name\n9460,a\n1019,b\n")
    >>> [batch["m"] for batch in open_source(path, {"m": "M"}, scale={"m": 1e-3})]
    [array([9.46 , 1.019])]
    """
    if batch_rows < 1:
        raise StorageError(f"batch_rows = {batch_rows}, but it must be positive")
    options = Options(tree, None if header is None else tuple(header), delimiter)
    table = _opener(Path(path).expanduser())(Path(path).expanduser(), options)
    mapping = dict(columns) if columns else {name: name for name in table.numeric}
    return Source(table, mapping, derived or {}, scale or {}, drop, batch_rows, first_event)


def format_of(path: Path) -> str:
    """Return the format of a file by its first bytes, which its suffix must not contradict.

    Raises
    ------
    StorageError
        If the file is missing, empty, or of none of the formats.
    """
    if path.is_dir():
        raise StorageError(f"{path}: is a directory; name the files")
    with explained(path), path.open("rb") as file:
        head = file.read(4096)
    if not head:
        raise StorageError(f"{path}: the file is empty; copy it again")
    promised = SUFFIXES.get(path.suffix.lower())
    found = next((name for name, (magic, *_) in READERS.items() if magic and head.startswith(magic)), None)
    if found is None and b"\0" not in head and promised in (None, "csv"):
        return "csv"
    if found is None or (promised and promised != found):
        raise StorageError(
            f"{path}: begins with {head[:8]!r}, no {promised or 'known'} file; it is damaged or of another "
            f"kind. Known are {', '.join(READERS)}; compressed files must be unpacked"
        )
    return found


def _opener(path: Path) -> Callable[[Path, Options], Table]:
    form = format_of(path)
    _, module, function = READERS[form]
    try:
        opener: Callable[[Path, Options], Table] = getattr(
            import_module(f"storage.readers.{module}"), function
        )
    except ModuleNotFoundError as error:
        raise StorageError(
            f"{path}: reading {form} needs {error.name}; pip install 'darkscan[{_EXTRAS.get(form, form)}]'"
        ) from error
    return opener
