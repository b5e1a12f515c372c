"""Reads any video, animation or picture, one frame at a time."""

from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.audio.stream import AudioStream
from av.packet import Packet
from av.video.stream import VideoStream

from fakelens.errors import MediaError
from fakelens.media.conditioning import Conditioner
from fakelens.media.container import choose_video_stream, describe_streams, open_container, reason
from fakelens.media.frames import DecodedFrame, MediaReader, SoundPacket
from fakelens.media.orientation import frame_orientation
from fakelens.media.picture_formats import picture_formats, undecodable
from fakelens.media.stream_tags import codec_aspect, field_order, header_aspect
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

    Raises:
        MediaError: the file does not exist, cannot be read, has no such stream, or contains no
            frame that can be decoded.
    """

    def __init__(self, path: Path, stream: int | None = None) -> None:
        self.damage: list[Damage] = []
        self.decoded = 0
        self._last_pts: int | None = None
        self._conditioner: Conditioner | None = None
        # Width, height, pixel format and pixel aspect ratio of the first frame.
        self._layout: tuple[tuple[int, int, str], Fraction | None] | None = None
        self._path = path
        self._container = open_container(path)
        try:
            video = choose_video_stream(self._container, path, stream)
            video.thread_type = "AUTO"
            self._time_base = video.time_base or Fraction(1)
            self._start = video.start_time or 0
            self.audio_streams = self._container.streams.audio
            self.formats = frozenset(self._container.format.name.split(","))
            self._header_aspect = header_aspect(video)
            self._frames = self._decode(video)
            self._on_packet: Callable[[SoundPacket], None] | None = None
            self._early_packets: list[SoundPacket] = []
            self._first = next(self._frames, None)
            self.info = self._describe(video)
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
        for decoded in self._frames:
            self._update_changes()
            yield decoded
        self._check_length()

    def _decode(self, stream: VideoStream) -> Generator[DecodedFrame]:
        for frame in self._stored_frames(stream):
            if self._conditioner is None:
                self._orientation = frame_orientation(frame)
                # Viewers ignore the resolutions that pictures note for printing.
                aspect = self._header_aspect or codec_aspect(stream)
                aspect = None if self._is_picture else aspect
                self._conditioner = Conditioner(frame, aspect, field_order(stream))
            yield from self._count(self._conditioner.push(frame))
        if self._conditioner is not None:
            yield from self._count(self._conditioner.flush())

    def _count(self, frames: list[av.VideoFrame]) -> Generator[DecodedFrame]:
        for frame in frames:
            self.decoded += 1
            yield DecodedFrame(self.decoded - 1, frame.pts or 0, frame, frame.is_corrupt)

    def _stored_frames(self, stream: VideoStream) -> Generator[av.VideoFrame]:
        """Decode all frames as stored; correct their timestamps and note damage."""
        last: int | None = None
        step = 1  # ticks from frame to frame, for frames without timestamps
        if stream.average_rate:
            step = max(1, round(1 / (stream.average_rate * self._time_base)))
        max_step = max_timestamp_step(self._time_base)
        for packet in self._packets(stream):
            if packet.stream is not stream:
                self._handle_sound(packet)
                continue
            try:
                frames = packet.decode()
            except av.error.EOFError:  # the decoder has ended already
                continue
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
                frame.pts = self._last_pts = last = pts
                self._check(frame, stream)
                yield frame

    def _check(self, frame: av.VideoFrame, stream: VideoStream) -> None:
        """Note what is unusual in a frame; replace a colour matrix that FFmpeg cannot convert."""
        if frame.is_corrupt:
            self._add_damage(frame.pts, "a damaged frame; it was examined as far as decoded")
        if frame.colorspace not in _KNOWN_MATRICES:
            self._add_damage(frame.pts, "a rare colour matrix; colours are approximate")
            frame.colorspace = _NEAREST_MATRIX.get(frame.colorspace, _UNKNOWN_MATRIX)
        shape = frame.width, frame.height, frame.format.name
        aspect = self._header_aspect or codec_aspect(stream)
        if self._layout is None:
            self._layout = shape, aspect
        if shape != self._layout[0]:
            message = "the frame size or format changes; frames were stretched to the first one"
            self._add_damage(frame.pts, message)
        if aspect != self._layout[1] and not self._is_picture:
            self._add_damage(
                frame.pts,
                "the shape of the pixels changes; frames are shown distorted from here on",
            )

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
            except IndexError:  # a packet of a stream that was not there when the file was opened
                self._add_damage(None, "another stream begins; it is not examined")
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

    @property
    def _is_picture(self) -> bool:
        return any(name == "image2" or name.endswith("_pipe") for name in self.formats)

    def _describe(self, stream: VideoStream) -> VideoInfo:
        first, conditioner = self.first_frame(), self._conditioner
        assert conditioner is not None  # it made the first frame
        width, height = first.width, first.height
        if self._orientation.is_sideways:
            width, height = height, width
        duration: Fraction | None = None
        if stream.duration:
            duration = stream.duration * self._time_base
        elif self._container.duration:
            duration = Fraction(self._container.duration, av.time_base)
        rate = stream.average_rate or None
        estimate = stream.frames or (round(duration * rate) if duration and rate else None)
        number, others = describe_streams(self._container, stream)
        return VideoInfo(
            width=width,
            height=height,
            rotation=self._orientation.rotation,
            mirrored=self._orientation.mirrored,
            changes=tuple(conditioner.changes),
            rate=rate,
            time_base=self._time_base,
            start=(first.pts or 0) * self._time_base,
            frame_estimate=1 if self._is_picture else estimate,
            duration=None if self._is_picture else duration,
            codec=stream.codec_context.name,
            pixel_format=conditioner.stored[2],
            is_picture=self._is_picture,
            audio=tuple(sound_codec(sound) for sound in self.audio_streams),
            stream=number,
            other_streams=others,
        )

    def _update_changes(self) -> None:
        if self._conditioner and len(self._conditioner.changes) > len(self.info.changes):
            self.info = replace(self.info, changes=tuple(self._conditioner.changes))

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
    formats = picture_formats(path)
    if not formats:
        return VideoReader(path, stream)
    from fakelens.media.pictures import open_picture  # noqa: PLC0415 - it imports Pillow

    picture = open_picture(path, formats, stream)
    if picture is not None:
        return picture
    try:
        return VideoReader(path, stream)
    except MediaError as error:
        if stream not in (None, 1):
            raise
        raise undecodable(path) from error


def max_timestamp_step(time_base: Fraction) -> int:
    """Return the largest step between two timestamps that MP4 supports, in ticks."""
    scale = max(20000, time_base.denominator)  # the muxer refines scales under 10000, up to 20000
    return int(2**31 / scale / time_base)


def sound_codec(stream: AudioStream) -> str:
    """Return FFmpeg's name of a stream's codec; ``"unknown"`` if FFmpeg has no decoder."""
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"
