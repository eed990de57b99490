"""Create-only, atomic and durable writes, on files and on buckets."""

import pickle
import resource
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.errors import ConflictError, StorageError
from storage.locations import Location
from storage.objects import BucketObjects


@pytest.fixture(params=["file", "url", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Location:
    names = {
        "file": str(tmp_path / "a b"),
        "url": f"file://{tmp_path}/a%20b",
        "memory": f"memory://t{tmp_path}",
    }
    return Location(names[request.param])


def test_create_keeps_the_first_content(place: Location) -> None:
    assert place.create("x/y", b"one")
    assert not place.create("x/y", b"one")
    with pytest.raises(ConflictError, match=r"y: exists already with other content; it is kept"):
        place.create("x/y", b"two")
    assert place.read("x/y") == b"one"
    assert (place.size("x/y"), place.exists("x"), place.size("z")) == (3, place.path is not None, None)


def test_replace_list_remove(place: Location) -> None:
    for name in ("b", "d/c", "a"):
        place.replace(name, b"1")
    place.replace("a", b"22")
    assert place.list() == ("a", "b", "d/c")
    assert place.list("d") == ("d/c",)
    assert place.list("none") == ()
    assert place.child("d").read("c") == b"1"
    place.remove("a")
    place.remove("a")
    assert place.list() == ("b", "d/c")


def test_swap_only_from_what_was_read(place: Location) -> None:
    place.swap("m", None, b"1")
    place.swap("m", b"1", b"2")
    for old in (None, b"1"):
        with pytest.raises(ConflictError, match="another writer"):
            place.swap("m", old, b"3")
    assert place.read("m") == b"2"


def test_ranges_are_checked_for_length(place: Location) -> None:
    place.create("x", bytes(range(100)))
    opened = place.open_range("x")
    assert bytes(opened.read(10, 5)) == bytes(range(10, 15))
    opened.prefetch(20, 40)
    assert bytes(opened.read(25, 3)) == bytes(range(25, 28))
    with pytest.raises(StorageError, match="x"):
        opened.read(95, 10)
    opened.close()
    with pytest.raises(StorageError, match="none: does not exist"):
        place.open_range("none")


def test_missing_objects_are_named(place: Location) -> None:
    with pytest.raises(StorageError, match="nothing: does not exist"):
        place.read("nothing")


def test_probe_leaves_nothing_and_pickles(place: Location) -> None:
    place.probe()
    assert place.list() == ()
    place.create("x", b"1")
    again = pickle.loads(pickle.dumps(place))
    assert again == place
    assert again.read("x") == b"1"
    assert len({again, place}) == 1


def test_a_server_that_ignores_conditions_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # What small S3 servers do: accept the header and overwrite.
    def careless(self: BucketObjects, name: str, data: bytes) -> bool:
        self.replace(name, data)
        return True

    monkeypatch.setattr(BucketObjects, "create", careless)
    with pytest.raises(StorageError, match="create-only writes are not honoured"):
        Location("memory://careless/a").probe()


@pytest.mark.parametrize("name", ["", "/a", "a//b", "../a", "a/..", ".", "a\0", "a\\b"])
def test_hostile_names_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no valid object name"):
        Location(tmp_path).create(name, b"")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("gs://a/b", "unknown scheme 'gs'; allowed are file, s3, memory"),
        ("", "is no path"),
        ("s3://", "no bucket"),
    ],
)
def test_unknown_urls_are_refused(url: str, message: str) -> None:
    with pytest.raises(StorageError, match=message):
        Location(url)


def test_unfinished_files_are_not_listed(tmp_path: Path) -> None:
    (tmp_path / ".x.0a.tmp").write_bytes(b"half")
    place = Location(tmp_path)
    assert place.list() == ()
    assert place.is_empty()
    assert place.child("none").is_empty()
    (tmp_path / "x").touch()
    assert not place.is_empty()


def test_refused_access_is_explained() -> None:
    with pytest.raises(StorageError, match="/proc"):
        Location("/proc/darkscan").create("x", b"")


def test_a_file_in_the_way_is_explained(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match="file"):
        Location(tmp_path / "file").create("x", b"")


def test_of_many_writers_one_wins(tmp_path: Path) -> None:
    place, won, lost = Location(tmp_path), [], []

    def write(number: int) -> None:
        try:
            won.append((number, place.create("x", b"%d" % number * 10**5)))
        except ConflictError:
            lost.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(lost) == 7
    assert place.read("x") == b"%d" % won[0][0] * 10**5
    assert place.list() == ("x",)


def test_of_many_swaps_each_happens_once(tmp_path: Path) -> None:
    place = Location(tmp_path)
    place.create("n", b"0")

    def count() -> None:
        for _ in range(20):
            while True:
                old = place.read("n")
                try:
                    place.swap("n", old, b"%d" % (int(old) + 1))
                except ConflictError:
                    continue
                break

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert place.read("n") == b"80"


LIMITED = """
import resource, sys
from storage.errors import StorageError
from storage.locations import Location
place = Location(sys.argv[1])
place.create("before", b"kept")
place.create("old", b"1")
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
for write in (place.create, place.replace):
    try:
        write("old" if write == place.replace else "new", b"x" * 10000)
    except StorageError as error:
        print(error)
print(place.list(), place.read("before"), place.read("old"))
"""


def test_a_file_size_limit_leaves_nothing_half_written(tmp_path: Path) -> None:
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(tmp_path)], capture_output=True, text=True, check=True
    )
    first, second, state = run.stdout.splitlines()
    for line, name in ((first, "new"), (second, "old")):
        assert f"{tmp_path / name}: no space left" in line
        assert "everything committed before is kept" in line
        assert "run the same command again" in line
    assert state == "('before', 'old') b'kept' b'1'"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["before", "old"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    target = tmp_path / "disk"
    target.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(target)]
    try:
        done = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        done = False
    if not done:
        pytest.skip("mounting a tmpfs needs root")
    yield target
    subprocess.run(["umount", "-l", str(target)], check=True)


def test_a_full_disk_keeps_what_was_committed(small_disk: Path) -> None:
    place = Location(small_disk)
    place.create("a", b"x" * 20000)
    with pytest.raises(StorageError, match=r"b: no space left .* nothing was written under this name"):
        place.create("b", b"x" * 100000)
    assert place.list() == ("a",)
    assert place.create("c", b"x" * 10000), "the space of the failed attempt is free again"
