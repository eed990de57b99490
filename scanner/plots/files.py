"""Figures to files: the same figure gives the same bytes."""

import io
import os
from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image

from scanner.errors import InputError
from scanner.plots import style

METADATA: dict[str, dict[str, None]] = {
    ".png": {"Software": None},
    ".pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    ".svg": {"Creator": None, "Date": None},
}
"""Formats by suffix, each with the entries that would carry a date or a version."""

COLOURS = 64
"""Colours of a small .png."""


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
    return _written(figure, Path(path))


def save_small(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a figure as a .png of half the size and few colours, for pages; otherwise as `save`."""
    return _written(figure, Path(path), small=True)


def _written(figure: Figure, target: Path, *, small: bool = False) -> Path:
    suffix = target.suffix.lower()
    if suffix not in METADATA:
        raise InputError(f"{target}: a plot ends in one of {', '.join(METADATA)}, not in {suffix!r}")
    if not target.parent.is_dir():
        raise InputError(f"{target}: the folder {target.parent} does not exist; make it first")
    content = render(figure, suffix)
    content = _with_few_colours(content) if small else content
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


def _with_few_colours(content: bytes) -> bytes:
    """Return a .png at half its size, its colours those of a palette."""
    buffer = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        few = image.convert("RGB").reduce(2).quantize(COLOURS)
        few.save(buffer, format="png", optimize=True)
    return buffer.getvalue()
