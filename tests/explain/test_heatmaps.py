"""Heatmaps on disk: nothing lost but digits, nothing held in memory."""

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


def some_maps(count: int, shape: tuple[int, int] = (5, 7), seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0, 3, (count, *shape)).astype(np.float32)


def assert_alike(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> None:
    """Equal within half precision: 11 bits of a number, and no less than 2^-24."""
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, rtol=2**-11, atol=2**-25)


def test_rows_come_back_in_any_order_while_more_are_added() -> None:
    maps, store = some_maps(20), HeatmapStore()
    assert store.shape is None
    assert store.append(maps[:3]) == range(3)
    assert_alike(store[1], maps[1])
    assert store.append(maps[3:]) == range(3, 20)
    assert store.shape == (5, 7)
    assert len(store) == 20
    for row in np.random.default_rng(1).permutation(20).tolist():
        assert_alike(store[row], maps[row])


@pytest.mark.parametrize("row", [-1, 3, 10**9])
def test_a_row_that_is_not_there_is_an_index_error(row: int) -> None:
    store = HeatmapStore()
    store.append(some_maps(3))
    with pytest.raises(IndexError, match=f"no heatmap {row} among 3"):
        store[row]


def test_an_empty_store_has_no_rows() -> None:
    with pytest.raises(IndexError):
        HeatmapStore()[0]


def test_all_heatmaps_of_a_store_have_one_shape() -> None:
    store = HeatmapStore()
    store.append(some_maps(3))
    with pytest.raises(ValueError, match=r"\(7, 5\)"):
        store.append(some_maps(1, (7, 5)))
    assert len(store) == 3


def test_a_saved_store_opens_again(tmp_path: Path) -> None:
    maps, store = some_maps(9), HeatmapStore()
    store.append(maps)
    store.save(tmp_path / "maps")
    opened = HeatmapStore.open(tmp_path / "maps", (5, 7), 9)
    assert (len(opened), opened.shape) == (9, (5, 7))
    for row in range(9):
        np.testing.assert_array_equal(opened[row], store[row])


def test_the_file_is_what_the_report_says_it_is(tmp_path: Path) -> None:
    """Rows x height x width little-endian half floats: other programs read it without us."""
    maps, store = some_maps(4), HeatmapStore()
    store.append(maps)
    store.save(tmp_path / "maps")
    read = np.fromfile(tmp_path / "maps", dtype="<f2").reshape(4, 5, 7)
    assert_alike(read.astype(np.float32), maps)


def test_a_store_can_be_saved_while_it_grows(tmp_path: Path) -> None:
    maps, store = some_maps(6), HeatmapStore()
    store.append(maps[:4])
    store.save(tmp_path / "maps")
    store.append(maps[4:])
    assert_alike(store[5], maps[5])
    assert (tmp_path / "maps").stat().st_size == 4 * 5 * 7 * 2


@pytest.mark.parametrize(("shape", "rows"), [((5, 7), 8), ((5, 7), 10), ((5, 8), 9)])
def test_a_file_of_the_wrong_length_is_refused(
    tmp_path: Path, shape: tuple[int, int], rows: int
) -> None:
    store = HeatmapStore()
    store.append(some_maps(9))
    store.save(tmp_path / "maps")
    with pytest.raises(ReportError, match="has 630 bytes where its report promises"):
        HeatmapStore.open(tmp_path / "maps", shape, rows)


def test_a_file_that_is_missing_is_a_report_error(tmp_path: Path) -> None:
    with pytest.raises(ReportError, match="maps: cannot read the heatmaps: No such file"):
        HeatmapStore.open(tmp_path / "maps", (5, 7), 1)


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    store, maps = HeatmapStore(), some_maps(10, (64, 64))
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
def test_spreading_keeps_the_sum_and_the_range(
    height: int, width: int, seed: int, size: float
) -> None:
    values = size * some_maps(1, (height, width), seed)[0]
    drawn = smooth_heatmap(values)
    assert drawn.shape == values.shape
    assert drawn.dtype == np.float32
    np.testing.assert_allclose(drawn.sum(), values.sum(), atol=2e-5 * np.abs(values).sum())
    slack = 1e-5 * np.abs(values).max()
    assert values.min() - slack <= drawn.min()
    assert drawn.max() <= values.max() + slack


def test_spreading_joins_the_cells_of_a_grid() -> None:
    """What max-pooling leaves: one cell of each 2 x 2 window."""
    grid = np.zeros((32, 32), dtype=np.float32)
    grid[::2, ::2] = 1
    # Away from the edges, where the reflection repeats empty cells.
    np.testing.assert_allclose(smooth_heatmap(grid)[4:-4, 4:-4], 0.25, atol=0.02)


def test_spreading_blurs_by_a_twentieth_of_the_side() -> None:
    point = np.zeros((101, 101), dtype=np.float32)
    point[50, 50] = 1
    drawn = smooth_heatmap(point)
    distance = np.arange(-50, 51)
    assert np.sqrt((drawn.sum(axis=0) * distance**2).sum()) == pytest.approx(101 / 20, rel=0.02)


def test_the_file_is_let_go_with_the_store_in_a_reference_cycle_too() -> None:
    """Python would warn of a file that is open when it is collected; here warnings are errors."""
    store = HeatmapStore()
    file = store._file
    store.myself = store  # type: ignore[attr-defined]
    del store
    gc.collect()
    assert file.closed


def test_a_file_that_is_refused_is_let_go(tmp_path: Path) -> None:
    (tmp_path / "maps").write_bytes(b"short")
    with pytest.raises(ReportError):
        HeatmapStore.open(tmp_path / "maps", (5, 7), 9)
    gc.collect()
    assert not [name for name in open_files() if name.endswith("maps")]
