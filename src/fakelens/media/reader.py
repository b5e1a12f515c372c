"""Reads any video, animation or picture, one frame at a time."""

from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from fakelens.errors import MediaError
from fakelens.media.container import choose_video_stream, describe_streams, open_container, reason
from fakelens.media.frames import DecodedFrame, MediaReader, SoundPacket
from fakelens.records.media import Damage, VideoInfo

# FFmpeg's AVColorSpace. FFmpeg converts from these; others are converted by the nearest of them.
_KNOWN_MATRICES = {0, 1, 2, 4, 5, 6, 7, 9}
_NEAREST_MATRIX = {10: 9}  # BT.2020's two kinds
_UNKNOWN_MATRIX = 2
_MAX_DEMUX_ERRORS = 100  # in a row, after which reading ends
_DAMAGE_GAP = Fraction(1)  # seconds within which damage of one kind is reported once
_MIN_MISSING = Fraction(1, 2)  # seconds; a file that ends earlier than this is reported as short


class VideoReader(MediaReader):
    """Reads what FFmpeg can decode.

    Args:
        path: of a video, an animation or a picture.
        stream: number of the video stream to read, from 1; ``None`` chooses the main one.

    Attributes:
        pixel_aspect: width divided by height of one pixel as stored, if known.

    Raises:
        MediaError: the file does not exist, cannot be read, has no such stream, or contains no
            frame that can be decoded.
    """

    def __init__(self, path: Path, stream: int | None = None) -> None:
        self.damage: list[Damage] = []
        self.decoded = 0
        self._last_pts: int | None = None
        self._path = path
        self._container = open_container(path)
        try:
            video = choose_video_stream(self._container, path, stream)
            video.thread_type = "AUTO"
            self._time_base = video.time_base or Fraction(1)
            self._start = video.start_time or 0
            self.audio_streams = self._container.streams.audio
            self.pixel_aspect = video.sample_aspect_ratio
            self.formats = frozenset(self._container.format.name.split(","))
            self._frames = self._decode(video)
            self._on_packet: Callable[[SoundPacket], None] | None = None
            self._early_packets: list[SoundPacket] = []
            self._first = next(self._frames, None)
            self.info = _info(self._container, video, self.first_frame())
            # Some Matroska writers count the duration from 0, others from the first frame.
            self._duration_start = self._start * self._time_base if video.duration else Fraction(0)
        except BaseException:
            self._container.close()
            raise

    def close(self) -> None:
        """Close the file and end the decoding threads."""
        try:
            self._frames.close()  # the only reference to the decoder
        finally:
            self._container.close()

    def first_frame(self) -> av.VideoFrame:
        """Return the first frame without consuming it; call it before ``decoded_frames``.

        Raises:
            MediaError: no frame can be decoded.
        """
        if self._first is None:
            raise MediaError(f"{self._path}: no frame of this video can be decoded")
        return self._first.frame

    def decoded_frames(
        self, on_packet: Callable[[SoundPacket], None] | None = None
    ) -> Iterator[DecodedFrame]:
        """Decode all frames, in order of presentation.

        Damage is added to ``damage``; frames after it are still decoded.

        Args:
            on_packet: called with each audio packet, in file order.
        """
        self._on_packet = on_packet
        early, self._early_packets = self._early_packets, []
        if on_packet:
            for packet in early:
                on_packet(packet)
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._frames
        self._check_length()

    def _decode(self, stream: VideoStream) -> Generator[DecodedFrame]:
        last: int | None = None
        step = 1  # ticks from frame to frame, for frames without timestamps
        if stream.average_rate:
            step = max(1, round(1 / (stream.average_rate * self._time_base)))
        max_step = max_timestamp_step(self._time_base)
        shape: tuple[int, int, str] | None = None
        for packet in self._packets(stream):
            if packet.stream is not stream:
                self._handle_sound(packet)
                continue
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                self._add_damage(packet.pts if packet.pts is not None else last, reason(error))
                continue
            for frame in frames:
                if not isinstance(frame, av.VideoFrame):
                    continue
                pts = frame.pts
                if pts is None:
                    pts = self._start if last is None else last + step
                elif last is not None and not last < pts <= last + max_step:
                    self._add_damage(last, "timestamps jump; they were corrected")
                    pts = last + (1 if pts <= last else step)
                if frame.is_corrupt:
                    self._add_damage(pts, "a damaged frame; it was examined as far as decoded")
                last = pts
                if frame.colorspace not in _KNOWN_MATRICES:
                    self._add_damage(pts, "a rare colour matrix; colours are approximate")
                    frame.colorspace = _NEAREST_MATRIX.get(frame.colorspace, _UNKNOWN_MATRIX)
                shape = shape or (frame.width, frame.height, frame.format.name)
                if shape != (frame.width, frame.height, frame.format.name):
                    self._add_damage(pts, "the frame size or format changes; frames were converted")
                self.decoded += 1
                yield DecodedFrame(self.decoded - 1, pts, frame.reformat(*shape, threads=1))
        self._last_pts = last

    def _packets(self, stream: VideoStream) -> "Iterator[Packet[Any]]":
        """Yield all packets of the video and its audio; continue after errors if possible."""
        streams = (stream, *self._container.streams.audio)
        errors = 0
        while errors < _MAX_DEMUX_ERRORS:
            try:
                for packet in self._container.demux(*streams):
                    yield packet
                    errors = 0
            except av.error.EOFError:
                return
            except av.error.FFmpegError as error:
                errors += 1
                self._add_damage(None, reason(error))
            else:
                return

    def _handle_sound(self, packet: SoundPacket) -> None:
        if packet.size == 0:  # an empty packet ends a stream
            return
        if self._on_packet is not None:
            self._on_packet(packet)
        elif self.decoded == 0:
            self._early_packets.append(packet)  # the first frame is decoded on opening

    def _add_damage(self, pts: int | None, message: str) -> None:
        past = self.damage[-1].time if self.damage else Fraction(0)
        time = past if pts is None else pts * self._time_base
        for known in reversed(self.damage):
            if known.message == message:
                if time - known.time < _DAMAGE_GAP:
                    return
                break
        self.damage.append(Damage(time, message))

    def _check_length(self) -> None:
        duration = self.info.duration
        if duration is None or self.info.is_picture or self._last_pts is None:
            return
        end = self._last_pts * self._time_base
        step = 1 / self.info.rate if self.info.rate else Fraction(0)
        expected = self._duration_start + duration
        if expected - end - step > _MIN_MISSING:
            message = f"the file ends here, but its header gives {float(expected):.2f} s"
            self._add_damage(self._last_pts, message)


def open_video(path: Path, stream: int | None = None) -> MediaReader:
    """Open a video, an animation or a picture; its content decides, not its name.

    Args:
        path: of the file.
        stream: number of the video stream or page to read, from 1; ``None`` chooses the main one.

    Raises:
        MediaError: the file does not exist, cannot be read, has no such stream or page, or contains
            no frame that can be decoded.
    """
    return VideoReader(path, stream)


def _info(container: InputContainer, stream: VideoStream, first: av.VideoFrame) -> VideoInfo:
    rotation = round(first.rotation / 90) * 90 % 360
    width, height = first.width, first.height
    if rotation in (90, 270):
        width, height = height, width
    time_base = stream.time_base or Fraction(1)
    duration: Fraction | None = None
    if stream.duration:
        duration = stream.duration * time_base
    elif container.duration:
        duration = Fraction(container.duration, av.time_base)
    rate = stream.average_rate or None
    estimate = stream.frames or (round(duration * rate) if duration and rate else None)
    names = container.format.name.split(",")
    number, others = describe_streams(container, stream)
    is_picture = any(name == "image2" or name.endswith("_pipe") for name in names)
    return VideoInfo(
        width=width,
        height=height,
        rotation=rotation,
        rate=rate,
        time_base=time_base,
        start=(first.pts or 0) * time_base,
        frame_estimate=1 if is_picture else estimate,
        duration=None if is_picture else duration,
        codec=stream.codec_context.name,
        pixel_format=first.format.name,
        is_picture=is_picture,
        audio=tuple(sound_codec(sound) for sound in container.streams.audio),
        stream=number,
        other_streams=others,
    )


def max_timestamp_step(time_base: Fraction) -> int:
    """Return the largest step between two timestamps that MP4 supports, in ticks."""
    scale = max(20000, time_base.denominator)  # the muxer refines scales under 10000, up to 20000
    return int(2**31 / scale / time_base)


def sound_codec(stream: AudioStream) -> str:
    """Return FFmpeg's name of a stream's codec; ``"unknown"`` if FFmpeg has no decoder."""
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
