"""Opens files with FFmpeg, and chooses the video stream to examine."""

from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from fakelens.errors import MediaError
from fakelens.media.source_file import check_source

# Formats that render text as pictures, or that refer to other files and addresses.
_REFUSED_FORMATS = {"tty", "bin", "xbin", "idf", "adf", "hls", "concat", "dash", "sdp", "rtsp"}
# With "pattern_type", % and * in the name of a picture have no special meaning.
_OPEN_OPTIONS = {"protocol_whitelist": "file", "pattern_type": "none"}


def open_container(path: Path) -> InputContainer:
    """Open a file with FFmpeg, without decoding it and without reading any other file.

    Raises:
        MediaError: the file does not exist, or is neither a video nor a picture.
    """
    check_source(path)
    try:
        # With "file:", a colon in the name is not taken for a protocol.
        container = av.open(f"file:{path}", options=dict(_OPEN_OPTIONS), metadata_errors="replace")
    except (av.error.FFmpegError, OSError) as error:
        raise MediaError(
            f"{path}: not a video or picture that can be read: {reason(error)}"
        ) from error
    if _REFUSED_FORMATS & set(container.format.name.split(",")):
        container.close()
        raise MediaError(f"{path}: not a video or picture, but {container.format.long_name}")
    return container


def choose_video_stream(
    container: InputContainer, path: Path, number: int | None = None
) -> VideoStream:
    """Return a video stream by its number, or the main one.

    That is the default one, then the largest, then the one with the most frames: an animated AVIF
    contains its first frame as a picture as well.

    Args:
        container: opened by ``open_container``.
        path: of the file, for messages.
        number: from 1, among the streams with a moving or still picture; cover art does not count.

    Raises:
        MediaError: there is no such stream, or none at all.
    """
    streams = _video_streams(container)
    if not streams:
        content = "only sound, no video" if container.streams.audio else "no video or picture"
        raise MediaError(f"{path}: the file contains {content}")
    if number is None:
        return max(
            streams,
            key=lambda s: (
                bool(s.disposition & Disposition.default),
                s.width * s.height,
                s.frames,
            ),
        )
    if number > len(streams):
        raise MediaError(
            f"{path}: there is no video stream {number}; choose one from 1 to {len(streams)}"
        )
    return streams[number - 1]


def describe_streams(container: InputContainer, chosen: VideoStream) -> tuple[int, tuple[str, ...]]:
    """Return the number of a video stream, from 1, and descriptions of the others."""
    streams = _video_streams(container)
    others = tuple(
        f"video stream {number}: {stream.width} x {stream.height}, {stream.codec_context.name}"
        for number, stream in enumerate(streams, 1)
        if stream is not chosen
    )
    return streams.index(chosen) + 1, others


def _video_streams(container: InputContainer) -> list[VideoStream]:
    return [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic and stream.codec_context is not None
    ]


def reason(error: Exception) -> str:
    """Return what an error says, without its number."""
    return str(getattr(error, "strerror", None) or error)
