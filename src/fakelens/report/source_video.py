"""The original video for the page: an exact copy, or re-encoded if browsers cannot play it."""

from array import array
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fakelens.media.container import open_container
from fakelens.media.frames import MediaReader
from fakelens.media.profile import Profile
from fakelens.media.reader import open_video
from fakelens.media.transcode import transcode
from fakelens.records.report import Report
from fakelens.records.settings import Progress

NAMES = ("untouched.mp4", "untouched.webm")

# What current browsers play: container, file name, pixel formats by video codec, audio codecs.
_PLAYABLE = (
    (
        "mp4",
        "untouched.mp4",
        {"h264": ("yuv420p", "yuvj420p"), "av1": ("yuv420p", "yuv420p10le")},
        {"aac", "mp3", "opus", "flac"},
    ),
    (
        "webm",
        "untouched.webm",
        {
            "vp8": ("yuv420p",),
            "vp9": ("yuv420p", "yuv420p10le"),
            "av1": ("yuv420p", "yuv420p10le"),
        },
        {"opus", "vorbis"},
    ),
)
_KEY_SPACING = 0.5  # seconds
_UNEVEN = 0.1  # range of the frame intervals over their mean
_MAX_LISTED_FRAMES = 20_000
_DECODERS = {"libdav1d": "av1", "libaom-av1": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9"}


def playable_name(report: Report) -> str | None:
    """Return the name for an exact copy of the input, or ``None`` if browsers cannot play it.

    Damaged files count as not playable: transcoding repairs their timestamps. So do files that
    were changed to be examined and mirrored ones, which browsers show in different ways.

    Raises:
        MediaError: the input cannot be read again.
    """
    video = report.video
    if report.damage or video.is_picture or video.changes or video.mirrored:
        return None
    with open_video(report.source, report.video.stream) as reader:
        return _playable_name(reader)


def _playable_name(reader: MediaReader) -> str | None:
    info = reader.info
    codec = _DECODERS.get(info.codec, info.codec)
    for container, name, pixel_formats, audio_codecs in _PLAYABLE:
        fits = info.pixel_format in pixel_formats.get(codec, ()) and set(info.audio) <= audio_codecs
        # With several video streams a browser may show another one.
        alone = not info.other_streams
        if container in reader.formats and fits and alone and info.start >= 0:
            return name
    return None


def transcode_original(
    report: Report, folder: Path, progress: Progress | None, profile: Profile
) -> str:
    """Re-encode the input as H.264 in MP4, which browsers can play.

    Args:
        report: of the input.
        folder: for the file.
        progress: called after each frame.
        profile: records how long each stage takes.

    Returns:
        The file's name.

    Raises:
        MediaError: the input cannot be read again.
        OutputError: the file cannot be written.
    """
    transcode(
        report.source,
        folder / NAMES[0],
        lambda index, planes: None,
        stream=report.video.stream,
        progress=progress,
        profile=profile,
    )
    return NAMES[0]


@dataclass(frozen=True, slots=True)
class Timing:
    """Timestamps of a video's frames, in seconds.

    Attributes:
        keys: key frames, which can be shown without decoding others; at most two per second.
        frames: all frames, if they are unevenly spaced and at most 20,000; otherwise empty.
        end: end of the last frame.
    """

    keys: tuple[float, ...]
    frames: tuple[float, ...]
    end: float


def read_timing(path: Path) -> Timing:
    """Read the frame timestamps from a video's packets, without decoding.

    Args:
        path: a copy of the input, or made by ``transcode_original``, or the playable input.
    """
    keys: list[float] = []
    shown = array("d")
    end = 0.0
    with open_container(path) as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is None or packet.time_base is None:
                continue
            time = float(packet.pts * packet.time_base)
            if packet.is_keyframe and (not keys or time >= keys[-1] + _KEY_SPACING):
                keys.append(time)
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            shown.append(time)
    times = np.unique(shown)
    gaps = np.diff(times)
    uneven = len(gaps) > 0 and float(np.ptp(gaps)) > _UNEVEN * float(gaps.mean())
    return Timing(
        keys=tuple(keys),
        frames=tuple(times.tolist()) if uneven and len(times) <= _MAX_LISTED_FRAMES else (),
        end=end,
    )
