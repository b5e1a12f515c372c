"""Pictures are turned and mirrored as the display matrix of the file says."""

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from fakelens.media.pixels import luma
from fakelens.media.reader import VideoReader, open_video
from support.media import draw_frame, make_clip, read_number
from support.transcoding import copy, draw_white_square, rgb

# By matrix: rotation counter-clockwise, and whether the rotated picture is mirrored.
ORIENTATIONS = {
    (1, 0, 0, 1): (0, False),
    (0, -1, 1, 0): (90, False),
    (-1, 0, 0, -1): (180, False),
    (0, 1, -1, 0): (270, False),
    (-1, 0, 0, 1): (0, True),
    (0, 1, 1, 0): (270, True),
    (1, 0, 0, -1): (180, True),
    (0, -1, -1, 0): (90, True),
}
SIZE = 192, 128  # as displayed; of areas that are converted on their own
Matrix = tuple[int, int, int, int]


def stored_for(upright: NDArray[np.generic], matrix: Matrix) -> NDArray[np.generic]:
    """Return the picture that the matrix maps to ``upright``, pixel by pixel."""
    a, b, c, d = matrix
    height, width = upright.shape[:2]
    rows, columns = (height, width) if a else (width, height)
    y, x = np.mgrid[:rows, :columns]
    across, down = a * x + c * y, b * x + d * y
    return upright[down - down.min(), across - across.min()]


def make_stored(path: Path, matrix: Matrix, **settings: object) -> Path:
    """Write a clip that is displayed as ``draw_frame`` draws it."""

    def picture(number: int) -> NDArray[np.generic]:
        return stored_for(draw_frame(number, *SIZE), matrix)

    size = picture(0).shape[1::-1]
    settings = {"options": {"crf": "1"}, "pixel_format": "yuv444p"} | settings
    return make_clip(path, matrix=matrix, size=size, picture=picture, **settings)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_frames_are_shown_as_the_matrix_says(tmp_path: Path, name: str, matrix: Matrix) -> None:
    with open_video(make_stored(tmp_path / name, matrix)) as reader:
        assert (reader.info.rotation, reader.info.mirrored) == ORIENTATIONS[matrix]
        assert (reader.info.width, reader.info.height) == SIZE
        frames = list(reader.frames())
    assert [read_number(frame.image) for frame in frames] == list(range(12))
    for frame in frames:
        assert frame.pixels.shape == (*SIZE[::-1], 3)
        assert np.abs(frame.image.astype(int) - draw_frame(frame.index, *SIZE)).mean() < 3


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv420p10le"])
@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_areas_small_pictures_and_luma_are_oriented_alike(
    tmp_path: Path, matrix: Matrix, pixel_format: str
) -> None:
    path = make_stored(tmp_path / "a.mp4", matrix, frames=2, pixel_format=pixel_format)
    with open_video(path) as reader:
        pixels = list(reader.frames())[1].pixels
        whole = np.asarray(pixels)
        for top, bottom, left, right in ((0, 128, 0, 192), (30, 101, 5, 60), (100, 128, 150, 192)):
            area = pixels[top:bottom, left:right]
            np.testing.assert_array_equal(area, whole[top:bottom, left:right])
        small = np.asarray(pixels.resized((48, 32)))
        averaged = whole.reshape(32, 4, 48, 4, 3).mean(axis=(1, 3))
        assert np.abs(small - averaged).mean() < 4
        grey = whole @ (0.299, 0.587, 0.114)
        assert np.abs(luma(pixels, 6, 10) - grey[3::6, 5::10]).mean() < 3


@pytest.mark.parametrize("matrix", ORIENTATIONS)
def test_the_transcoded_video_is_stored_upright(tmp_path: Path, matrix: Matrix) -> None:
    source = make_stored(tmp_path / "a.mp4", matrix, pixel_format="yuv420p")
    target = copy(source, draw_white_square)
    with av.open(target) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == SIZE
        stored = next(container.decode(stream))
        assert "DISPLAYMATRIX" not in {data.type.name for data in stored.side_data}
        plain = stored.to_ndarray(format="rgb24").astype(int)
    assert plain[42:58, 62:78].min() > 225  # where the square was drawn
    plain[36:64, 56:84] = draw_frame(0, *SIZE)[36:64, 56:84]
    assert np.abs(plain - draw_frame(0, *SIZE)).mean() < 4


@pytest.mark.parametrize("matrix", [(-1, 0, 0, 1), (0, 1, 1, 0)])
def test_odd_sizes_and_both_pictures_are_mirrored(tmp_path: Path, matrix: Matrix) -> None:
    drawn = draw_frame(5, 131, 97)
    stored = stored_for(drawn, matrix)
    source = make_clip(
        tmp_path / "a.mp4",
        frames=2,
        size=stored.shape[1::-1],
        pixel_format="yuv444p",
        matrix=matrix,
        picture=lambda _: stored,
        options={"crf": "1"},
    )
    seen = rgb(copy(source, side_by_side=True))[0]
    assert seen.shape == (98, 264, 3)
    for left in (0, 132):
        assert np.abs(seen[:97, left : left + 131] - drawn).mean() < 4


@pytest.mark.parametrize(
    "matrix",
    [
        (0, 0, 0, 0),
        (1, 1, 1, 1),
        (0, 1, 0, 0),
        (0.7071, 0.7071, -0.7071, 0.7071),
        (0.995, 0.0998, -0.0998, 0.995),
        (0.5, 0, 0, 0.5),
    ],
    ids=["zero", "singular", "flat", "45 degrees", "6 degrees", "half size"],
)
def test_other_matrices_leave_the_picture_as_it_is(tmp_path: Path, matrix: Matrix) -> None:
    with open_video(make_clip(tmp_path / "a.mp4", matrix=matrix)) as reader:
        assert (reader.info.rotation, reader.info.mirrored) == (0, False)
        (first, *_) = reader.frames()
    assert np.abs(first.image.astype(int) - draw_frame(0)).mean() < 5


def test_a_matrix_of_about_90_degrees_is_a_rotation(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", matrix=(0.06, -1, 1, 0.06))
    with open_video(path) as reader:
        assert (reader.info.rotation, reader.info.mirrored) == (90, False)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_in_exif_data_is_read_by_ffmpeg(tmp_path: Path, orientation: int) -> None:
    """Pillow is the judge. PyAV does not know this kind of side data of a frame."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "a.jpg"
    Image.fromarray(draw_frame(9)).save(path, exif=exif, quality=95, subsampling=0)
    with VideoReader(path) as reader:
        (frame,) = reader.frames()
    with Image.open(path) as image:
        expected = np.asarray(ImageOps.exif_transpose(image)).astype(int)
    assert frame.image.shape == expected.shape
    assert np.abs(frame.image - expected).mean() < 2
