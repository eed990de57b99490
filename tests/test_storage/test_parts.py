"""Parts: create-only, self-checking, deterministic."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from storage.errors import NonDeterminismError, StorageError
from storage.parts import PartStore, decode_part, encode_part

ARRAYS = {"limit": np.array([[1.5, np.nan], [np.inf, -0.0]]), "status": np.array([0, 3], np.uint8)}
META = {"windows": [0, 2], "configuration": "default"}


@pytest.fixture
def parts(tmp_path: Path) -> PartStore:
    return PartStore(tmp_path / "parts")


@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5),
        hnp.arrays(
            st.sampled_from([">f8", "f8", "f4", "i8", "u1", "bool"]), hnp.array_shapes(min_dims=0, min_side=0)
        ),
        max_size=4,
    )
)
def test_arrays_come_back(arrays: dict[str, np.ndarray]) -> None:
    part = decode_part(encode_part(arrays, META), "here")
    assert part.meta == META
    assert set(part.arrays) == set(arrays)
    for name, values in arrays.items():
        np.testing.assert_array_equal(part.arrays[name], values)
        assert part.arrays[name].dtype == values.dtype.newbyteorder("<")


def test_the_bytes_do_not_depend_on_order_layout_or_kind_of_nan() -> None:
    odd = np.array([0x7FF8000000000001, 0xFFF8000000000000], "u8").view("f8")
    one = encode_part({"a": np.full(2, np.nan), "b": np.arange(6.0).reshape(2, 3)}, {"x": 1, "y": 2})
    two = encode_part({"b": np.asfortranarray(np.arange(6.0).reshape(2, 3)), "a": odd}, {"y": 2, "x": 1})
    assert one == two


def test_a_second_equal_copy_is_fine(parts: PartStore) -> None:
    assert parts.commit("a-1", ARRAYS, META)
    assert not parts.commit("a-1", ARRAYS, META)
    assert parts.keys() == ("a-1",)
    np.testing.assert_array_equal(parts.read("a-1").arrays["limit"], ARRAYS["limit"])


@pytest.mark.parametrize(
    ("arrays", "meta", "what"),
    [
        ({**ARRAYS, "status": np.array([0, 4], np.uint8)}, META, "in status;"),
        ({"status": ARRAYS["status"]}, META, "in limit;"),
        (ARRAYS, {**META, "windows": [0, 3]}, "in its meta record;"),
    ],
)
def test_another_result_stops_the_run(
    parts: PartStore, arrays: dict[str, np.ndarray], meta: dict[str, object], what: str
) -> None:
    parts.commit("a", ARRAYS, META)
    with pytest.raises(NonDeterminismError, match=rf"a.part: block a was computed twice .* {what}"):
        parts.commit("a", arrays, meta)
    np.testing.assert_array_equal(parts.read("a").arrays["status"], ARRAYS["status"])


def test_every_flipped_byte_and_truncation_is_noticed(parts: PartStore, tmp_path: Path) -> None:
    parts.commit("a", ARRAYS, META)
    parts.commit("b", ARRAYS, META)
    path = tmp_path / "parts" / "a.part"
    original = path.read_bytes()
    broken = [original[:length] for length in range(len(original))]
    for position in range(len(original)):
        flipped = bytearray(original)
        flipped[position] ^= 1
        broken.append(bytes(flipped))
    for data in broken:
        path.write_bytes(data)
        with pytest.raises(StorageError, match=r"a\.part: damaged part"):
            parts.read("a")
    assert parts.damaged() == ("a",)
    with pytest.raises(StorageError, match="damaged part"):
        parts.commit("a", ARRAYS, META)
    assert parts.remove_damaged() == ("a",)
    assert parts.keys() == ("b",)
    assert parts.commit("a", ARRAYS, META)


@pytest.mark.parametrize("key", ["", "../a", "a/b", "a b", ".a", "a" * 200])
def test_odd_keys_are_refused(parts: PartStore, key: str) -> None:
    with pytest.raises(StorageError, match="is no key of a part"):
        parts.commit(key, ARRAYS)


def test_texts_and_nan_in_meta_are_refused(parts: PartStore) -> None:
    with pytest.raises(StorageError, match="array a of a part has type"):
        parts.commit("a", {"a": np.array(["x"])})
    with pytest.raises(ValueError, match="not JSON compliant"):
        parts.commit("a", {}, {"x": float("nan")})


def test_nothing_committed_yet(parts: PartStore) -> None:
    assert parts.keys() == ()
    assert parts.damaged() == ()
    with pytest.raises(StorageError, match=r"a\.part: does not exist"):
        parts.read("a")


def test_keys_of_many_parts_are_quick(parts: PartStore, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for number in range(20_000):
        (tmp_path / "parts" / f"b-{number:05}.part").touch()
    before = time.process_time()
    assert len(parts.keys()) == 20_000
    assert time.process_time() - before < 1.0  # 10^5 in five seconds at most


COMMIT = """
import sys
import numpy as np
from storage.parts import PartStore
parts = PartStore(sys.argv[1])
print("ready", flush=True)
for number in range(10**6):
    parts.commit(f"b-{number:06}", {"x": np.full(20000, float(number))}, {})
"""


def test_kills_leave_only_whole_parts(parts: PartStore, tmp_path: Path) -> None:
    seen = 0
    for attempt in range(5):
        command = [sys.executable, "-c", COMMIT, str(tmp_path / "parts")]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(0.05 + 0.021 * attempt)
            process.kill()
        assert parts.damaged() == ()
        assert len(parts.keys()) >= seen
        seen = len(parts.keys())
    assert seen > 0
