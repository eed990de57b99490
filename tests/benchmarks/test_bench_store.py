"""Store to columns, a core: every pipeline and Parquet, 8 of 10 float32 columns, page cache warm.

Rates are a second of CPU time, since other work on the machine does not change those much.
"""

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from storage.events import EventStore
from storage.parts import PartStore
from storage.samples import Sample

pytestmark = [pytest.mark.benchmark_suite, pytest.mark.benchmark(timer=time.process_time)]

COLUMNS = [f"c{number}" for number in range(10)]
READ = COLUMNS[:8]
ROWS = int(os.environ.get("DARKSCAN_BENCH_ROWS", str(2 * 10**7)))
BATCH = 2**20


def batches() -> Iterator[dict[str, np.ndarray]]:
    generator = np.random.default_rng(1)
    for start in range(0, ROWS, BATCH):
        count = min(BATCH, ROWS - start)
        yield {name: generator.standard_exponential(count, np.float32) for name in COLUMNS}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    url = str(tmp_path_factory.mktemp("bench") / "events")
    made = EventStore.create(url, dict.fromkeys(COLUMNS, "GeV"))
    made.append(Sample(name="data", kind="data"), batches())
    return url


@pytest.fixture(scope="module")
def parquet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("bench") / "events.parquet"
    with pq.ParquetWriter(
        path, pa.schema([(name, pa.float32()) for name in COLUMNS]), compression="lz4"
    ) as writer:
        for batch in batches():
            writer.write_batch(pa.record_batch(batch), row_group_size=BATCH)
    return path


def measure(benchmark: object, function: Callable[[], int]) -> None:
    """Time `function`, which returns the number of rows that it has read."""
    rows = benchmark.pedantic(function, rounds=3, warmup_rounds=1)  # type: ignore[attr-defined]  # untyped fixture
    seconds = benchmark.stats.stats.min  # type: ignore[attr-defined]  # untyped fixture
    information = {
        "million_rows_per_second": round(rows / seconds / 1e6, 1),
        "gigabytes_per_second": round(rows * 4 * len(READ) / seconds / 1e9, 2),
    }
    benchmark.extra_info.update(information)  # type: ignore[attr-defined]  # untyped fixture
    print(information)
    assert rows == ROWS


@pytest.mark.parametrize("pipeline", ["direct", "zarrs", "zarr"])
def test_store_to_columns(benchmark: object, store: str, pipeline: str) -> None:
    opened = EventStore.open(store, pipeline=pipeline)
    rows = 2**18 if pipeline == "direct" else 2**21  # where each is fastest
    measure(benchmark, lambda: sum(len(block[READ[0]]) for block in opened.iterate(READ, rows=rows)))


def test_parquet_to_columns(benchmark: object, parquet: Path) -> None:
    def read() -> int:
        count = 0
        with pq.ParquetFile(parquet, pre_buffer=False) as file:
            for batch in file.iter_batches(2**18, columns=READ, use_threads=False):
                count += len([column.to_numpy() for column in batch.columns] and batch)
        return count

    measure(benchmark, read)


def test_columns_to_store(benchmark: object, tmp_path: Path) -> None:
    block = {name: values[:] for name, values in next(batches()).items()}
    numbers = iter(range(100))

    def write() -> int:
        made = EventStore.create(str(tmp_path / str(next(numbers))), dict.fromkeys(COLUMNS, "GeV"))
        made.append(Sample(name="data", kind="data"), [block] * 4)
        return made.rows

    rows = benchmark.pedantic(write, rounds=3)  # type: ignore[attr-defined]  # untyped fixture
    seconds = benchmark.stats.stats.min  # type: ignore[attr-defined]  # untyped fixture
    print({"gigabytes_per_second": round(rows * 4 * len(COLUMNS) / seconds / 1e9, 2)})


@pytest.mark.benchmark(timer=time.perf_counter)
def test_commit_of_a_part(benchmark: object, tmp_path: Path) -> None:
    parts = PartStore(tmp_path)
    arrays = {f"v{number}": np.random.default_rng(number).random(500) for number in range(20)}
    numbers = iter(range(10**6))
    benchmark.pedantic(  # type: ignore[operator, attr-defined]  # untyped fixture
        lambda: parts.commit(f"block-{next(numbers):06}", arrays, {"windows": [0, 500]}), rounds=300
    )
    stats = benchmark.stats.stats  # type: ignore[attr-defined]  # untyped fixture
    print({"milliseconds": round(stats.median * 1e3, 2)})
    assert stats.min < 5e-3
