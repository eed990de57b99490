"""The store on one core: 8 of 10 float32 columns, page cache warm, against Parquet and the other pipelines.

Seconds are of CPU time, since other work on the machine does not change those much.
"""

import os
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from scanner.reading.channel import ChannelPlan
from scanner.reading.selection import Selection
from storage.events import EventStore
from storage.parts import PartStore
from storage.samples import Sample

pytestmark = [pytest.mark.benchmark_suite, pytest.mark.benchmark(timer=time.process_time)]

COLUMNS = [f"c{number}" for number in range(10)]
READ = COLUMNS[:8]
CUTS = (*(f"{name} < {3 + number}" for number, name in enumerate(READ)), "c0 > 0.01", "c1 > 0.01")
EDGES = np.linspace(0.0, 10.0, 2001)
ROWS = int(os.environ.get("DARKSCAN_BENCH_ROWS", str(2 * 10**7)))
BATCH = 2**20


def batches():
    generator = np.random.default_rng(1)
    for start in range(0, ROWS, BATCH):
        count = min(BATCH, ROWS - start)
        yield {name: generator.standard_exponential(count, np.float32) for name in COLUMNS}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    url = str(tmp_path_factory.mktemp("bench") / "events")
    made = EventStore.create(url, dict.fromkeys(COLUMNS, "GeV"))
    made.append(Sample(name="data", kind="data"), batches())
    return url


@pytest.fixture(scope="module")
def parquet(tmp_path_factory):
    path = tmp_path_factory.mktemp("bench") / "events.parquet"
    schema = pa.schema([(name, pa.float32()) for name in COLUMNS])
    with pq.ParquetWriter(path, schema, compression="lz4") as writer:
        for batch in batches():
            writer.write_batch(pa.record_batch(batch), row_group_size=BATCH)
    return path


@pytest.mark.parametrize("pipeline", ["direct", "zarrs", "zarr"])
def test_store_to_columns(race, store, pipeline):
    opened = EventStore.open(store, pipeline=pipeline)
    rows = 2**18 if pipeline == "direct" else 2**21  # where each is fastest

    def read():
        return sum(len(block[READ[0]]) for block in opened.iterate(READ, rows=rows))

    who = "darkscan" if pipeline == "direct" else f"{pipeline} codecs"
    bound = "lz4 decompression, crc32c and the copy out of the page cache"
    assert race("store to columns", who, read, items=ROWS, unit="row", rounds=3, bound=bound) == ROWS


def test_parquet_to_columns(race, parquet):
    def read():
        count = 0
        with pq.ParquetFile(parquet, pre_buffer=False) as file:
            for batch in file.iter_batches(2**18, columns=READ, use_threads=False):
                count += len([column.to_numpy() for column in batch.columns] and batch)
        return count

    assert race("store to columns", "Parquet, lz4", read, items=ROWS, unit="row", rounds=3) == ROWS


def test_store_to_histogram(race, store):
    opened = EventStore.open(store)
    selection = Selection(ChannelPlan(CUTS, "c0", EDGES, tuple(COLUMNS)))

    def fill():
        total = selection.empty()
        for block in opened.iterate(READ):
            total = total + selection.fill(block)
        return int(total.cutflow[0, 0])

    bound = "reading, as above; the cuts find the columns in the cache"
    group = "store to histogram: 8 columns, 10 cuts"
    assert race(group, "darkscan", fill, items=ROWS, unit="row", rounds=3, bound=bound) == ROWS


def test_parquet_to_histogram(race, parquet):
    limits = [np.float32(3 + number) for number in range(len(READ))]

    def fill():
        count = 0
        with pq.ParquetFile(parquet, pre_buffer=False) as file:
            for batch in file.iter_batches(2**18, columns=READ, use_threads=False):
                x = [column.to_numpy() for column in batch.columns]
                mask = np.logical_and.reduce([a < b for a, b in zip(x, limits, strict=True)])
                mask &= (x[0] > np.float32(0.01)) & (x[1] > np.float32(0.01))
                np.histogram(x[0][mask], EDGES)
                count += len(batch)
        return count

    group = "store to histogram: 8 columns, 10 cuts"
    assert race(group, "Parquet, lz4 + numpy", fill, items=ROWS, unit="row", rounds=3) == ROWS


def test_columns_to_store(race, tmp_path):
    block = {name: values[:] for name, values in next(batches()).items()}
    numbers = iter(range(100))

    def write():
        made = EventStore.create(str(tmp_path / str(next(numbers))), dict.fromkeys(COLUMNS, "GeV"))
        made.append(Sample(name="data", kind="data"), [block] * 4)
        return made.rows

    race(
        "columns to store", "darkscan", write, items=4 * BATCH, unit="row", rounds=3, bound="lz4 compression"
    )


@pytest.mark.benchmark(timer=time.perf_counter)
def test_commit_of_a_part(race, tmp_path):
    parts = PartStore(tmp_path)
    arrays = {f"v{number}": np.random.default_rng(number).random(500) for number in range(20)}
    numbers = iter(range(10**6))

    def commit():
        return parts.commit(f"block-{next(numbers):06}", arrays, {"windows": [0, 500]})

    race("commit of a part of 80 kB", "darkscan", commit, items=1, unit="part", rounds=300, bound="two fsync")
