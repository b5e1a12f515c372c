"""Converts high dynamic range video (PQ, HLG) to standard dynamic range.

The light that an HDR display of 1000 nits shows is kept up to 88 nits and compressed above, with
the curve of Report ITU-R BT.2390. The white of the result corresponds to 203 nits, the reference
white of Report ITU-R BT.2408. FFmpeg applies the conversion as a table.
"""

import tempfile
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from av.filter.context import FilterContext
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from fakelens.errors import OutputError

_Array = NDArray[np.float64]

TRANSFERS = {int(ColorTrc.SMPTE2084): "PQ", int(ColorTrc.ARIB_STD_B67): "HLG"}

_PEAK = 1000.0  # nits
_WHITE = 203.0  # nits
_SIZE = 65  # of the table, per axis
_FORMAT = "gbrp16le"  # in which FFmpeg applies tables fastest
_UNKNOWN_MATRIX = 2

# From the primaries of BT.2020 and of Display P3 to those of BT.709, for linear light.
_FROM_BT2020 = np.array(
    [
        [1.660491, -0.587641, -0.072850],
        [-0.124550, 1.132900, -0.008349],
        [-0.018151, -0.100579, 1.118730],
    ]
)
_FROM_P3 = np.array(
    [
        [1.224940, -0.224940, 0.0],
        [-0.042057, 1.042057, 0.0],
        [-0.019638, -0.078636, 1.098274],
    ]
)
_TO_BT709 = {
    int(ColorPrimaries.BT709): np.eye(3),
    int(ColorPrimaries.SMPTE431): _FROM_P3,
    int(ColorPrimaries.SMPTE432): _FROM_P3,
}


class ToneMapper:
    """Converts the frames of one stream to BT.709, 8 bits, 4:2:0.

    Args:
        frame: one of the frames; all have its size, transfer function and primaries.

    Raises:
        OutputError: the temporary file with the table cannot be written.
    """

    def __init__(self, frame: av.VideoFrame) -> None:
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add(
            "buffer",
            video_size=f"{frame.width}x{frame.height}",
            pix_fmt=_FORMAT,
            time_base=str(frame.time_base or Fraction(1)),
            pixel_aspect="1/1",
            colorspace="gbr",
            range="pc",
        )
        table = _add_table(self._graph, int(frame.color_trc), int(frame.color_primaries))
        self._graph.link_nodes(source, table, self._graph.add("buffersink")).configure()

    def convert(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Convert one frame; it is not changed."""
        matrix = Colorspace.BT2020 if int(frame.colorspace) == _UNKNOWN_MATRIX else None
        self._graph.vpush(frame.reformat(format=_FORMAT, src_colorspace=matrix, threads=1))
        mapped = self._graph.vpull().reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        mapped.color_trc, mapped.color_primaries = ColorTrc.BT709, ColorPrimaries.BT709
        return mapped


def _add_table(graph: Graph, transfer: int, primaries: int) -> FilterContext:
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "table.cube"
            path.write_text(_table(transfer, primaries))
            return graph.add("lut3d", file=str(path), interp="tetrahedral")  # reads the file
    except OSError as error:
        raise OutputError(f"a temporary file cannot be written: {error.strerror}") from error


@cache
def _table(transfer: int, primaries: int) -> str:
    """Return the conversion as a file in the format "cube"; red varies fastest."""
    steps = np.linspace(0, 1, _SIZE)
    blue, green, red = (axis.ravel() for axis in np.meshgrid(steps, steps, steps, indexing="ij"))
    colours = _to_sdr(np.stack([red, green, blue], axis=1), transfer, primaries)
    rows = "\n".join(f"{r:.6f} {g:.6f} {b:.6f}" for r, g, b in colours.tolist())
    return f"LUT_3D_SIZE {_SIZE}\n{rows}\n"


def _to_sdr(signal: _Array, transfer: int, primaries: int) -> _Array:
    """Convert HDR to SDR signals, (n, 3) in 0..1."""
    light = _pq_light(signal) if transfer == ColorTrc.SMPTE2084 else _hlg_light(signal)
    light = np.maximum(light @ _TO_BT709.get(primaries, _FROM_BT2020).T, 0)
    brightest = np.maximum(light.max(axis=1, keepdims=True), 1e-6)
    light *= _compress(brightest) / brightest  # one factor for all three keeps the hue
    return np.asarray(np.clip(light / _WHITE, 0, 1) ** (1 / 2.4))  # the inverse of BT.1886


def _compress(nits: _Array) -> _Array:
    """Compress 0.._PEAK to 0.._WHITE by the transfer function of BT.2390, section 5.4.1."""
    top = float(_pq_signal(np.array(_PEAK)))
    white = float(_pq_signal(np.array(_WHITE))) / top
    knee = 1.5 * white - 0.5
    value = np.minimum(_pq_signal(nits) / top, 1)
    t = np.maximum((value - knee) / (1 - knee), 0)
    curve = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * white
    )
    return _pq_light(np.where(value < knee, value, curve) * top)


# SMPTE ST 2084
_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128


def _pq_light(signal: _Array) -> _Array:
    """Convert PQ signals to nits."""
    power = signal ** (1 / _M2)
    return np.asarray(10000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1))


def _pq_signal(nits: _Array) -> _Array:
    power = (nits / 10000) ** _M1
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)


def _hlg_light(signal: _Array) -> _Array:
    """Convert HLG signals to nits on a display of 1000 nits, by BT.2100."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)
    luminance = scene @ (0.2627, 0.6780, 0.0593)
    return np.asarray(_PEAK * luminance[:, None] ** 0.2 * scene)
