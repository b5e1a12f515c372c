"""Transcodes a video to H.264 in MP4 and draws on it; keeps timestamps, sound and colours."""

import math
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.packet import Packet
from av.video.reformatter import ColorRange, Colorspace
from av.video.stream import VideoStream

from fakelens.errors import OutputError
from fakelens.media.frames import DecodedFrame, MediaReader, SoundPacket
from fakelens.media.orientation import Orientation
from fakelens.media.pixels import planes as planes_of
from fakelens.media.planes import Planes
from fakelens.media.prefetch import prefetch
from fakelens.media.profile import Profile
from fakelens.media.reader import open_video
from fakelens.media.sound import SoundWriter
from fakelens.records.media import VideoInfo

CRF = 20
PRESET = "superfast"  # on two cores nearly twice as fast as veryfast

_FRAMES_AHEAD = 3
_FALLBACK_RATE = Fraction(25)  # frames per second, for files without a frame rate
_MAX_TIMESCALE = 2**31 - 1
# FFmpeg's AVColorSpace; untagged video is treated as BT.601, as FFmpeg itself does.
_MATRICES = {1: "bt709", 7: "bt709", 9: "bt2020"}
_FULL_RANGE = 2  # FFmpeg's AVCOL_RANGE_JPEG


def transcode(
    source: Path,
    target: Path,
    draw: Callable[[int, Planes], None],
    *,
    stream: int | None = None,
    on_frame: Callable[[DecodedFrame], None] | None = None,
    side_by_side: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
    profile: Profile | None = None,
) -> tuple[str, ...]:
    """Decode a video, draw on every frame, and write it as H.264 in MP4.

    Every timestamp is kept, sound is copied packet by packet, rotation and mirroring are applied
    to the pixels, and colour tags are preserved. What the reader converts is listed in
    ``VideoInfo.changes``. A side with an odd number of pixels is made even by repeating the last
    row or column, as H.264 in 4:2:0 requires.

    Args:
        source: the video.
        target: file to write; overwritten if it exists.
        draw: called with the index and the planes of each frame, which it edits in place. It
            runs in a background thread.
        stream: see ``open_video``.
        on_frame: called with each frame before it is drawn on, in that thread.
        side_by_side: put the untouched frame to the left of the drawn one.
        progress: called after each frame.
        profile: collects the time spent in each stage.

    Returns:
        Sentences about what could not be kept, such as sound that MP4 does not support.

    Raises:
        MediaError: the source cannot be read.
        OutputError: the target cannot be written.
    """
    profile = profile or Profile()
    with open_video(source, stream) as reader:
        try:
            # With "file:", a colon in the name is not taken for a protocol.
            output = av.open(f"file:{target}", "w", format="mp4", options=_muxer_options(reader))
            with output:
                writer = _VideoWriter(output, reader, side_by_side=side_by_side)
                drawing = _draw_frames(reader, writer, draw, on_frame, profile)
                with closing(prefetch(drawing, _FRAMES_AHEAD)) as items:
                    for item in items:
                        with profile.measure("encode"):
                            writer.write(item)
                        if progress and item.frame:
                            progress(item.index + 1, reader.info.frame_estimate)
                with profile.measure("encode"):
                    writer.finish()
        except av.error.FFmpegError as error:
            raise OutputError(f"{target}: the video cannot be written: {error.strerror}") from error
    return (*writer.notes, *writer.sound.notes)


@dataclass(frozen=True, slots=True)
class _Drawn:
    """A frame to encode and the sound packets before it.

    Attributes:
        index: of the frame; after the last frame, of that frame.
        frame: drawn on; ``None`` for the sound after the last frame.
        sounds: packets between the previous frame and this one.
    """

    index: int
    frame: av.VideoFrame | None
    sounds: list[SoundPacket]


def _draw_frames(
    reader: MediaReader,
    writer: "_VideoWriter",
    draw: Callable[[int, Planes], None],
    on_frame: Callable[[DecodedFrame], None] | None,
    profile: Profile,
) -> Generator[_Drawn]:
    """Decode and draw. Runs in a background thread, so it must not use the muxer."""
    index, sounds = -1, list[SoundPacket]()
    for decoded in profile.measure_items("decode again", reader.decoded_frames(sounds.append)):
        with profile.measure("draw"):
            if on_frame:
                on_frame(decoded)
            frame = writer.prepare(decoded, draw)
        index = decoded.index
        yield _Drawn(index, frame, sounds.copy())
        sounds.clear()
    yield _Drawn(index, None, sounds)


def _muxer_options(reader: MediaReader) -> dict[str, str]:
    """Return options that let players start at once and keep the start time to the tick."""
    ticks = [reader.info.time_base, *(sound.time_base or 1 for sound in reader.audio_streams)]
    scale = math.lcm(*(Fraction(tick).denominator for tick in ticks))
    if scale > _MAX_TIMESCALE:
        scale = reader.info.time_base.denominator
    return {"movflags": "+faststart", "movie_timescale": str(scale)}


class _VideoWriter:
    """Encodes the frames of the output, and passes sound packets on to ``sound``.

    Attributes:
        sound: writes the sound of the output.
        notes: sentences about what is changed in the frames.
    """

    def __init__(self, output: OutputContainer, reader: MediaReader, *, side_by_side: bool) -> None:
        self._output = output
        self._info = reader.info
        self._side_by_side = side_by_side
        rate = reader.info.rate or _FALLBACK_RATE
        self._step = max(1, round(1 / (rate * reader.info.time_base)))
        self._end = 0  # end of the last frame, in ticks
        self._decode_lead: int | None = None  # ticks from decoding to presentation
        self._stream: VideoStream = output.add_stream("libx264", rate=rate)
        self._configure(self._canvas(reader.first_frame()), reader.first_frame())
        self.sound = SoundWriter(output, reader.audio_streams)
        self.notes = _frame_notes(reader.info)

    def prepare(self, decoded: DecodedFrame, draw: Callable[[int, Planes], None]) -> av.VideoFrame:
        """Convert a frame to the output's format and draw on it."""
        frame = self._canvas(decoded.frame)
        y, u, v = planes_of(frame)
        width = y.shape[1] // 2 if self._side_by_side else 0
        matrix = _MATRICES.get(int(frame.colorspace), "bt601")
        full_range = int(frame.color_range) == _FULL_RANGE
        planes = Planes(y[:, width:], u[:, width // 2 :], v[:, width // 2 :], matrix, full_range)
        draw(decoded.index, planes)
        frame.pts, frame.time_base = decoded.pts, self._info.time_base
        frame.pict_type = 0  # the encoder chooses the frame type, not the source
        self._end = decoded.pts + (decoded.frame.duration or self._step)
        return frame

    def write(self, item: _Drawn) -> None:
        for sound in item.sounds:
            self.sound.write(sound)
        if item.frame:
            self._output.mux(self._encode(item.frame))

    def finish(self) -> None:
        """Flush the encoder; the last frame keeps its duration."""
        packets = self._encode(None)
        if packets:  # MP4 adds up decoding times, which lag behind if the frame rate varies
            last = packets[-1]
            last.duration = max(1, self._end - (self._decode_lead or 0) - (last.dts or 0))
        self._output.mux(packets)
        self.sound.finish()

    def _encode(self, frame: av.VideoFrame | None) -> "list[Packet[VideoStream]]":
        packets = self._stream.encode(frame)
        if packets and self._decode_lead is None:
            self._decode_lead = (packets[0].pts or 0) - (packets[0].dts or 0)
        return packets

    def _configure(self, frame: av.VideoFrame, original: av.VideoFrame) -> None:
        context = self._stream.codec_context
        context.width, context.height = frame.width, frame.height
        context.pix_fmt = frame.format.name
        context.sample_aspect_ratio = Fraction(1)
        context.time_base = self._stream.time_base = self._info.time_base
        context.options = {"crf": str(CRF), "preset": PRESET}
        context.color_range, context.colorspace = frame.color_range, frame.colorspace
        context.color_primaries, context.color_trc = original.color_primaries, original.color_trc

    def _canvas(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return a writable, upright 8-bit 4:2:0 frame of even size (``frame`` if possible)."""
        full_range = not frame.format.is_rgb and (
            int(frame.color_range) == _FULL_RANGE or frame.format.name.startswith("yuvj")
        )
        name = "yuvj420p" if full_range else "yuv420p"
        fits = frame.format.name == name and not (frame.width % 2 or frame.height % 2)
        orientation = Orientation(self._info.rotation, self._info.mirrored)
        if fits and orientation == Orientation() and not self._side_by_side:
            frame.make_writable()
            return frame
        converted = frame
        if frame.format.name != name:
            converted = _convert(frame, name)
        planes = [orientation.display(plane) for plane in planes_of(converted)]
        height, width = (side + side % 2 for side in planes[0].shape)
        copies = 2 if self._side_by_side else 1
        canvas = av.VideoFrame(copies * width, height, name)
        canvas.color_range, canvas.colorspace = converted.color_range, converted.colorspace
        for plane, target in zip(planes, planes_of(canvas), strict=True):
            rows, columns = target.shape[0], target.shape[1] // copies
            padding = ((0, rows - plane.shape[0]), (0, columns - plane.shape[1]))
            target[:] = np.tile(np.pad(plane, padding, mode="edge"), (1, copies))
        return canvas


def _frame_notes(info: VideoInfo) -> list[str]:
    notes = []
    if info.rotation:
        notes.append("The frames were rotated upright.")
    if info.mirrored:
        notes.append("The frames were mirrored, as players display them.")
    if info.pixel_format not in ("yuv420p", "yuvj420p"):
        notes.append(f"The colours were converted from {info.pixel_format} to 8-bit 4:2:0.")
    if info.width % 2 or info.height % 2:
        notes.append("The last row or column was repeated to make the size even.")
    return notes


def _convert(frame: av.VideoFrame, name: str) -> av.VideoFrame:
    """Convert a frame of any pixel format to 4:2:0 with the same matrix and range."""
    if frame.format.is_rgb:
        return frame.reformat(
            format="yuv420p",
            dst_colorspace=Colorspace.ITU601,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
    converted = frame.reformat(format=name, threads=1)
    converted.colorspace, converted.color_range = frame.colorspace, frame.color_range
    return converted
