"""Storage, smoothing and resizing of heatmaps.

Heatmaps are stored in a file, so memory use does not grow with the length of a video.
"""

import hashlib
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
_MAX_VALUE = float(np.finfo(_DTYPE).max)
_COPY_BYTES = 1 << 20
_SMOOTHING = 1 / 20  # standard deviation over the heatmap's side


def smooth_heatmap(values: FloatArray) -> FloatArray:
    """Smooth a heatmap (h, w) for drawing.

    Max-pooling passes the gradient to one cell of each window, so a raw heatmap may be a grid of
    isolated cells. A Gaussian with a standard deviation of a twentieth of the heatmap's side joins
    them and keeps the sum.
    """
    sigma = _SMOOTHING * values.shape[0]
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
    """An append-only sequence of (h, w) heatmaps, stored on disk as little-endian half floats.

    Half precision keeps three digits, more than the eye can see, at half the size. Magnitudes below
    6e-5 lose digits, those below 6e-8 become 0, and those above 65504 are clipped. A new store uses
    an anonymous temporary file, which is deleted with the store.

    Args:
        folder: for the temporary file; the system's temporary folder if ``None``.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or Path(tempfile.gettempdir())
        try:
            file = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - lives as long as self
        except OSError as error:
            raise self._error(error) from error
        self._set_up(file, None, 0)

    @classmethod
    def open(
        cls, path: Path, shape: tuple[int, int], rows: int, sha256: str = ""
    ) -> "HeatmapStore":
        """Open a saved store for reading.

        Args:
            path: of the file.
            shape: (h, w) of every heatmap.
            rows: number of heatmaps.
            sha256: that ``save`` returned; empty to skip the check.

        Raises:
            ReportError: the file is missing or damaged, or its size is not that of ``rows``
                heatmaps of ``shape``.
        """
        try:
            file = path.open("rb")
        except OSError as error:
            raise ReportError(f"{path}: cannot read the heatmaps: {error.strerror}") from error
        store = cls.__new__(cls)
        store._set_up(file, shape, rows)
        expected = rows * shape[0] * shape[1] * _DTYPE.itemsize
        if (size := path.stat().st_size) != expected:
            raise ReportError(
                f"{path}: has {size} bytes instead of {expected}: it is damaged; copy it again or "
                "analyze the video again"
            )
        if sha256 and hashlib.file_digest(file, "sha256").hexdigest() != sha256:
            raise ReportError(
                f"{path}: is not the file that was written with this report: its SHA-256 differs; "
                "copy it again or analyze the video again"
            )
        return store

    def _set_up(self, file: IO[bytes], shape: tuple[int, int] | None, rows: int) -> None:
        self._file, self._shape, self._rows = file, shape, rows
        # Unlike __del__, this closes the file in time even in a reference cycle.
        weakref.finalize(self, file.close)

    def __len__(self) -> int:
        return self._rows

    @property
    def shape(self) -> tuple[int, int] | None:
        """(h, w) of every heatmap; ``None`` while the store is empty."""
        return self._shape

    def append(self, maps: FloatArray) -> range:
        """Append (N, h, w) heatmaps and return their row numbers.

        Raises:
            OutputError: the heatmaps cannot be written, such as on a full disk.
            ValueError: the heatmaps differ in shape from those in the store.
        """
        if self._shape is None:
            self._shape = (maps.shape[1], maps.shape[2])
        if maps.shape[1:] != self._shape:
            raise ValueError(
                f"heatmaps of shape {maps.shape[1:]} in a store of shape {self._shape}"
            )
        self._file.seek(0, 2)
        try:
            self._file.write(np.clip(maps, -_MAX_VALUE, _MAX_VALUE).astype(_DTYPE).tobytes())
        except OSError as error:
            raise self._error(error) from error
        first, self._rows = self._rows, self._rows + len(maps)
        return range(first, self._rows)

    def _error(self, error: OSError) -> OutputError:
        return OutputError(f"{self._folder}: cannot store the heatmaps: {error.strerror}")

    def __getitem__(self, row: int) -> FloatArray:
        """Return one heatmap, (h, w) float32."""
        if self._shape is None or not 0 <= row < self._rows:
            raise IndexError(f"no heatmap {row}: the store has {self._rows}")
        size = self._shape[0] * self._shape[1] * _DTYPE.itemsize
        self._file.seek(row * size)
        values = np.frombuffer(self._file.read(size), _DTYPE)
        return values.reshape(self._shape).astype(np.float32)

    def save(self, path: Path) -> str:
        """Copy all heatmaps to a file that :meth:`open` reads, and return its SHA-256."""
        digest = hashlib.sha256()
        self._file.seek(0)
        with path.open("wb") as target:
            while chunk := self._file.read(_COPY_BYTES):
                digest.update(chunk)
                target.write(chunk)
        return digest.hexdigest()
