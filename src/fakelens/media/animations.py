"""Reads animated WebP with Pillow, because FFmpeg does not decode it."""

from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageOps
from PIL.ExifTags import Base as ExifTag

from fakelens.errors import MediaError
from fakelens.media.frames import DecodedFrame, MediaReader, SoundPacket
from fakelens.media.picture_colours import to_srgb
from fakelens.media.picture_files import DECODING_ERRORS, open_image, pillow_settings
from fakelens.records.media import Damage, VideoInfo

_TICK = Fraction(1, 1000)  # seconds
_TURNED = range(2, 9)  # EXIF orientations of pictures that are not stored upright


class WebPReader(MediaReader):
    """Reads an animated WebP, frame by frame.

    Args:
        path: of the animation.

    Raises:
        MediaError: no frame can be decoded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._image: Image.Image | None = None
        self._count = 0
        self._last_pts = -1
        self._changes: tuple[str, ...] = ()
        self.decoded = 0
        self.damage: list[Damage] = []
        self.audio_streams = ()
        self.formats = frozenset({"webp"})
        with pillow_settings(path):
            self._image = open_image(path, ("WEBP",))
        self._orientation = _orientation(self._image) if self._image else None
        self._frames = self._decode()
        self._first = next(self._frames, None)
        first = self.first_frame()
        self.info = VideoInfo(
            width=first.width,
            height=first.height,
            rotation=0,
            rate=None,
            time_base=_TICK,
            start=Fraction(0),
            frame_estimate=self._count,
            duration=None,
            codec="webp",
            pixel_format=first.format.name,
            is_picture=False,
            audio=(),
            changes=self._changes,
        )

    def close(self) -> None:
        """Close the file."""
        self._frames.close()
        if self._image is not None:
            self._image.close()

    def first_frame(self) -> av.VideoFrame:
        """Return the first frame without consuming it; call it before ``decoded_frames``.

        Raises:
            MediaError: no frame can be decoded.
        """
        if self._first is None:
            raise MediaError(f"{self._path}: no frame of this animation can be decoded")
        return self._first.frame

    def decoded_frames(
        self, on_packet: Callable[[SoundPacket], None] | None = None
    ) -> Iterator[DecodedFrame]:
        """Decode all frames, in order of presentation; there is no sound."""
        if self._first is not None:
            first, self._first = self._first, None
            yield first
        yield from self._frames

    def _decode(self) -> Generator[DecodedFrame]:
        if self._image is None:
            return
        self._count = getattr(self._image, "n_frames", 1)
        for index in range(self._count):
            try:
                frame = self._decode_frame(self._image, index)
            except DECODING_ERRORS:
                self.damage.append(
                    Damage(max(0, self._last_pts) * _TICK, "the animation is damaged from here on")
                )
                return
            self.decoded += 1
            yield DecodedFrame(index, self._last_pts, frame)

    def _decode_frame(self, image: Image.Image, index: int) -> av.VideoFrame:
        with pillow_settings(self._path):
            image.seek(index)
            image.load()
            converted, changes = to_srgb(self._upright(image))
        if self._orientation in _TURNED:
            changes.append(
                f"The picture was turned upright (EXIF orientation {self._orientation})."
            )
        self._changes = tuple(changes)
        frame = av.VideoFrame.from_ndarray(np.array(converted), format="rgb24")
        # A frame that is shown for 0 ms would have the timestamp of the next one.
        self._last_pts = max(self._last_pts + 1, image.info["timestamp"])
        frame.pts, frame.time_base = self._last_pts, _TICK
        frame.duration = image.info["duration"]
        return frame

    def _upright(self, image: Image.Image) -> Image.Image:
        return ImageOps.exif_transpose(image) if self._orientation in _TURNED else image


def _orientation(image: Image.Image) -> int | None:
    """Return the EXIF orientation, which holds for all frames."""
    try:
        orientation: int | None = image.getexif().get(ExifTag.Orientation)
    except DECODING_ERRORS:  # damaged EXIF data
        return None
    return orientation
