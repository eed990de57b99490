"""URL or path -> a place for objects, with create-only, atomic and durable writes."""

import secrets
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import unquote

import numpy as np

from storage.errors import ConflictError, StorageError
from storage.local import LocalObjects

SCHEMES = ("file", "s3", "memory")


class RangeReader(Protocol):
    """An open object that is read range by range."""

    size: int

    def prefetch(self, start: int, stop: int) -> None:
        """Announce a range that several reads will ask for."""

    def read(self, start: int, length: int) -> np.ndarray:
        """Return `length` bytes from `start`, uint8; valid until the next read."""

    def close(self) -> None:
        """Release the object."""


class Objects(Protocol):
    """What a back end of Location does; names are relative, with `/`."""

    def describe(self, name: str) -> str:
        """Return the full path or URL of a name."""

    def size(self, name: str) -> int | None:
        """Return the size in bytes, None if missing."""

    def read(self, name: str) -> bytes:
        """Return the whole content."""

    def open_range(self, name: str) -> RangeReader:
        """Open for reading ranges."""

    def list(self, prefix: str) -> list[str]:
        """Return all names below a prefix."""

    def is_empty(self) -> bool:
        """Tell whether nothing is there."""

    def create(self, name: str, data: bytes) -> bool:
        """Write unless the name is taken."""

    def replace(self, name: str, data: bytes) -> None:
        """Write atomically over the name."""

    def swap(self, name: str, old: bytes | None, new: bytes) -> None:
        """Write `new` if the content is still `old`."""

    def remove(self, name: str) -> None:
        """Delete if it exists."""

    def joined(self) -> AbstractContextManager[None]:
        """Hold the place as one of its writers."""

    def alone(self) -> AbstractContextManager[bool]:
        """Keep writers out; False if one may be there."""

    def unfinished(self) -> tuple[str, ...]:
        """Return the names of files that are being written, or whose writers were killed."""


class Location:
    """A place named by a path, `file://`, `s3://bucket/prefix` or, for tests, `memory://name/prefix`.

    Parameters
    ----------
    url : str or Path
        Local paths may be relative; `~` is the home directory.

    Raises
    ------
    StorageError
        For an unknown scheme or an empty path. All methods raise it for missing objects, refused access
        and full disks, naming path and remedy; nothing half-written ever has a final name.

    Examples
    --------
    >>> place = Location("memory://doctest/a")
    >>> place.create("x", b"1"), place.create("x", b"1"), place.read("x")
    (True, False, b'1')
    """

    def __init__(self, url: "str | Path | Location") -> None:
        resolved = _resolve(url.url if isinstance(url, Location) else str(url))
        self.url: str = resolved[0]
        self.path: Path | None = resolved[1]
        self._objects: Objects = resolved[2]

    def __repr__(self) -> str:
        return f"Location({self.url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Location) and other.url == self.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __reduce__(self) -> tuple[type[Self], tuple[str]]:
        return type(self), (self.url,)

    def child(self, name: str) -> "Location":
        """Return the place below this one."""
        return Location(f"{self.url.rstrip('/')}/{_checked(name)}")

    def describe(self, name: str = "") -> str:
        """Return the full path or URL of a name, for messages."""
        return self._objects.describe(name)

    def exists(self, name: str) -> bool:
        """Tell whether the object exists."""
        return self.size(name) is not None

    def size(self, name: str) -> int | None:
        """Return the size of an object in bytes, or None if it does not exist."""
        return self._objects.size(_checked(name))

    def read(self, name: str) -> bytes:
        """Return the content of an object."""
        return self._objects.read(_checked(name))

    def open_range(self, name: str) -> RangeReader:
        """Open an object for reading ranges of bytes; close it afterwards."""
        return self._objects.open_range(_checked(name))

    def list(self, prefix: str = "") -> tuple[str, ...]:
        """Return the sorted names of all objects below `prefix` (a directory name), at any depth."""
        return tuple(sorted(self._objects.list(_checked(prefix) if prefix else "")))

    def is_empty(self) -> bool:
        """Tell whether nothing is here but locks and unfinished files; quick, whatever is here."""
        return self._objects.is_empty()

    def create(self, name: str, data: bytes) -> bool:
        """Write durably if the name is free.

        Returns
        -------
        bool
            True if written, False if the same bytes were there already.

        Raises
        ------
        ConflictError
            If other bytes have the name.
        """
        return self._objects.create(_checked(name), data)

    def replace(self, name: str, data: bytes) -> None:
        """Write atomically and durably; a reader sees the old or the new bytes, never a mixture."""
        self._objects.replace(_checked(name), data)

    def swap(self, name: str, old: bytes | None, new: bytes) -> None:
        """Replace the content `old` (None: no object) by `new`; ConflictError if it is another by now."""
        self._objects.swap(_checked(name), old, new)

    def remove(self, name: str) -> None:
        """Delete an object; a missing one is fine."""
        self._objects.remove(_checked(name))

    def joined(self) -> AbstractContextManager[None]:
        """Hold the place as one of its writers, for the time of a `with`."""
        return self._objects.joined()

    def alone(self) -> AbstractContextManager[bool]:
        """Keep writers out for the time of a `with`, which gives False if one may be there, as in buckets."""
        return self._objects.alone()

    def unfinished(self) -> tuple[str, ...]:
        """Return the names of files that are being written, or whose writers were killed."""
        return self._objects.unfinished()

    def remove_tree(self, marker: str) -> None:
        """Delete everything here, if the object `marker` shows that it is ours; an empty place is fine.

        Raises
        ------
        StorageError
            If other things are here.
        """
        if self.is_empty():
            return
        if not self.exists(marker):
            raise StorageError(f"{self.describe()}: holds other things (no {marker}), so it is not removed")
        for name in (*(name for name in self.list() if name != marker), marker):
            self.remove(name)
        if self.path is not None:
            shutil.rmtree(self.path, ignore_errors=True)

    def probe(self) -> None:
        """Make sure that create-only writing works here.

        Raises
        ------
        StorageError
            If the place is not writable, or lets a second writer replace the first one's object, as some
            small S3 servers that ignore If-None-Match do.
        """
        name = f"probe-{secrets.token_hex(8)}.tmp"
        try:
            self.create(name, b"first")
            try:
                self.create(name, b"second")
            except ConflictError:
                return
            raise StorageError(
                f"{self.describe()}: create-only writes are not honoured here (a second writer replaced the "
                "first); use a local or network file system, or an S3 server that supports If-None-Match"
            )
        finally:
            self.remove(name)


def _checked(name: str) -> str:
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\0" in name or "\\" in name:
        raise StorageError(
            f"{name!r} is no valid object name: use relative names without empty parts or '..'"
        )
    return name


def _resolve(url: str) -> tuple[str, Path | None, Objects]:
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        text = unquote(rest) if separator else url
        if not text or "\0" in text:
            raise StorageError(f"{url!r} is no path: give a directory or a URL ({', '.join(SCHEMES)})")
        path = Path(text).expanduser().absolute()
        return str(path), path, LocalObjects(path)
    if scheme not in SCHEMES:
        raise StorageError(
            f"{url}: unknown scheme {scheme!r}; allowed are {', '.join(SCHEMES)} and plain paths"
        )
    from storage.objects import BucketObjects

    bucket, _, prefix = rest.partition("/")
    if not bucket:
        raise StorageError(f"{url}: no bucket; write {scheme}://BUCKET/PATH")
    return url.rstrip("/"), None, BucketObjects(scheme, bucket, unquote(prefix))
