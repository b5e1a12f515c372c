"""Makes decoded frames progressive, of standard dynamic range and with square pixels."""

from collections import deque
from fractions import Fraction

import av
from av.filter import Graph
from av.video.reformatter import Interpolation, VideoReformatter

from fakelens.media.tone_mapping import TRANSFERS, ToneMapper

_NEAR = Fraction(1, 100)  # pixels this close to square are left as they are
_MAX_ASPECT = 4  # width by height of a pixel, or the inverse
_MAX_SIDE = 16384  # pixels
_PALETTE = "pal8"  # FFmpeg cannot convert to it
_MIN_WIDTH, _MIN_HEIGHT = 3, 4  # that bwdif can process


class Conditioner:
    """Converts the frames of one stream; frames that need no change pass untouched.

    All frames get the size and pixel format of the first one.

    Args:
        first: frame of the stream.
        aspect: width divided by height of a stored pixel; ``None`` if unknown or to be ignored.
        fields: order of the fields ("tff" or "bff") if all frames are interlaced without being
            marked so.

    Attributes:
        stored: width, height and pixel format of the first frame as stored.
        changes: sentences on what was changed so far.
    """

    def __init__(
        self, first: av.VideoFrame, aspect: Fraction | None, fields: str | None = None
    ) -> None:
        self.stored = first.width, first.height, first.format.name
        self.changes: list[str] = []
        self._fields = fields
        self._deinterlacer: _Deinterlacer | None = None
        self._mappers: dict[tuple[int, int], ToneMapper] = {}
        self._reformatter = VideoReformatter()
        width, height = self._square_size(aspect)
        name = "yuv420p" if int(first.color_trc) in TRANSFERS else first.format.name
        self._result = width, height, name

    def push(self, frame: av.VideoFrame) -> list[av.VideoFrame]:
        """Convert a frame; frames of interlaced video are returned one call later."""
        if self._deinterlacer is None and self._is_interlaced(frame):
            self._deinterlacer = _Deinterlacer(
                frame.reformat(*self.stored, threads=1), self._fields
            )
            self.changes.append("Interlacing was removed (bwdif).")
        if self._deinterlacer is None:
            return [self._finish(frame)]
        frames = self._deinterlacer.push(frame.reformat(*self.stored, threads=1))
        return [self._finish(frame) for frame in frames]

    def flush(self) -> list[av.VideoFrame]:
        """Return the frames that are left after the last ``push``."""
        frames = self._deinterlacer.flush() if self._deinterlacer else []
        return [self._finish(frame) for frame in frames]

    def _is_interlaced(self, frame: av.VideoFrame) -> bool:
        width, height, _ = self.stored
        is_marked = frame.interlaced_frame or self._fields is not None
        return is_marked and width >= _MIN_WIDTH and height >= _MIN_HEIGHT

    def _finish(self, frame: av.VideoFrame) -> av.VideoFrame:
        if kind := TRANSFERS.get(int(frame.color_trc)):
            frame = self._to_sdr(frame, kind)
        if (frame.width, frame.height, frame.format.name) == self._result:
            return frame
        width, height, name = self._result
        name = "rgb24" if name == _PALETTE else name
        return self._reformatter.reformat(
            frame, width, height, name, interpolation=Interpolation.BICUBIC, threads=1
        )

    def _to_sdr(self, frame: av.VideoFrame, kind: str) -> av.VideoFrame:
        key = int(frame.color_trc), int(frame.color_primaries)
        frame = frame.reformat(*self.stored, threads=1)
        if key not in self._mappers:
            self._mappers[key] = ToneMapper(frame)
            sentence = f"High dynamic range ({kind}) was tone-mapped to standard dynamic range."
            if sentence not in self.changes:
                self.changes.append(sentence)
        return self._mappers[key].convert(frame)

    def _square_size(self, aspect: Fraction | None) -> tuple[int, int]:
        """Return the size with square pixels, and note the change."""
        width, height, _ = self.stored
        if aspect is None or abs(aspect - 1) <= _NEAR:
            return width, height
        size = (_even(width * aspect), height) if aspect > 1 else (width, _even(height / aspect))
        ratio = f"{aspect.numerator}:{aspect.denominator}"
        if not 1 <= max(aspect, 1 / aspect) <= _MAX_ASPECT or max(size) > _MAX_SIDE:
            self.changes.append(f"Pixels of {ratio} are not plausible; they were taken as square.")
            return width, height
        self.changes.append(
            f"Pixels of {ratio} were made square: {width} x {height} became {size[0]} x {size[1]}."
        )
        return size


class _Deinterlacer:
    """Replaces each interlaced frame by one progressive frame with the same timestamp.

    Args:
        frame: the first one, as a pattern.
        fields: see ``Conditioner``.
    """

    def __init__(self, frame: av.VideoFrame, fields: str | None) -> None:
        self._waiting: deque[tuple[int | None, int, Fraction | None]] = deque()
        self._pushed = 0
        self._latest = frame
        self._graph = Graph()
        self._graph.threads = 1
        source = self._graph.add_buffer(
            width=frame.width,
            height=frame.height,
            format=frame.format,
            time_base=frame.time_base or Fraction(1),
        )
        nodes = [source]
        if fields:
            nodes.append(self._graph.add("setfield", mode=fields))
        nodes.append(self._graph.add("bwdif", mode="send_frame", deint="interlaced"))
        self._graph.link_nodes(*nodes, self._graph.add("buffersink")).configure()

    def push(self, frame: av.VideoFrame) -> list[av.VideoFrame]:
        self._waiting.append((frame.pts, frame.duration, frame.time_base))
        self._pushed += 1
        self._latest = frame
        self._graph.vpush(frame)
        return self._pull()

    def flush(self) -> list[av.VideoFrame]:
        if self._pushed == 1:  # the filter leaves a single frame as it is
            return self.push(self._latest)
        self._graph.vpush(None)
        return self._pull()

    def _pull(self) -> list[av.VideoFrame]:
        frames: list[av.VideoFrame] = []
        while True:
            try:
                frame = self._graph.vpull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return frames
            # The filter halves the time base.
            frame.pts, frame.duration, frame.time_base = self._waiting.popleft()
            frames.append(frame)


def _even(length: Fraction) -> int:
    return 2 * round(length / 2)
