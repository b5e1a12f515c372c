"""Reads any video, animation or picture that FFmpeg can decode, one frame at a time."""

import hashlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Disposition
from av.video.stream import VideoStream

from fakelens.errors import MediaError
from fakelens.media.pixels import upright_pixels
from fakelens.records.media import Damage, Frame, VideoInfo

# Formats that render text as pictures, or that refer to other files and addresses.
_REFUSED_FORMATS = {"tty", "bin", "xbin", "idf", "adf", "hls", "concat", "dash", "sdp", "rtsp"}
# With "pattern_type", % and * in the name of a picture have no special meaning.
_OPEN_OPTIONS = {"protocol_whitelist": "file", "pattern_type": "none"}
# FFmpeg's AVColorSpace. FFmpeg converts from these; others are converted by the nearest of them.
_KNOWN_MATRICES = {0, 1, 2, 4, 5, 6, 7, 9}
_NEAREST_MATRIX = {10: 9}  # BT.2020's two kinds
_UNKNOWN_MATRIX = 2
_LFS_POINTER = b"version https://git-lfs"
# Playlists: FFmpeg would open the files they list while it probes the format.
_PLAYLISTS = (b"ffconcat version", b"#EXTM3U")
_MAX_DEMUX_ERRORS = 100  # in a row, after which reading ends
_DAMAGE_GAP = Fraction(1)  # seconds within which damage of one kind is reported once
_MIN_MISSING = Fraction(1, 2)  # seconds; a file that ends earlier than this is reported as short

SoundPacket: TypeAlias = "Packet[AudioStream]"


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One frame as decoded.

    Attributes:
        index: 0-based position among the frames that could be decoded.
        pts: timestamp in ticks of ``VideoInfo.time_base``, strictly increasing.
        frame: not rotated, in the pixel format of the first frame.
    """

    index: int
    pts: int
    frame: av.VideoFrame


class VideoReader:
    """Reads one video once, from beginning to end. Use it as a context manager.

    Args:
        path: of a video, an animation or a picture.


    Attributes:
        info: from the header and the first frame.
        damage: places that could not be read, so far.
        decoded: number of frames decoded so far.
        audio_streams: FFmpeg's audio streams.
        pixel_aspect: width divided by height of one pixel as stored, if known.
        formats: FFmpeg's names of the file's format.
        video_streams: number of video streams in the file; only one of them is read.

    Raises:
        MediaError: the file does not exist, cannot be read, or contains no frame that can be
            decoded.
    """

    info: VideoInfo

    def __init__(self, path: Path) -> None:
        self.damage: list[Damage] = []
        self.decoded = 0
        self._last_pts: int | None = None
        self._path = path
        self._container = open_container(path)
        try:
            stream = _video_stream(self._container, path)
            stream.thread_type = "AUTO"
            self._time_base = stream.time_base or Fraction(1)
            self._start = stream.start_time or 0
            self.audio_streams = self._container.streams.audio
            self.pixel_aspect = stream.sample_aspect_ratio
            self.formats = frozenset(self._container.format.name.split(","))
            self.video_streams = len(self._container.streams.video)
            self._frames = self._decode(stream)
            self._on_packet: Callable[[SoundPacket], None] | None = None
            self._early_packets: list[SoundPacket] = []
            self._first = next(self._frames, None)
            self.info = _info(self._container, stream, self.first_frame())
            # Some Matroska writers count the duration from 0, others from the first frame.
            self._duration_start = self._start * self._time_base if stream.duration else Fraction(0)
        except BaseException:
            self._container.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

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

    def frames(self, every: int = 1) -> Iterator[Frame]:
        """Decode all frames and yield every ``every``-th one, upright."""
        for decoded in self.decoded_frames():
            if decoded.index % every == 0:
                yield upright_frame(decoded, self.info)

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
                self._add_damage(packet.pts if packet.pts is not None else last, _reason(error))
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
                self._add_damage(None, _reason(error))
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


def upright_frame(decoded: DecodedFrame, video: VideoInfo) -> Frame:
    """Return a frame as displayed; ``decoded`` must not be drawn on while the result is in use."""
    pixels = upright_pixels(decoded.frame, video.rotation)
    return Frame(decoded.index, decoded.pts * video.time_base, pixels)


def open_video(path: Path) -> VideoReader:
    """Open a video, an animation or a picture; its content decides, not its name.

    Raises:
        MediaError: the file does not exist, cannot be read, or contains no frame that can be
            decoded.
    """
    return VideoReader(path)


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_container(path: Path) -> InputContainer:
    """Open a file with FFmpeg, without decoding it and without reading any other file.

    Raises:
        MediaError: the file does not exist, or is neither a video nor a picture.
    """
    try:
        if path.exists() and not path.is_file():
            raise MediaError(f"{path}: not a file; give the path of a video or picture")
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
        if not start:
            raise MediaError(f"{path}: the file is empty")
        if start.startswith(_PLAYLISTS):
            raise MediaError(f"{path}: a playlist, not a video; give one of the files in it")
        if start == _LFS_POINTER:
            raise MediaError(f"{path}: a Git LFS pointer, not a video; run 'git lfs pull'")
        # With "file:", a colon in the name is not taken for a protocol.
        container = av.open(f"file:{path}", options=dict(_OPEN_OPTIONS), metadata_errors="replace")
    except FileNotFoundError as error:
        raise MediaError(f"{path}: no such file") from error
    except PermissionError as error:
        raise MediaError(f"{path}: no permission to read this file") from error
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(
            f"{path}: not a video or picture that can be read: {_reason(error)}"
        ) from error
    if _REFUSED_FORMATS & set(container.format.name.split(",")):
        container.close()
        raise MediaError(f"{path}: not a video or picture, but {container.format.long_name}")
    return container


def _video_stream(container: InputContainer, path: Path) -> VideoStream:
    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None
    ]
    if not streams:
        content = "only sound, no video" if container.streams.audio else "no video or picture"
        raise MediaError(f"{path}: the file contains {content}")
    return max(
        streams, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height)
    )


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
    )


def max_timestamp_step(time_base: Fraction) -> int:
    """Return the largest step between two timestamps that MP4 supports, in ticks."""
    scale = max(20000, time_base.denominator)  # the muxer refines scales under 10000, up to 20000
    return int(2**31 / scale / time_base)


def sound_codec(stream: AudioStream) -> str:
    """Return FFmpeg's name of a stream's codec; ``"unknown"`` if FFmpeg has no decoder."""
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"


def _reason(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
