"""Heatmaps are stored on disk with half precision, and smoothed for drawing."""

import gc
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from fakelens.errors import ReportError
from fakelens.explain.heatmaps import HeatmapStore, smooth_heatmap
from support.media import open_files


def random_heatmaps(
    count: int, shape: tuple[int, int] = (5, 7), seed: int = 0
) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 3, (count, *shape)).astype(np.float32)


def assert_equal_to_half_precision(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> None:
    """Half precision has 11 bits of a number, and steps of at least 2^-24."""
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=2**-11, atol=2**-25)


def test_rows_can_be_read_in_any_order_while_more_are_appended() -> None:
    maps, store = random_heatmaps(20), HeatmapStore()
    assert store.shape is None
    assert store.append(maps[:3]) == range(3)
    assert_equal_to_half_precision(store[1], maps[1])
    assert store.append(maps[3:]) == range(3, 20)
    assert store.shape == (5, 7)
    assert len(store) == 20
    for row in np.random.default_rng(1).permutation(20).tolist():
        assert_equal_to_half_precision(store[row], maps[row])


@pytest.mark.parametrize("row", [-1, 3, 10**9])
def test_a_missing_row_is_an_index_error(row: int) -> None:
    store = HeatmapStore()
    store.append(random_heatmaps(3))
    with pytest.raises(IndexError, match=f"no heatmap {row}: the store has 3"):
        store[row]


def test_an_empty_store_has_no_rows() -> None:
    with pytest.raises(IndexError):
        HeatmapStore()[0]


def test_all_heatmaps_of_a_store_have_one_shape() -> None:
    store = HeatmapStore()
    store.append(random_heatmaps(3))
    with pytest.raises(ValueError, match=r"\(7, 5\)"):
        store.append(random_heatmaps(1, (7, 5)))
    assert len(store) == 3


def test_a_saved_store_can_be_opened(tmp_path: Path) -> None:
    maps, store = random_heatmaps(9), HeatmapStore()
    store.append(maps)
    store.save(tmp_path / "maps")
    opened = HeatmapStore.open(tmp_path / "maps", (5, 7), 9)
    assert (len(opened), opened.shape) == (9, (5, 7))
    for row in range(9):
        np.testing.assert_array_equal(opened[row], store[row])


def test_the_file_has_the_documented_format(tmp_path: Path) -> None:
    """Rows x height x width little-endian half floats, which other programs can read."""
    maps, store = random_heatmaps(4), HeatmapStore()
    store.append(maps)
    store.save(tmp_path / "maps")
    read = np.fromfile(tmp_path / "maps", dtype="<f2").reshape(4, 5, 7)
    assert_equal_to_half_precision(read.astype(np.float32), maps)


def test_a_store_can_be_saved_while_it_grows(tmp_path: Path) -> None:
    maps, store = random_heatmaps(6), HeatmapStore()
    store.append(maps[:4])
    store.save(tmp_path / "maps")
    store.append(maps[4:])
    assert_equal_to_half_precision(store[5], maps[5])
    assert (tmp_path / "maps").stat().st_size == 4 * 5 * 7 * 2


@pytest.mark.parametrize(("shape", "rows"), [((5, 7), 8), ((5, 7), 10), ((5, 8), 9)])
def test_a_file_of_the_wrong_size_is_a_report_error(
    tmp_path: Path, shape: tuple[int, int], rows: int
) -> None:
    store = HeatmapStore()
    store.append(random_heatmaps(9))
    store.save(tmp_path / "maps")
    with pytest.raises(ReportError, match="has 630 bytes instead of"):
        HeatmapStore.open(tmp_path / "maps", shape, rows)


def test_a_missing_file_is_a_report_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="maps: cannot read the heatmaps: No such file"):
        HeatmapStore.open(tmp_path / "maps", (5, 7), 1)


def test_memory_use_does_not_grow_with_the_number_of_rows(tmp_path: Path) -> None:
    store, maps = HeatmapStore(), random_heatmaps(10, (64, 64))
    written = 200 * maps.astype(np.float16).nbytes
    tracemalloc.start()
    for _ in range(200):
        store.append(maps)
    store.save(tmp_path / "maps")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (tmp_path / "maps").stat().st_size == written
    assert peak < written / 4


@given(
    st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([1e-3, 1e3])
)
def test_smoothing_keeps_the_sum_and_the_range(
    height: int, width: int, seed: int, size: float
) -> None:
    values = size * random_heatmaps(1, (height, width), seed)[0]
    smoothed = smooth_heatmap(values)
    assert smoothed.shape == values.shape
    assert smoothed.dtype == np.float32
    np.testing.assert_allclose(smoothed.sum(), values.sum(), atol=2e-5 * np.abs(values).sum())
    slack = 1e-5 * np.abs(values).max()
    assert values.min() - slack <= smoothed.min()
    assert smoothed.max() <= values.max() + slack


def test_smoothing_joins_isolated_cells() -> None:
    """Max-pooling passes the gradient to one cell of each 2 x 2 window."""
    grid = np.zeros((32, 32), dtype=np.float32)
    grid[::2, ::2] = 1
    # Not at the edges, where the reflection repeats empty cells.
    np.testing.assert_allclose(smooth_heatmap(grid)[4:-4, 4:-4], 0.25, atol=0.02)


def test_smoothing_has_a_sigma_of_a_twentieth_of_the_side() -> None:
    point = np.zeros((101, 101), dtype=np.float32)
    point[50, 50] = 1
    smoothed = smooth_heatmap(point)
    distance = np.arange(-50, 51)
    assert np.sqrt((smoothed.sum(axis=0) * distance**2).sum()) == pytest.approx(101 / 20, rel=0.02)


def test_the_file_is_closed_with_the_store_even_in_a_reference_cycle() -> None:
    """Python warns if an open file is garbage-collected; warnings are errors in these tests."""
    store = HeatmapStore()
    file = store._file
    store.myself = store  # type: ignore[attr-defined]
    del store
    gc.collect()
    assert file.closed


def test_a_file_of_the_wrong_size_is_closed(tmp_path: Path) -> None:
    (tmp_path / "maps").write_bytes(b"short")
    with pytest.raises(ReportError):
        HeatmapStore.open(tmp_path / "maps", (5, 7), 9)
    gc.collect()
    assert not [name for name in open_files() if name.endswith("maps")]
