"""The untouched video beside the page, as a browser can play it."""

import shutil
from array import array
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from fakelens.media.profile import Profile
from fakelens.media.reader import VideoReader, open_video
from fakelens.media.transcode import transcode
from fakelens.records.report import Report

NAMES = ("untouched.mp4", "untouched.webm")

# What current browsers play: of each kind of file the picture's codec and formats, and the sound.
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
_KEYS_APART = 0.5  # seconds
_UNEVEN = 0.1  # spread of the time from picture to picture, over its mean
_MOST_FRAMES = 20_000
_DECODERS = {"libdav1d": "av1", "libaom-av1": "av1", "libvpx": "vp8", "libvpx-vp9": "vp9"}


def playable_name(report: Report) -> str | None:
    """The name under which a browser plays the input as it is; ``None`` if it does not.

    Damaged files are left to the program, which mends their timestamps.

    Raises:
        MediaError: the input cannot be read again.
    """
    if report.damage or report.video.is_picture:
        return None
    with open_video(report.source) as reader:
        return _playable_name(reader)


def _playable_name(reader: VideoReader) -> str | None:
    info = reader.info
    codec = _DECODERS.get(info.codec, info.codec)
    for kind, name, pictures, sounds in _PLAYABLE:
        fits = info.pixel_format in pictures.get(codec, ()) and set(info.audio) <= sounds
        # With several streams of pictures a browser may show another one.
        if kind in reader.formats and fits and reader.video_streams == 1 and info.start >= 0:
            return name
    return None


def copy_original(report: Report, folder: Path, name: str, profile: Profile) -> str:
    """Copy the input bit for bit, under the name that ``playable_name`` gave; returns it."""
    with profile.spend("copy the video"):
        shutil.copyfile(report.source, folder / name)
    return name


def rewrite_original(report: Report, folder: Path, profile: Profile) -> str:
    """Write the input anew as H.264 in MP4, for browsers that do not play it as it is.

    Returns:
        The file's name.

    Raises:
        MediaError: the input cannot be read again.
        OutputError: the file cannot be written.
    """
    transcode(report.source, folder / NAMES[0], lambda index, planes: None, profile=profile)
    return NAMES[0]


@dataclass(frozen=True, slots=True)
class Timing:
    """When a video's pictures are shown; timestamps in seconds.

    Attributes:
        keys: of pictures that a player can show without decoding others, at most two a second.
        frames: of all pictures, where they are not evenly spaced and not too many.
        end: of the last picture, when it goes.
    """

    keys: tuple[float, ...]
    frames: tuple[float, ...]
    end: float


def timing(path: Path) -> Timing:
    """Read a video's packets; nothing is decoded.

    Args:
        path: of a video that ``playable_name`` or ``rewrite_original`` named.
    """
    keys: list[float] = []
    shown = array("d")
    end = 0.0
    with av.open(f"file:{path}") as container:
        for packet in container.demux(container.streams.video[0]):
            if packet.pts is None or packet.time_base is None:
                continue
            time = float(packet.pts * packet.time_base)
            if packet.is_keyframe and (not keys or time >= keys[-1] + _KEYS_APART):
                keys.append(time)
            end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
            shown.append(time)
    times = np.unique(shown)
    gaps = np.diff(times)
    uneven = len(gaps) > 0 and float(np.ptp(gaps)) > _UNEVEN * float(gaps.mean())
    return Timing(
        keys=tuple(keys),
        frames=tuple(times.tolist()) if uneven and len(times) <= _MOST_FRAMES else (),
        end=end,
    )
