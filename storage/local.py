"""Objects as files below a directory: durable, create-only and atomic writes."""

import ctypes
import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from storage.errors import ConflictError, StorageError

TEMPORARY = ".tmp"
LOCK = ".lock"
WRITERS = ".writers.lock"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}


def explain(error: OSError, path: Path | str) -> StorageError:
    """Turn an operating system error into one that names the path and the remedy."""
    if error.errno in _FULL:
        return StorageError(
            f"{path}: no space left ({error.strerror}); nothing was written under this name and everything "
            "committed before is kept. Free space or raise the quota, then run the same command again."
        )
    if error.errno in _REFUSED:
        return StorageError(
            f"{path}: no permission ({error.strerror}); choose another place or change its mode"
        )
    if error.errno == errno.ENOTDIR:
        return StorageError(f"{path}: a file stands where a folder is due; choose another path")
    if error.errno == errno.ENOENT:
        return StorageError(f"{path}: does not exist; check the path")
    return StorageError(f"{path}: {error.strerror or error}")


@contextmanager
def explained(path: Path | str) -> Iterator[None]:
    """Raise StorageError naming `path` in place of any OSError of the block."""
    try:
        yield
    except OSError as error:
        raise explain(error, path) from error


class LocalRange:
    """Reads ranges of one open file into a scratch buffer that is used again for every range."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with explained(path):
            self._handle = os.open(path, os.O_RDONLY)
            self.size = os.fstat(self._handle).st_size
        self._scratch = np.empty(0, np.uint8)

    def prefetch(self, start: int, stop: int) -> None:
        """Do nothing: the operating system reads ahead."""

    def read(self, start: int, length: int) -> np.ndarray:
        """Return `length` bytes from `start`, shape (length,), uint8; valid until the next read."""
        if self._scratch.size < length:
            self._scratch = np.empty(length + length // 8, np.uint8)
        view = self._scratch[:length]
        got = 0
        while got < length:
            with explained(self._path):
                count = os.preadv(self._handle, [view[got:].data], start + got)
            if not count:
                raise StorageError(
                    f"{self._path}: ends at byte {start + got}, {start + length} were expected"
                )
            got += count
        return view

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


class LocalObjects:
    """Files below `root`; a name is a relative path with `/`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def describe(self, name: str) -> str:
        """Return the path of a name, for messages."""
        return str(self.root / name) if name else str(self.root)

    def size(self, name: str) -> int | None:
        """Return the size in bytes, or None if there is no such file."""
        try:
            return (self.root / name).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise explain(error, self.root / name) from error

    def read(self, name: str) -> bytes:
        """Return the whole content."""
        with explained(self.root / name):
            return (self.root / name).read_bytes()

    def open_range(self, name: str) -> LocalRange:
        """Open a file for reading ranges."""
        return LocalRange(self.root / name)

    def list(self, prefix: str) -> list[str]:
        """Return the names of all files below the directory `prefix`, without unfinished ones and locks."""
        top = self.root / prefix
        found: list[str] = []
        for folder, _, files in os.walk(top):
            relative = Path(folder).relative_to(self.root).as_posix()
            base = "" if relative == "." else relative + "/"
            found += [base + file for file in files if not file.endswith((TEMPORARY, LOCK))]
        return found

    def is_empty(self) -> bool:
        """Tell whether there is no directory, or nothing in it but locks and unfinished files."""
        try:
            with os.scandir(self.root) as entries:
                return all(entry.name.endswith((TEMPORARY, LOCK)) for entry in entries)
        except FileNotFoundError:
            return True
        except OSError as error:
            raise explain(error, self.root) from error

    def create(self, name: str, data: bytes) -> bool:
        """Write durably unless the name is taken; True if written, False if equal bytes are there already.

        A link never replaces a name, so of two writers one wins and the other sees the winner's bytes.
        """
        path = self.root / name
        with explained(path), _written(path, data) as temporary:
            try:
                os.link(temporary, path)
            except FileExistsError:
                if path.read_bytes() == data:
                    return False
                raise ConflictError(f"{path}: exists already with other content; it is kept") from None
            return True

    def replace(self, name: str, data: bytes) -> None:
        """Write durably and atomically over whatever has the name."""
        path = self.root / name
        with explained(path), _written(path, data) as temporary:
            temporary.replace(path)

    def swap(self, name: str, old: bytes | None, new: bytes) -> None:
        """Replace `old` by `new` in one step; ConflictError if the content is no longer `old`."""
        path = self.root / name
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(path.parent):
            if (path.read_bytes() if path.exists() else None) != old:
                raise ConflictError(f"{path}: another writer changed it in between")
            self.replace(name, new)

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Hold the place as one of its writers; the system lets go of it for a killed one."""
        with _writers(self.root, fcntl.LOCK_SH):
            yield

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Keep writers out, who wait so long; False if one is there."""
        with _writers(self.root, fcntl.LOCK_EX | fcntl.LOCK_NB) as alone:
            yield alone

    def unfinished(self) -> tuple[str, ...]:
        """Return the names of files that are being written, or whose writers were killed."""
        return tuple(path.relative_to(self.root).as_posix() for path in self.root.rglob(f".*{TEMPORARY}"))

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""
        path = self.root / name
        with explained(path), suppress(FileNotFoundError):
            path.unlink()
            sync_directory(path.parent)


@contextmanager
def _written(path: Path, data: bytes) -> Iterator[Path]:
    """Give a synced temporary file beside `path`; afterwards it is gone and the directory synced."""
    make_directory(path.parent)
    temporary = path.parent / f".{path.name[:150]}.{secrets.token_hex(6)}{TEMPORARY}"
    try:
        write_synced(temporary, data)
        yield temporary
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()
    sync_directory(path.parent)


def write_synced(path: Path, data: bytes) -> None:
    """Write a new file and force it to the disk."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def make_directory(path: Path) -> None:
    """Create a directory with its parents and make their names durable."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(exist_ok=True)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Force the names in a directory to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory's advisory lock, which a killed process gives back; network file systems do, too."""
    with explained(directory):
        handle = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)


@contextmanager
def _writers(directory: Path, how: int) -> Iterator[bool]:
    """Lock the file of all writers; False if others hold it and `how` does not wait."""
    with explained(directory):
        handle = os.open(directory / WRITERS, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(handle, how)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


_RENAME_EXCHANGE, _AT_CWD = 2, -100


def swap_directories(new: Path, path: Path, aside: Path) -> None:
    """Put the directory `new` in the place of `path`, in one step where the file system can.

    Where it cannot, the old one stands for an instant under `aside`, from where it is put back if the
    process is killed before the second rename. What was at `path` is deleted afterwards.
    """
    if _exchange(new, path):
        shutil.rmtree(new)
        return
    path.rename(aside)
    new.rename(path)
    shutil.rmtree(aside)


def _exchange(first: Path, second: Path) -> bool:
    """Exchange two names by renameat2(2); False if the kernel or the file system has no such thing."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if call is None:
        return False
    done = call(_AT_CWD, os.fsencode(first), _AT_CWD, os.fsencode(second), _RENAME_EXCHANGE) == 0
    if not done and ctypes.get_errno() not in {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP}:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(second))
    return bool(done)
