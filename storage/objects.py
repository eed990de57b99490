"""Objects in a bucket: conditional writes through obstore."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PreconditionError
from obstore.store import MemoryStore, S3Store

from storage.errors import ConflictError, StorageError

if TYPE_CHECKING:
    from obstore import UpdateVersion


_MEMORY: dict[str, MemoryStore] = {}


def connect(scheme: str, bucket: str, prefix: str = "") -> Any:
    """Return the obstore store of a bucket; S3 takes keys, region and endpoint from the AWS_* variables."""
    if scheme == "memory":
        return _MEMORY.setdefault(bucket, MemoryStore())
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    try:
        return S3Store(
            bucket, prefix=prefix or None, client_options={"allow_http": endpoint.startswith("http://")}
        )
    except BaseError as error:
        raise StorageError(
            f"s3://{bucket}: cannot be opened ({_first_line(error)}); check the AWS_* variables"
        ) from error


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]


class ObjectRange:
    """Reads ranges of one object; a prefetched range is fetched in one request."""

    def __init__(self, store: "BucketObjects", name: str) -> None:
        self._store, self._name = store, name
        size = store.size(name)
        if size is None:
            raise StorageError(f"{store.describe(name)}: does not exist; check the path")
        self.size = size
        self._start, self._held = 0, np.empty(0, np.uint8)

    def prefetch(self, start: int, stop: int) -> None:
        """Fetch a range that several reads will ask for."""
        self._start, self._held = start, self._fetch(start, stop - start)

    def read(self, start: int, length: int) -> np.ndarray:
        """Return `length` bytes from `start`, shape (length,), uint8; valid until the next read."""
        offset = start - self._start
        if offset >= 0 and offset + length <= self._held.size:
            return self._held[offset : offset + length]
        return self._fetch(start, length)

    def _fetch(self, start: int, length: int) -> np.ndarray:
        with self._store.explained(self._name):
            data = obstore.get_range(
                self._store.handle, self._store.key(self._name), start=start, length=length
            )
        if len(data) != length:
            raise StorageError(f"{self._store.describe(self._name)}: ends early at byte {start + len(data)}")
        return np.frombuffer(memoryview(data), np.uint8)

    def close(self) -> None:
        """Let go of what was prefetched."""
        self._held = np.empty(0, np.uint8)


class BucketObjects:
    """Objects below a prefix of a bucket; a name is a relative key."""

    def __init__(self, scheme: str, bucket: str, prefix: str) -> None:
        self.url, self.prefix = f"{scheme}://{bucket}", prefix.strip("/")
        self.handle = connect(scheme, bucket)

    def key(self, name: str) -> str:
        """Return the full key of a name."""
        return "/".join(part for part in (self.prefix, name) if part)

    def describe(self, name: str) -> str:
        """Return the URL of a name, for messages."""
        return f"{self.url}/{self.key(name)}"

    @contextmanager
    def explained(self, name: str) -> Iterator[None]:
        """Raise StorageError naming the object in place of any error of the object store."""
        where = self.describe(name)
        try:
            yield
        except FileNotFoundError as error:
            raise StorageError(f"{where}: does not exist; check bucket and path") from error
        except (BaseError, OSError) as error:
            raise StorageError(
                f"{where}: {_first_line(error)}; everything committed before is kept. "
                "Check access, space and the AWS_* variables, then run again."
            ) from error

    def size(self, name: str) -> int | None:
        """Return the size in bytes, or None if there is no such object."""
        with self.explained(name):
            try:
                return int(obstore.head(self.handle, self.key(name))["size"])
            except FileNotFoundError:
                return None

    def read(self, name: str) -> bytes:
        """Return the whole content."""
        with self.explained(name):
            return bytes(obstore.get(self.handle, self.key(name)).bytes())

    def open_range(self, name: str) -> ObjectRange:
        """Open an object for reading ranges."""
        return ObjectRange(self, name)

    def list(self, prefix: str) -> list[str]:
        """Return the names of all objects below the prefix."""
        skip = len(self.prefix) + 1 if self.prefix else 0
        with self.explained(prefix):
            pages = obstore.list(self.handle, self.key(prefix) or None, chunk_size=1000)
            return [item["path"][skip:] for page in pages for item in page]

    def is_empty(self) -> bool:
        """Tell whether there is no object below the prefix."""
        with self.explained(""):
            pages = obstore.list(self.handle, self.prefix or None, chunk_size=1)
            return next(iter(pages), None) is None

    def create(self, name: str, data: bytes) -> bool:
        """Put with If-None-Match; True if written, False if equal bytes are there already."""
        with self.explained(name):
            try:
                obstore.put(self.handle, self.key(name), data, mode="create")
            except (AlreadyExistsError, PreconditionError):
                if self.read(name) == data:
                    return False
                raise ConflictError(
                    f"{self.describe(name)}: exists already with other content; it is kept"
                ) from None
            return True

    def replace(self, name: str, data: bytes) -> None:
        """Put over whatever has the name."""
        with self.explained(name):
            obstore.put(self.handle, self.key(name), data)

    def swap(self, name: str, old: bytes | None, new: bytes) -> None:
        """Replace `old` by `new` with If-Match; ConflictError if the content is no longer `old`."""
        changed = ConflictError(f"{self.describe(name)}: another writer changed it in between")
        with self.explained(name):
            if old is None:
                try:
                    obstore.put(self.handle, self.key(name), new, mode="create")
                except (AlreadyExistsError, PreconditionError):
                    raise changed from None
                return
            held = obstore.get(self.handle, self.key(name))
            if bytes(held.bytes()) != old:
                raise changed
            tags = {key: held.meta[key] for key in ("e_tag", "version") if held.meta[key] is not None}
            try:
                obstore.put(self.handle, self.key(name), new, mode=cast("UpdateVersion", tags))
            except PreconditionError:
                raise changed from None

    def remove(self, name: str) -> None:
        """Delete an object if it exists."""
        if self.size(name) is not None:
            with self.explained(name):
                obstore.delete(self.handle, self.key(name))

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Do nothing: buckets have no locks."""
        yield

    @contextmanager
    def alone(self) -> Iterator[bool]:
        """Give False: buckets have no locks, so that nobody knows."""
        yield False

    def unfinished(self) -> tuple[str, ...]:
        """Return nothing: an object is there as a whole or not at all."""
        return ()
