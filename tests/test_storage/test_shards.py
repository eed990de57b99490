"""The bytes of a shard: round trips, other readers of the same bytes, and flips."""

import io
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.errors import StorageError
from storage.shards import Layout, checksum, decode, encode, metadata, read_index

LAYOUT = Layout(16, 64)
TYPES = ["float32", "float64", "int8", "int32", "int64", "uint8", "uint64"]


class Held:
    """Bytes in memory as a source of ranges."""

    def __init__(self, data: bytes) -> None:
        self.data, self.size = np.frombuffer(data, np.uint8), len(data)

    def prefetch(self, start: int, stop: int) -> None:
        pass

    def read(self, start: int, length: int) -> np.ndarray:
        if start < 0 or start + length > self.size:
            raise StorageError("outside")
        return self.data[start : start + length].copy()


def decoded(data: bytes, rows: int, dtype: str, layout: Layout = LAYOUT) -> np.ndarray:
    source = Held(data)
    out = np.empty(-(-rows // layout.chunk_rows) * layout.chunk_rows, dtype)
    decode(source, read_index(source, layout, "here"), 0, out, layout, "here")
    return out[:rows]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TYPES), st.integers(1, 64), st.binary(min_size=512, max_size=512))
def test_any_values_come_back_to_the_bit(dtype: str, rows: int, data: bytes) -> None:
    values = np.frombuffer(data, dtype)[:rows].copy()
    assert decoded(encode(values, LAYOUT), values.size, dtype).tobytes() == values.tobytes()


def test_every_flipped_byte_is_noticed() -> None:
    values = np.random.default_rng(1).normal(size=40).astype("f4")
    data = encode(values, LAYOUT)
    for position in range(len(data)):
        for bit in (1, 128):
            flipped = bytearray(data)
            flipped[position] ^= bit
            with pytest.raises(StorageError, match=r"here: (chunk \d|the chunk index)"):
                decoded(bytes(flipped), values.size, "float32")


def test_every_truncation_is_noticed() -> None:
    data = encode(np.arange(40.0), LAYOUT)
    for length in range(len(data)):
        with pytest.raises(StorageError, match="here"):
            decoded(data[:length], 40, "float64")


@pytest.mark.parametrize(
    "pipeline", ["zarr.core.codec_pipeline.BatchedCodecPipeline", "zarrs.ZarrsCodecPipeline"]
)
@pytest.mark.parametrize("dtype", TYPES)
def test_other_zarr_readers_see_the_same_values(tmp_path: Path, pipeline: str, dtype: str) -> None:
    import json

    values = np.random.default_rng(2).integers(0, 100, 50).astype(dtype)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "0").write_bytes(encode(values, LAYOUT))
    (tmp_path / "zarr.json").write_text(json.dumps(metadata(dtype, "GeV", 50, LAYOUT)))
    with zarr.config.set({"codec_pipeline.path": pipeline}):
        array = zarr.open_array(str(tmp_path), mode="r")
        np.testing.assert_array_equal(array[:], values)
    assert array.attrs["units"] == "GeV"
    assert array.metadata.dimension_names == ("row",)


@pytest.mark.parametrize("dtype", TYPES)
def test_shards_of_zarr_python_are_read(tmp_path: Path, dtype: str) -> None:
    values = np.random.default_rng(2).integers(1, 100, 50).astype(dtype)
    described = metadata(dtype, "", 64, LAYOUT)
    store = zarr.storage.LocalStore(tmp_path)
    array = zarr.Array.from_dict(zarr.storage.StorePath(store), described)
    array[:50] = values
    data = (tmp_path / "c" / "0").read_bytes()
    np.testing.assert_array_equal(decoded(data, 50, dtype), values)


def test_rows_that_do_not_divide_are_refused() -> None:
    with pytest.raises(StorageError, match="shards of 10 rows do not divide into chunks of 4"):
        Layout(4, 10)


def test_checksum_is_crc32c() -> None:
    assert checksum(b"123456789") == 0xE3069283  # the check value of the CRC catalogue
    assert checksum(np.frombuffer(io.BytesIO(b"123456789").read(), np.uint8)) == 0xE3069283
