"""Structure and metadata of a file: container, streams, timestamps and tags.

Videos are read by FFmpeg, still pictures by Pillow. No frame is decoded.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import PIL
from av.container import InputContainer
from av.video.stream import VideoStream

from fakelens.casework.picture_metadata import read_picture_facts
from fakelens.media.container import choose_video_stream, open_container, reason

_MAX_VALUE = 300  # characters of a value
_MAX_TAGS = 60
# Encoders name themselves in the first packet: the SEI message of user data.
_SIGNATURES = re.compile(rb"(?:x264 - core|x265 \(build) [\x20-\x7e]{1,1000}")


@dataclass(frozen=True, slots=True)
class Timestamps:
    """The presentation timestamps of a video stream.

    Attributes:
        frames: packets with a timestamp.
        missing: packets without one.
        repeated: timestamps that occur again.
        shortest: interval, seconds; ``None`` with fewer than two timestamps.
        median: interval, seconds.
        mean: interval, seconds.
        longest: interval, seconds.
        constant: whether all intervals are equal, up to the rounding of the time base.
        keys: key frames.
        damaged: packets that FFmpeg marks as damaged.
        announced: frames according to the header; 0 if it does not say.
        last: latest timestamp, seconds; ``None`` without any.
        stopped: why reading stopped before the end of the file; empty if it did not.
    """

    frames: int
    missing: int
    repeated: int
    shortest: Fraction | None
    median: Fraction | None
    mean: Fraction | None
    longest: Fraction | None
    constant: bool
    keys: int
    damaged: int = 0
    announced: int = 0
    last: Fraction | None = None
    stopped: str = ""

    @property
    def packets(self) -> int:
        """Number of packets that were read."""
        return self.frames + self.missing


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file says about itself.

    Attributes:
        container: FFmpeg's name of the container, in words.
        general: name and value of facts about the whole file.
        streams: name and description of each stream.
        timestamps: of the examined stream; ``None`` for a still picture.
        tags: name and value of all tags, those of the container first.
        omitted: number of further tags.
        reader: name and version of the library that read the file.
    """

    container: str
    general: tuple[tuple[str, str], ...]
    streams: tuple[tuple[str, str], ...]
    timestamps: Timestamps | None
    tags: tuple[tuple[str, str], ...]
    omitted: int
    reader: str


def read_video_facts(path: Path, stream: int | None) -> FileFacts:
    """Read the structure and the metadata of a video.

    Args:
        path: of the file.
        stream: number of the video stream that was examined, from 1.

    Raises:
        MediaError: the file cannot be read.
    """
    with open_container(path) as container:
        tags = list(_tags(container))
        chosen = choose_video_stream(container, path, stream)
        general = tuple(_general(container))
        streams = tuple(
            (f"Stream {one.index}" + " (examined)" * (one is chosen), _describe_stream(one))
            for one in container.streams
        )
        name = container.format.long_name
        timestamps, signature = _read_timestamps(container, chosen)
    if signature:
        tags.insert(0, ("encoder named in the video data", signature))
    version = ".".join(map(str, av.library_versions["libavformat"]))
    return FileFacts(
        container=name,
        general=general,
        streams=streams,
        timestamps=timestamps,
        tags=_shown(tags),
        omitted=len(tags[_MAX_TAGS:]),
        reader=f"FFmpeg's libavformat {version}, by PyAV {av.__version__}",
    )


def read_still_facts(path: Path) -> FileFacts:
    """Read the structure and the metadata of a still picture.

    Raises:
        MediaError: the file cannot be read.
    """
    found = read_picture_facts(path)
    if found is None:  # a format that only FFmpeg reads
        return replace(read_video_facts(path, None), general=(), timestamps=None)
    return FileFacts(
        container=found.name,
        general=(("Structure", found.structure),),
        streams=(),
        timestamps=None,
        tags=_shown(found.tags),
        omitted=len(found.tags[_MAX_TAGS:]),
        reader=f"Pillow {PIL.__version__}",
    )


def timestamp_sentence(found: Timestamps) -> str:
    """Say how a video's frames are spaced in time."""
    intervals = (found.shortest, found.median, found.mean, found.longest)
    low, middle, mean, high = (float(one or 0) for one in intervals)
    if found.shortest is None:
        text = f"{found.frames} timestamp, so no interval"
    elif found.constant:
        text = f"constant: {found.frames} timestamps, {mean:.4f} s apart"
        text += "" if low == high else ", up to the rounding of the time base"
    else:
        text = (
            f"variable: {found.frames} timestamps, {low:.4f} to {high:.4f} s apart "
            f"(median {middle:.4f} s)"
        )
    if found.missing:
        text += f"; {found.missing} packets without a timestamp"
    if found.repeated:
        text += f"; {found.repeated} timestamps repeated"
    return f"{text}; key frames: {found.keys}"


def packet_sentence(found: Timestamps) -> str:
    """Say how many packets of a video could be read, and where reading stopped."""
    text = f"{found.packets:,} packets read"
    if found.stopped:
        where = f", with the last timestamp at {float(found.last):.3f} s" if found.last else ""
        text += f"; READING STOPPED there{where}: {found.stopped}. What follows is not described"
    else:
        text += " up to the end of the file"
    if found.announced and found.announced != found.packets:
        text += f"; the header announces {found.announced:,} frames"
    if found.damaged:
        text += f"; {found.damaged:,} packets marked as damaged"
    return text


def _read_timestamps(
    container: InputContainer, stream: VideoStream
) -> tuple[Timestamps, str | None]:
    times: list[int] = []
    number = keys = damaged = 0
    signature: str | None = None
    stopped = ""
    try:
        for packet in container.demux(stream):
            if not packet.size:  # the end
                continue
            if packet.pts is not None:
                times.append(packet.pts)
            keys += packet.is_keyframe
            damaged += packet.is_corrupt
            if number == 0 and (found := _SIGNATURES.search(bytes(packet))):
                signature = found[0].decode("ascii")
            number += 1
    except av.error.FFmpegError as error:
        stopped = reason(error)
    tick = stream.time_base or Fraction(1)
    ordered = np.unique(np.array(times, dtype=np.int64))
    gaps = np.diff(ordered)
    known = len(gaps) > 0
    return (
        Timestamps(
            frames=len(times),
            missing=number - len(times),
            repeated=len(times) - len(ordered),
            shortest=int(gaps.min()) * tick if known else None,
            median=int(np.median(gaps)) * tick if known else None,
            mean=Fraction(int(gaps.sum()), len(gaps)) * tick if known else None,
            longest=int(gaps.max()) * tick if known else None,
            constant=bool(known and np.ptp(gaps) <= 1),
            keys=keys,
            damaged=damaged,
            announced=stream.frames,
            last=int(ordered[-1]) * tick if len(ordered) else None,
            stopped=stopped,
        ),
        signature,
    )


def _general(container: InputContainer) -> Iterator[tuple[str, str]]:
    if container.duration is not None:
        yield "Duration of the file", f"{container.duration / av.time_base:.3f} s"
    if container.start_time:
        yield "Start of the file", f"{container.start_time / av.time_base:.3f} s"
    if container.bit_rate:
        yield "Bit rate", f"{container.bit_rate / 1000:.0f} kbit/s"


def _describe_stream(stream: Any) -> str:
    context = stream.codec_context
    if context is None:
        return f"{stream.type}, unknown codec"
    parts = [f"{stream.type}: {context.codec.long_name or context.name}"]
    if getattr(context, "profile", None):
        parts.append(f"profile {context.profile}")
    if stream.type == "video":
        parts.append(f"{context.width} x {context.height} pixels, {context.pix_fmt}")
        if stream.average_rate:
            parts.append(f"average {_rate(stream.average_rate)} frames/s")
        if stream.base_rate and stream.base_rate != stream.average_rate:
            parts.append(f"base rate {_rate(stream.base_rate)} frames/s")
    elif stream.type == "audio":
        parts.append(f"{context.sample_rate} Hz, {context.layout.name}")
    if stream.time_base:
        parts.append(f"time base {stream.time_base} s")
    if stream.duration is not None and stream.time_base:
        parts.append(f"{float(stream.duration * stream.time_base):.3f} s")
    if stream.frames:
        parts.append(f"{stream.frames} frames in the header")
    if context.bit_rate:
        parts.append(f"{context.bit_rate / 1000:.0f} kbit/s")
    return "; ".join(parts)


def _rate(rate: Fraction) -> str:
    return f"{float(rate):.3f}".rstrip("0").rstrip(".")


def _tags(container: InputContainer) -> Iterator[tuple[str, str]]:
    yield from _named("", container.metadata)
    for stream in container.streams:
        yield from _named(f"stream {stream.index} ", stream.metadata)


def _named(prefix: str, metadata: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for key, value in metadata.items():
        yield f"{prefix}{key}", value


def _shown(tags: Sequence[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    return tuple((key, _shortened(value)) for key, value in tags[:_MAX_TAGS])


def _shortened(value: str) -> str:
    if len(value) <= _MAX_VALUE:
        return value
    return f"{value[:_MAX_VALUE]}... ({len(value)} characters)"
