"""Figures to files: the same figure gives the same bytes."""

import io
import os
from pathlib import Path

from matplotlib.figure import Figure

from scanner.errors import InputError
from scanner.plots import style

METADATA: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    ".svg": {"Creator": None, "Date": None},
}
"""Formats by suffix, each with the entries that would carry a date or a version."""


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure in the format that the suffix names, replacing a file of that name.

    Parameters
    ----------
    figure : Figure
    path : path
        Ends in .png, .pdf or .svg; its folder exists.

    Returns
    -------
    Path
        Where it was written.

    Raises
    ------
    InputError
        If the suffix is another, the folder is missing, or the file cannot be written.
    """
    target = Path(path)
    suffix = target.suffix.lower()
    if suffix not in METADATA:
        raise InputError(f"{target}: a plot ends in one of {', '.join(METADATA)}, not in {suffix!r}")
    if not target.parent.is_dir():
        raise InputError(f"{target}: the folder {target.parent} does not exist; make it first")
    content = render(figure, suffix)
    try:
        target.write_bytes(content)
    except OSError as error:
        raise InputError(f"{target}: the plot cannot be written ({error.strerror})") from error
    return target


@style.styled
def render(figure: Figure, suffix: str) -> bytes:
    """Return the bytes of a figure in the format of a suffix."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=suffix[1:], metadata=METADATA[suffix])
    return buffer.getvalue()
