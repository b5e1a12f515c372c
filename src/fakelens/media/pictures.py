"""Reads still pictures with Pillow and pi-heif."""

from collections.abc import Callable, Iterator
from contextlib import closing
from fractions import Fraction
from pathlib import Path

import av

from fakelens.errors import MediaError
from fakelens.media.animations import WebPReader
from fakelens.media.container import open_container
from fakelens.media.frames import DecodedFrame, MediaReader, SoundPacket
from fakelens.media.picture_files import DECODING_ERRORS, is_preview, open_image, pillow_settings
from fakelens.media.picture_formats import picture_formats, undecodable
from fakelens.media.picture_pages import Page, read_page
from fakelens.records.media import Damage, VideoInfo

# FFmpeg's names of codecs by Pillow's names of formats.
_CODECS = {
    "JPEG": "mjpeg",
    "MPO": "mjpeg",
    "JPEG2000": "jpeg2000",
    "AVIF": "av1",
    "HEIF": "hevc",
}
_ANIMATED = ("GIF", "PNG", "AVIF")  # may be; TIFF, MPO and HEIF have pages


def open_picture(
    path: Path, formats: tuple[str, ...], stream: int | None = None
) -> MediaReader | None:
    """Open a still picture or an animated WebP.

    Args:
        path: of the file.
        formats: that it may have, see ``picture_formats``.
        stream: number of the page to read, from 1; ``None`` chooses the main one. An animated
            WebP has one stream.

    Returns:
        A reader, or ``None`` if the file is for FFmpeg: another animation, a video, the raw file of
        a camera, or a kind of picture that Pillow does not support.

    Raises:
        MediaError: the picture is too large, nothing can be decoded, or there is no such page or
            stream.
    """
    name, is_animated = _describe(path, formats)
    if name is None:
        return None
    if name == "WEBP" and is_animated:
        if stream not in (None, 1):
            raise MediaError(f"{path}: there is no video stream {stream}; choose one from 1 to 1")
        return WebPReader(path)
    if (name in _ANIMATED and is_animated) or (name == "JPEG" and _is_motion_jpeg(path)):
        return None
    page = read_page(path, formats, stream)
    if page is not None:
        return PictureReader(path, page)
    if name == "TIFF":  # FFmpeg knows other kinds of compression
        return None
    raise undecodable(path)


def picture_size(path: Path) -> tuple[int, int] | None:
    """Return the width and height of a picture without decoding it; ``None`` if it is none.

    Raises:
        MediaError: the picture is too large.
    """
    with pillow_settings(path):
        image = open_image(path, picture_formats(path))
        if image is None:
            return None
        with closing(image):
            return image.width, image.height


def _describe(path: Path, formats: tuple[str, ...]) -> tuple[str | None, bool]:
    """Return Pillow's name of a picture's format and whether it has several frames or pages.

    The name is ``None`` if Pillow does not support the file.
    """
    with pillow_settings(path):
        image = open_image(path, formats)
        if image is None:
            return None, False
        with closing(image):
            try:
                several = bool(getattr(image, "is_animated", False))
            except DECODING_ERRORS:  # the first one may be whole
                several = False
            return None if is_preview(image) else image.format, several


def _is_motion_jpeg(path: Path) -> bool:
    """Tell whether a file is a video: many JPEG pictures, one after the other."""
    try:
        with open_container(path) as container:
            return container.format.name == "mjpeg"
    except MediaError:
        return False


class PictureReader(MediaReader):
    """Reads one page of a picture as one frame.

    Args:
        path: of the picture, for messages.
        page: decoded from it.
    """

    def __init__(self, path: Path, page: Page) -> None:
        self._path = path
        self._damaged = page.damage is not None
        self._frame: av.VideoFrame | None = av.VideoFrame.from_ndarray(page.pixels, format="rgb24")
        self._frame.pts, self._frame.time_base = 0, Fraction(1)
        self.decoded = 1
        self.damage = [Damage(Fraction(0), page.damage)] if page.damage else []
        self.audio_streams = ()
        self.formats = frozenset({"image2"})
        height, width = page.pixels.shape[:2]
        self.info = VideoInfo(
            width=width,
            height=height,
            rotation=0,
            rate=None,
            time_base=Fraction(1),
            start=Fraction(0),
            frame_estimate=1,
            duration=None,
            codec=_CODECS.get(page.format, page.format.lower()),
            pixel_format="rgb24",
            is_picture=True,
            audio=(),
            changes=page.changes,
            stream=page.number,
            other_streams=page.others,
        )

    def close(self) -> None:
        """Release the picture; its file is closed already."""
        self._frame = None

    def first_frame(self) -> av.VideoFrame:
        """Return the picture without consuming it; call it before ``decoded_frames``.

        Raises:
            MediaError: the picture has been consumed.
        """
        if self._frame is None:
            raise MediaError(f"{self._path}: the picture has been read already")
        return self._frame

    def decoded_frames(
        self, on_packet: Callable[[SoundPacket], None] | None = None
    ) -> Iterator[DecodedFrame]:
        """Yield the picture; there is no sound."""
        frame, self._frame = self._frame, None
        if frame is not None:
            yield DecodedFrame(0, 0, frame, self._damaged)
