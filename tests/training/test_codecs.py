"""H.264 compression of pictures, compared with a video file and by what it keeps or loses."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("tqdm", reason="training needs the extra [training]")

from fakelens.records.arrays import RGBImage
from training.codecs import compress_h264, compress_sample


def picture(seed: int, size: int = 96) -> RGBImage:
    """Draw a random smooth picture with grain."""
    rng = np.random.default_rng(seed)
    blotches = cv2.resize(rng.integers(30, 220, (7, 7, 3), np.uint8), (size, size))
    return np.clip(blotches + rng.normal(0, 8, blotches.shape), 0, 255).astype(np.uint8)


def error(a: NDArray[np.uint8], b: NDArray[np.uint8]) -> float:
    return float(np.abs(a.astype(float) - b).mean())


def through_file(image: RGBImage, crf: int, path: Path) -> RGBImage:
    """Write two equal frames to an MP4 file and read the second one with OpenCV."""
    with av.open(str(path), "w") as container:
        options = {"crf": str(crf), "preset": "superfast", "tune": "zerolatency"}
        stream = container.add_stream("libx264", rate=Fraction(25), options=options)
        stream.height, stream.width, stream.pix_fmt = *image.shape[:2], "yuv420p"
        for _ in range(2):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode(None))
    capture = cv2.VideoCapture(str(path))
    frames = [capture.read()[1] for _ in range(2)]
    capture.release()
    return np.ascontiguousarray(frames[1][..., ::-1])


@pytest.mark.parametrize("crf", [17, 28, 40])
def test_compression_agrees_with_an_mp4_file_read_by_opencv(crf: int, tmp_path: Path) -> None:
    expected = through_file(picture(2), crf, tmp_path / "still.mp4")
    # The two decoders convert colours differently.
    assert error(compress_h264(picture(2), crf), expected) < 2
    assert error(expected, picture(2)) > 2


def test_higher_crf_loses_more_detail_and_keeps_colours() -> None:
    pictures = np.stack([picture(seed) for seed in range(4)])
    coded = [compress_sample(pictures, crf, 1.0) for crf in (17, 25, 33, 40)]
    errors = [error(decoded, pictures) for decoded in coded]
    assert errors == sorted(errors)
    assert errors[-1] > 1.5 * errors[0]
    for decoded in coded:
        shift = decoded.mean(axis=(1, 2)) - pictures.mean(axis=(1, 2))
        assert np.abs(shift).max() < 2


def test_smaller_scale_loses_detail_and_keeps_position_and_colour() -> None:
    pictures = np.stack([picture(seed) for seed in range(2)])
    errors = [error(compress_sample(pictures, 17, scale), pictures) for scale in (1.0, 0.6, 0.25)]
    assert errors == sorted(errors)
    small = compress_sample(pictures, 17, 0.25)
    assert np.abs(small.mean(axis=(1, 2)) - pictures.mean(axis=(1, 2))).max() < 2
    dot = np.zeros((1, 96, 96, 3), np.uint8)
    dot[0, 60:68, 20:28] = 255
    blurred = compress_sample(dot, 17, 0.25)[0].mean(axis=2).clip(min=20) - 20
    y, x = ((blurred * grid).sum() / blurred.sum() for grid in np.indices((96, 96)))
    assert (x, y) == pytest.approx((23.5, 63.5), abs=0.6)


def test_all_pictures_of_a_sample_are_compressed_alike() -> None:
    same = np.stack([picture(3)] * 4)
    coded = compress_sample(same, 30, 0.7)
    assert (coded == coded[0]).all()
    # The other pictures of the sample do not matter: none is predicted from another.
    mixed = np.stack([picture(4), picture(3)])
    assert (compress_sample(mixed, 30, 0.7)[1] == coded[0]).all()


def test_chroma_has_half_the_resolution_of_luma() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    # Red and green of the same luma, in columns of one pixel.
    stripes[:, ::2], stripes[:, 1::2] = (200, 0, 0), (0, 102, 0)
    coloured = compress_sample(stripes[None], 5, 1.0)[0, 16:48, 16:48]
    assert np.ptp(coloured[..., 0].mean(axis=0)) < 40
    grey = np.zeros((64, 64, 3), np.uint8)
    grey[:, ::2] = 200
    luma = compress_sample(grey[None], 5, 1.0)[0, 16:48, 16:48]
    assert np.ptp(luma[..., 0].mean(axis=0)) > 180


def test_arguments_out_of_range_are_rejected() -> None:
    pictures = picture(0)[None]
    for crf, scale in ((52, 1.0), (-1, 1.0), (23, 0.0), (23, 1.2)):
        with pytest.raises(ValueError, match="must be"):
            compress_sample(pictures, crf, scale)
    with pytest.raises(ValueError, match="even"):
        compress_h264(picture(0)[:95], 23)
    assert compress_sample(pictures, 23, 0.01).shape == pictures.shape
