"""A file of small heatmaps, so that a long video's heatmaps never pile up in memory."""

import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import cv2
import numpy as np

from fakelens.errors import OutputError, ReportError
from fakelens.records.arrays import FloatArray

_DTYPE = np.dtype("<f2")
_LARGEST = float(np.finfo(_DTYPE).max)
_COPY_BYTES = 1 << 20
_SPREAD = 1 / 20  # of a heatmap's side


def smooth_heatmap(values: FloatArray) -> FloatArray:
    """A heatmap as it is drawn: (h, w) values, each cell spread over its neighbourhood.

    Max-pooling passes the gradient to one cell of each window, so a raw heatmap may be a grid of
    isolated cells; a Gaussian of a twentieth of its side joins them and keeps the sum.
    """
    sigma = _SPREAD * values.shape[0]
    blurred = cv2.GaussianBlur(values, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return blurred.astype(np.float32, copy=False)


def resize_heatmap(values: FloatArray, shape: Sequence[int]) -> FloatArray:
    """Resize a heatmap to (h, w) cells or pixels by linear interpolation."""
    height, width = shape
    resized = cv2.resize(
        np.asarray(values, np.float32), (width, height), interpolation=cv2.INTER_LINEAR
    )
    return resized.astype(np.float32, copy=False)


class HeatmapStore:
    """Append-only rows of (h, w) heatmaps, kept on disk as little-endian half floats.

    Half precision keeps three digits, more than an eye sees, at half the size. Magnitudes under
    6e-5 lose digits and under 6e-8 become 0; those over 65504 are held there. A new store lives in
    an anonymous temporary file that vanishes with it.
    """

    def __init__(self) -> None:
        self._hold(tempfile.TemporaryFile(), None, 0)  # noqa: SIM115 - lives as long as self

    @classmethod
    def open(cls, path: Path, shape: tuple[int, int], rows: int) -> "HeatmapStore":
        """Read a saved store.

        Raises:
            ReportError: the file is missing or not as long as ``rows`` heatmaps of ``shape``.
        """
        try:
            file = path.open("rb")
        except OSError as error:
            raise ReportError(f"{path}: cannot read the heatmaps: {error.strerror}") from error
        store = cls.__new__(cls)
        store._hold(file, shape, rows)
        expected = rows * shape[0] * shape[1] * _DTYPE.itemsize
        if (size := path.stat().st_size) != expected:
            raise ReportError(f"{path}: has {size} bytes where its report promises {expected}")
        return store

    def _hold(self, file: IO[bytes], shape: tuple[int, int] | None, rows: int) -> None:
        self._file, self._shape, self._rows = file, shape, rows
        weakref.finalize(self, file.close)  # unlike __del__, on time in reference cycles too

    def __len__(self) -> int:
        return self._rows

    @property
    def shape(self) -> tuple[int, int] | None:
        """(h, w) of every heatmap; ``None`` while there is none."""
        return self._shape

    def append(self, maps: FloatArray) -> range:
        """Add (N, h, w) heatmaps and return their row numbers.

        Raises:
            OutputError: the disk for temporary files is full.
        """
        if self._shape is None:
            self._shape = (maps.shape[1], maps.shape[2])
        if maps.shape[1:] != self._shape:
            raise ValueError(f"heatmaps of {maps.shape[1:]} in a store of {self._shape}")
        self._file.seek(0, 2)
        try:
            self._file.write(np.clip(maps, -_LARGEST, _LARGEST).astype(_DTYPE).tobytes())
        except OSError as error:
            folder = tempfile.gettempdir()
            raise OutputError(f"{folder}: cannot keep the heatmaps: {error.strerror}") from error
        first, self._rows = self._rows, self._rows + len(maps)
        return range(first, self._rows)

    def __getitem__(self, row: int) -> FloatArray:
        """One (h, w) float32 heatmap."""
        if self._shape is None or not 0 <= row < self._rows:
            raise IndexError(f"no heatmap {row} among {self._rows}")
        size = self._shape[0] * self._shape[1] * _DTYPE.itemsize
        self._file.seek(row * size)
        values = np.frombuffer(self._file.read(size), _DTYPE)
        return values.reshape(self._shape).astype(np.float32)

    def save(self, path: Path) -> None:
        """Copy all rows to a file that :meth:`open` reads."""
        self._file.seek(0)
        with path.open("wb") as target:
            while chunk := self._file.read(_COPY_BYTES):
                target.write(chunk)
