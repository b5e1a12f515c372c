"""How a stored picture is turned and mirrored for display."""

import math
from fractions import Fraction
from typing import NamedTuple, TypeVar

import av
import numpy as np
from av.buffer import Buffer
from av.filter import Graph
from av.sidedata.sidedata import Type
from numpy.typing import NDArray

_Scalar = TypeVar("_Scalar", bound=np.generic)
_MATRIX = "DISPLAYMATRIX"
_UNKNOWN_KINDS = 16  # of side data, added to FFmpeg since PyAV's list was made


class Orientation(NamedTuple):
    """The steps from the stored to the displayed picture, in this order.

    Attributes:
        rotation: degrees counter-clockwise: 0, 90, 180 or 270.
        mirrored: whether the rotated picture is mirrored left to right.
    """

    rotation: int = 0
    mirrored: bool = False

    @property
    def is_sideways(self) -> bool:
        """Whether width and height are exchanged."""
        return self.rotation in (90, 270)

    def display(self, stored: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """Turn and mirror an array (H, W, ...); the result is a view."""
        turned = np.rot90(stored, self.rotation // 90)
        return turned[:, ::-1] if self.mirrored else turned

    def stored_area(
        self, rows: slice, columns: slice, shape: tuple[int, ...]
    ) -> tuple[slice, slice]:
        """Return the rows and columns of the stored picture that are displayed in an area.

        Args:
            rows: of the displayed picture, with a start and a stop within it.
            columns: likewise.
            shape: height and width of the displayed picture.
        """
        height, width = shape[:2]
        if self.mirrored:
            columns = _reversed(columns, width)
        return (
            (rows, columns),
            (columns, _reversed(rows, height)),
            (_reversed(rows, height), _reversed(columns, width)),
            (_reversed(columns, width), rows),
        )[self.rotation // 90]


def frame_orientation(frame: av.VideoFrame) -> Orientation:
    """Return how a frame is displayed, according to its display matrix.

    The matrix maps stored to displayed coordinates. Other angles are rounded to multiples of 90
    degrees. A matrix that flattens the picture is ignored.
    """
    try:
        matrix = frame.side_data.get(_MATRIX)
    except ValueError:  # a kind that PyAV does not know, such as Exif data
        matrix = _without_unknown_side_data(frame).side_data.get(_MATRIX)
    if not isinstance(matrix, Buffer):
        return Orientation()
    a, b, _, c, d = np.frombuffer(memoryview(matrix), np.int32).tolist()[:5]
    return _decompose(a, b, c, d)


def _without_unknown_side_data(frame: av.VideoFrame) -> av.VideoFrame:
    graph = Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1)
    )
    nodes = [source]
    for kind in range(len(Type), len(Type) + _UNKNOWN_KINDS):
        nodes.append(graph.add("sidedata", mode="delete", type=str(kind)))
    graph.link_nodes(*nodes, graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def _decompose(a: int, b: int, c: int, d: int) -> Orientation:
    """Decompose x' = a x + c y, y' = b x + d y; y points down."""
    determinant = a * d - b * c
    if determinant == 0:
        return Orientation()
    mirrored = determinant < 0
    angle = math.degrees(math.atan2(-b, -a if mirrored else a))
    return Orientation(round(angle / 90) * 90 % 360, mirrored)


def _reversed(span: slice, length: int) -> slice:
    return slice(length - span.stop, length - span.start)
