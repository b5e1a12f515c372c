"""Writes clips of many formats for tests, and damages them.

Every frame shows its number as a row of black and white blocks along its top edge, which
``read_number`` decodes even after lossy compression, over a colour gradient that changes under any
rotation or mirroring. The sound is a tone.
"""

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.filter import Graph
from numpy.typing import NDArray

NTSC = Fraction(30000, 1001)
_BITS = 8  # of a frame number
_SAMPLES = 1024  # per sound packet
_SOUND_RATE = 48000


@dataclass(frozen=True, slots=True)
class Tags:
    """Colour tags of a clip, as FFmpeg's numbers; 2 and 0 mean "unknown"."""

    colorspace: int = 2
    color_range: int = 0
    color_primaries: int = 2
    color_trc: int = 2


BT709 = Tags(colorspace=1, color_range=1, color_primaries=1, color_trc=1)
UNTAGGED = Tags()


def draw_frame(number: int, width: int = 128, height: int = 96) -> NDArray[np.uint8]:
    """Draw a frame, (height, width, 3) uint8 RGB: red rises to the right, green downwards."""
    image = np.empty((height, width, 3), dtype=np.uint8)
    image[..., 0] = np.linspace(40, 200, width)
    image[..., 1] = np.linspace(60, 180, height)[:, None]
    image[..., 2] = 70
    for bit in range(_BITS):
        left, right = bit * width // _BITS, (bit + 1) * width // _BITS
        image[: height // 6, left:right] = 235 if number >> bit & 1 else 20
    return image


def read_number(image: NDArray[np.uint8]) -> int:
    """Read the number of an upright frame; ``image`` is (H, W, 3) RGB or (H, W) luma."""
    height, width = image.shape[:2]
    row = image[height // 12].reshape(width, -1).mean(axis=1)
    centres = [(2 * bit + 1) * width // (2 * _BITS) for bit in range(_BITS)]
    return sum(1 << bit for bit, x in enumerate(centres) if row[x] > 128)


def make_clip(
    path: Path,
    *,
    frames: int = 12,
    size: tuple[int, int] = (128, 96),
    rate: Fraction = NTSC,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    rotation: int = 0,
    matrix: tuple[float, float, float, float] | None = None,
    tags: Tags = UNTAGGED,
    aspect: Fraction | None = None,
    fields: str | None = None,
    picture: Callable[[int], NDArray[np.generic]] | None = None,
    sounds: Sequence[str] = (),
    more_videos: Sequence[tuple[int, int]] = (),
    muxer: dict[str, str] | None = None,
) -> Path:
    """Write a clip; the suffix of ``path`` selects the container.

    Args:
        path: file to write.
        frames: number of frames; frame k shows the number k.
        size: width and height as stored, before rotation.
        rate: frames per second; sets the timestamps unless ``pts`` does.
        pts: timestamp of each frame in ticks of ``time_base``, for a variable rate or a late start.
        time_base: seconds per tick, 1 / rate if not given.
        codec: of the video, by FFmpeg's name of the encoder.
        pixel_format: by FFmpeg's name.
        options: of the encoder.
        rotation: degrees counter-clockwise by which a player has to rotate the picture.
        matrix: a, b, c and d of the display matrix; pixel (x, y) is displayed at
            (ax + cy, bx + dy).
        tags: colour tags; the pixels are converted accordingly.
        aspect: width divided by height of one pixel.
        fields: "tff" or "bff" to mark the frames as interlaced.
        picture: draws frame k instead, (H, W, 3) RGB, uint8 or uint16.
        sounds: encoder of each sound stream; stream k plays (k + 2) * 220 Hz.
        more_videos: sizes of additional black video streams, written before the main one.
        muxer: options of the container.
    """
    ticks = range(frames) if pts is None else pts
    time_base = time_base or 1 / rate
    with av.open(path, "w", options=muxer or {}) as container:
        others = [
            container.add_stream("libx264", rate=rate, width=wide, height=high)
            for wide, high in more_videos
        ]
        video = container.add_stream(codec, rate=rate, options=options or {})
        video.width, video.height = size
        video.pix_fmt = pixel_format
        video.time_base = video.codec_context.time_base = time_base
        for name in ("colorspace", "color_range", "color_primaries", "color_trc"):
            setattr(video.codec_context, name, getattr(tags, name))
        if aspect is not None:
            video.codec_context.sample_aspect_ratio = aspect
        if rotation:
            video.set_display_rotation(rotation)
        if matrix is not None:
            a, b, c, d = (round(65536 * value) for value in matrix)
            video.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        if fields:
            video.codec_context.field_order = {"tff": 2, "bff": 3}[fields]
            mark = _field_marker(size, pixel_format, time_base, fields)
        tones = [_add_sound(container, sound) for sound in sounds]
        for number, tick in zip(range(frames), ticks, strict=True):
            for other in others:
                black = av.VideoFrame.from_ndarray(
                    np.zeros((other.height, other.width, 3), np.uint8), format="rgb24"
                )
                container.mux(other.encode(black))
            drawn = picture(number) if picture else draw_frame(number, *size)
            frame = _frame(drawn, tick, pixel_format, time_base, tags)
            if fields:
                mark.vpush(frame)
                frame = mark.vpull()
            container.mux(video.encode(frame))
        for stream in (*others, video):
            container.mux(stream.encode())
        seconds = (ticks[-1] - ticks[0] + 1) * time_base
        for index, tone in enumerate(tones):
            _play(container, tone, 220 * (index + 2), float(seconds))
    return path


def make_sound(path: Path, codec: str = "libmp3lame", cover: bool = False) -> Path:
    """Write sound without a video, optionally with cover art."""
    with av.open(path, "w") as container:
        tone = _add_sound(container, codec)
        if cover:
            picture = container.add_stream("mjpeg", rate=1, width=64, height=64)
            picture.pix_fmt = "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
            frame = av.VideoFrame.from_ndarray(draw_frame(1, 64, 64), format="rgb24")
            container.mux(picture.encode(frame.reformat(format="yuvj420p")))
            container.mux(picture.encode())
        _play(container, tone, 440, 1)
    return path


def count_threads() -> int:
    """Count the threads of this process, including FFmpeg's (Linux).

    Collects garbage first, so that threads of earlier tests have ended.
    """
    gc.collect()
    return len(list(Path("/proc/self/task").iterdir()))


def thread_count_returns_to(number: int) -> bool:
    """Wait up to 5 seconds until only ``number`` threads are left; return whether that happened."""
    deadline = time.monotonic() + 5
    while (now := count_threads()) > number and time.monotonic() < deadline:
        time.sleep(0.01)
    return now == number


def open_files() -> list[str]:
    """List the open files of this process (Linux)."""
    links = Path("/proc/self/fd").iterdir()
    return [str(link.readlink()) for link in links if link.is_symlink()]


def overwrite_with_noise(path: Path, start: float, end: float, *, seed: int = 0) -> Path:
    """Overwrite an MP4's sample data from ``start`` to ``end`` (0..1) with noise."""
    data = bytearray(path.read_bytes())
    first, last = _sample_data(data)
    a, b = (first + int((last - first) * part) for part in (start, end))
    data[a:b] = np.random.default_rng(seed).integers(0, 256, b - a, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    return path


def truncate(path: Path, part: float) -> Path:
    """Truncate a file after ``part`` (0..1) of its bytes."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    return path


def _frame(
    image: NDArray[np.generic],
    tick: int,
    pixel_format: str,
    time_base: Fraction,
    tags: Tags,
) -> av.VideoFrame:
    rgb = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(image), format="rgb24" if image.dtype == np.uint8 else "rgb48le"
    )
    if pixel_format in ("rgb24", "rgb8", "bgra", "pal8"):
        frame = rgb.reformat(format=pixel_format)
    else:
        frame = rgb.reformat(
            format=pixel_format,
            dst_colorspace=tags.colorspace if tags.colorspace != 2 else None,
            dst_color_range=tags.color_range or None,
        )
    frame.pts, frame.time_base = tick, time_base
    return frame


def _field_marker(
    size: tuple[int, int], pixel_format: str, time_base: Fraction, fields: str
) -> Graph:
    graph = Graph()
    source = graph.add_buffer(
        width=size[0],
        height=size[1],
        format=av.VideoFormat(pixel_format),
        time_base=time_base,
    )
    nodes = graph.add("setfield", mode=fields), graph.add("buffersink")
    graph.link_nodes(source, *nodes).configure()
    return graph


def _add_sound(container: av.container.OutputContainer, codec: str) -> av.AudioStream:
    stream = container.add_stream(codec, rate=_SOUND_RATE, bit_rate=96000)
    stream.layout = "mono"
    return stream


def _play(
    container: av.container.OutputContainer, stream: av.AudioStream, pitch: int, seconds: float
) -> None:
    size = stream.codec_context.frame_size or _SAMPLES
    for start in range(0, int(seconds * _SOUND_RATE), size):
        wave = np.sin(2 * np.pi * pitch * (start + np.arange(size)) / _SOUND_RATE)
        tone = av.AudioFrame.from_ndarray(
            (wave * 8000).astype(np.int16)[None], format="s16", layout="mono"
        )
        tone.sample_rate, tone.pts = _SOUND_RATE, start
        tone.time_base = Fraction(1, _SOUND_RATE)
        for converted in av.AudioResampler(format=stream.format, layout="mono").resample(tone):
            container.mux(stream.encode(converted))
    container.mux(stream.encode())


def _sample_data(data: bytes | bytearray) -> tuple[int, int]:
    """Return the start and end of the content of an MP4's ``mdat`` box."""
    place = 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        if data[place + 4 : place + 8] == b"mdat":
            return place + 8, place + length
        place += length
    raise ValueError("no mdat box")
