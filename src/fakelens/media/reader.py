"""Pictures out of a file: any video, animation or still that FFmpeg reads, one frame at a time."""

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
from fakelens.media.pixels import upright as pixels_of
from fakelens.records.media import Damage, Frame, VideoInfo

# Formats that make pictures of text, or that name other files and addresses to read.
_REFUSED_FORMATS = {"tty", "bin", "xbin", "idf", "adf", "hls", "concat", "dash", "sdp", "rtsp"}
# "pattern_type": a % or * in the name of a picture is just a letter.
_OPEN_OPTIONS = {"protocol_whitelist": "file", "pattern_type": "none"}
# FFmpeg's AVColorSpace; it converts from these. Others come out right enough as what is nearest.
_KNOWN_MATRICES = {0, 1, 2, 4, 5, 6, 7, 9}
_NEAREST_MATRIX = {10: 9}  # BT.2020's two kinds
_UNKNOWN_MATRIX = 2
_LFS_POINTER = b"version https://git-lfs"
# Files of names of other files; FFmpeg would open those while it finds out what this is.
_PLAYLISTS = (b"ffconcat version", b"#EXTM3U")
_MAX_DEMUX_ERRORS = 100  # in a row; after that there is nothing more to be had
_DAMAGE_GAP = Fraction(1)  # seconds; damage of one kind closer together is told once
_SHORT_BY = Fraction(1, 2)  # seconds missing at the end that are worth telling


SoundPacket: TypeAlias = "Packet[AudioStream]"


@dataclass(frozen=True, slots=True)
class Picture:
    """One decoded frame as the codec left it.

    Attributes:
        index: 0-based position among the frames that could be decoded.
        pts: timestamp in ticks of ``VideoInfo.time_base``, strictly increasing.
        frame: not rotated, in the codec's pixel format.
    """

    index: int
    pts: int
    frame: av.VideoFrame


class VideoReader:
    """Reads one video once, from beginning to end; a context manager.

    Attributes:
        info: what the header and the first frame say.
        damage: places that could not be read, so far.
        decoded: number of frames decoded so far.
        audio_streams: the streams of sound, as FFmpeg knows them.
        pixel_aspect: width over height of one pixel as stored, if known.
        formats: FFmpeg's names of the file's format.
        video_streams: how many there are; the others are not read.
    """

    info: VideoInfo

    def __init__(self, path: Path) -> None:
        self.damage: list[Damage] = []
        self.decoded = 0
        self._last: int | None = None
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
            self._pictures = self._decode(stream)
            self._on_packet: Callable[[SoundPacket], None] | None = None
            self._early: list[SoundPacket] = []
            self._first = next(self._pictures, None)
            self.info = _info(self._container, stream, self.peek())
            # Some writers of Matroska count the duration from 0, others from the first frame.
            self._counted_from = self._start * self._time_base if stream.duration else Fraction(0)
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
        """Let the file go; decoding threads end."""
        try:
            self._pictures.close()  # it alone holds the decoder
        finally:
            self._container.close()

    def peek(self) -> av.VideoFrame:
        """The first frame, which stays first; only before ``pictures`` is called.

        Raises:
            MediaError: there is none.
        """
        if self._first is None:
            raise MediaError(f"{self._path}: no frame of this video can be decoded")
        return self._first.frame

    def pictures(self, on_packet: Callable[[SoundPacket], None] | None = None) -> Iterator[Picture]:
        """Decode all frames, in order of presentation.

        Damage is noted in ``damage`` and what follows it is still decoded.

        Args:
            on_packet: called with every packet of sound on the way.
        """
        self._on_packet = on_packet
        early, self._early = self._early, []
        if on_packet:
            for packet in early:
                on_packet(packet)
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._pictures
        self._check_length()

    def frames(self, every: int = 1) -> Iterator[Frame]:
        """Every ``every``-th frame, upright."""
        for picture in self.pictures():
            if picture.index % every == 0:
                yield upright(picture, self.info)

    def _decode(self, stream: VideoStream) -> Generator[Picture]:
        last: int | None = None
        step = 1  # from frame to frame, where there are no timestamps
        if stream.average_rate:
            step = max(1, round(1 / (stream.average_rate * self._time_base)))
        longest = longest_step(self._time_base)
        shape: tuple[int, int, str] | None = None
        for packet in self._packets(stream):
            if packet.stream is not stream:
                self._pass_on(packet)
                continue
            try:
                frames = packet.decode()
            except av.error.FFmpegError as error:
                self._note(packet.pts if packet.pts is not None else last, _words(error))
                continue
            for frame in frames:
                if not isinstance(frame, av.VideoFrame):
                    continue
                pts = frame.pts
                if pts is None:
                    pts = self._start if last is None else last + step
                elif last is not None and not last < pts <= last + longest:
                    self._note(last, "timestamps jump; they were mended")
                    pts = last + (1 if pts <= last else step)
                if frame.is_corrupt:
                    self._note(pts, "a damaged frame; what can be seen of it was examined")
                last = pts
                if frame.colorspace not in _KNOWN_MATRICES:
                    self._note(pts, "colours are stored in a rare way; they are not exact")
                    frame.colorspace = _NEAREST_MATRIX.get(frame.colorspace, _UNKNOWN_MATRIX)
                shape = shape or (frame.width, frame.height, frame.format.name)
                if shape != (frame.width, frame.height, frame.format.name):
                    self._note(pts, "the picture changes its size or format; it was converted")
                self.decoded += 1
                yield Picture(self.decoded - 1, pts, frame.reformat(*shape, threads=1))
        self._last = last

    def _packets(self, stream: VideoStream) -> "Iterator[Packet[Any]]":
        """All packets of the video and its sound; goes on after errors as long as that works."""
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
                self._note(None, _words(error))
            else:
                return

    def _pass_on(self, packet: SoundPacket) -> None:
        if packet.size == 0:  # the empty packet that ends a stream
            return
        if self._on_packet is not None:
            self._on_packet(packet)
        elif self.decoded == 0:
            self._early.append(packet)  # before the first frame, which is decoded on opening

    def _note(self, pts: int | None, message: str) -> None:
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
        if duration is None or self.info.is_picture or self._last is None:
            return
        end = self._last * self._time_base
        step = 1 / self.info.rate if self.info.rate else Fraction(0)
        promised = self._counted_from + duration
        if promised - end - step > _SHORT_BY:
            words = f"the file ends here, though it promises {float(promised):.2f} s"
            self._note(self._last, words)


def upright(picture: Picture, video: VideoInfo) -> Frame:
    """A picture of a video as it is displayed; it must not be drawn on while that is in use."""
    pixels = pixels_of(picture.frame, video.rotation)
    return Frame(picture.index, picture.pts * video.time_base, pixels)


def open_video(path: Path) -> VideoReader:
    """Open a video, an animation or a picture; what it is is told by its content.

    Raises:
        MediaError: it is not there, cannot be read, or holds no picture that can be decoded.
    """
    return VideoReader(path)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_container(path: Path) -> InputContainer:
    """Open a file as FFmpeg sees it; nothing is decoded, and no other file is read.

    Raises:
        MediaError: it is not there, or not a file of pictures.
    """
    try:
        if path.exists() and not path.is_file():
            raise MediaError(f"{path}: is not a file; name a video")
        with path.open("rb") as file:
            start = file.read(len(_LFS_POINTER))
        if not start:
            raise MediaError(f"{path}: the file is empty")
        if start.startswith(_PLAYLISTS):
            raise MediaError(f"{path}: not a video, but a list of other files; name one of those")
        if start == _LFS_POINTER:
            raise MediaError(f"{path}: only a Git LFS pointer; fetch the file with 'git lfs pull'")
        # With "file:" a colon in the name is no protocol.
        container = av.open(f"file:{path}", options=dict(_OPEN_OPTIONS), metadata_errors="replace")
    except FileNotFoundError as error:
        raise MediaError(f"{path}: there is no such file") from error
    except PermissionError as error:
        raise MediaError(f"{path}: this file may not be read") from error
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(
            f"{path}: not a video or picture that can be read: {_words(error)}"
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
        what = "only sound" if container.streams.audio else "no picture"
        raise MediaError(f"{path}: there is {what} in this file")
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


def longest_step(time_base: Fraction) -> int:
    """Most ticks from one timestamp to the next that an MP4 file can hold."""
    scale = max(20000, time_base.denominator)  # it makes scales under 10000 finer, up to twice that
    return int(2**31 / scale / time_base)


def sound_codec(stream: AudioStream) -> str:
    """FFmpeg's name of the format of a sound stream; ``"unknown"`` if FFmpeg has no decoder."""
    return stream.codec_context.codec.canonical_name if stream.codec_context else "unknown"


def _words(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)
