"""Still pictures and animations: orientation, colours, pages, and who reads what."""

import subprocess
import sys
import warnings
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from PIL import Image, ImageFile
from PIL.ExifTags import Base as ExifTag

from fakelens.errors import MediaError
from fakelens.media import picture_files
from fakelens.media.reader import open_video
from support.media import draw_frame, make_clip
from support.pictures import (
    SCENE,
    as_stored,
    assert_like,
    draw_scene,
    read_picture,
    save,
    save_heic_grid,
)
from support.reading import frame_numbers, read_frames

# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff", "avif", "heic"])
def test_pictures_of_all_orientations_are_upright(
    suffix: str, orientation: int, tmp_path: Path
) -> None:
    image, info = read_picture(save(tmp_path / f"a.{suffix}", SCENE, orientation))
    assert_like(image, SCENE, {"jpg": 8, "avif": 12, "heic": 8}.get(suffix, 0))
    assert (info.rotation, info.mirrored) == (0, False)
    told = f"The picture was turned upright (EXIF orientation {orientation})."
    assert info.changes == (() if orientation == 1 else (told,))


def test_the_scene_as_stored_is_turned_upright_by_opencv(tmp_path: Path) -> None:
    for orientation in range(1, 9):
        path = save(tmp_path / "a.png", SCENE, orientation)
        assert_like(cv2.imread(str(path))[..., ::-1], SCENE)


def test_the_orientation_boxes_of_a_heic_count_and_not_its_exif_data(tmp_path: Path) -> None:
    path = save(tmp_path / "a.heic", SCENE, 6)
    data = path.read_bytes()
    assert data.count(b"irot") == 1
    path.write_bytes(data.replace(b"irot", b"free"))
    image, _ = read_picture(path)
    assert_like(image, as_stored(SCENE, 6), 8)


def test_a_damaged_exif_block_does_not_keep_a_picture_from_being_read(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", SCENE, 6)
    data = path.read_bytes()
    start = data.index(b"Exif\0\0") + 6
    path.write_bytes(data[:start] + b"\xff" * 24 + data[start + 24 :])
    image, info = read_picture(path)
    assert_like(image, as_stored(SCENE, 6), 8)
    assert info.changes == ()


def test_an_orientation_at_the_end_of_a_png_counts(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", SCENE, 6)
    data = path.read_bytes()
    start = data.index(b"eXIf") - 4
    end = start + 12 + int.from_bytes(data[start : start + 4], "big")
    last = data.index(b"IEND") - 4
    path.write_bytes(data[:start] + data[end:last] + data[start:end] + data[last:])
    assert_like(read_picture(path)[0], SCENE)


# HEIC


@pytest.mark.parametrize("turns", range(4))
def test_a_heic_of_tiles_is_examined_whole(turns: int, tmp_path: Path) -> None:
    image, info = read_picture(save_heic_grid(tmp_path / "phone.heic", SCENE, turns=turns))
    assert_like(image, SCENE, 8)
    assert (info.codec, info.stream, info.other_streams) == ("hevc", 1, ())


@pytest.mark.parametrize("suffix", ["avif", "heic"])
def test_the_general_brand_of_heif_is_read(suffix: str, tmp_path: Path) -> None:
    path = save(tmp_path / f"a.{suffix}", SCENE, 6)
    data = path.read_bytes()
    path.write_bytes(data[:8] + b"mif1" + data[12:])
    assert_like(read_picture(path)[0], SCENE, 12)


def test_the_primary_picture_of_a_heic_is_examined(tmp_path: Path) -> None:
    others = [Image.fromarray(draw_scene(64, 48)), Image.fromarray(SCENE)]
    path = save(
        tmp_path / "a.heic",
        draw_scene(96, 80),
        save_all=True,
        append_images=others,
        primary_index=2,
    )
    image, info = read_picture(path)
    assert_like(image, SCENE, 8)
    assert info.stream == 3
    assert info.other_streams == ("page 1: 96 x 80", "page 2: 64 x 48")
    assert read_picture(path, 2)[0].shape == (48, 64, 3)


def test_videos_are_opened_without_pillow_and_heic_without_a_change_to_it(tmp_path: Path) -> None:
    video, path = make_clip(tmp_path / "a.mp4"), save(tmp_path / "a.heic", SCENE)
    program = (
        "import sys, pathlib; from fakelens.media.reader import open_video; "
        "open_video(pathlib.Path(sys.argv[1])).close(); assert 'PIL' not in sys.modules; "
        "open_video(pathlib.Path(sys.argv[2])).close(); from PIL import Image; Image.init(); "
        "assert 'HEIF' not in Image.OPEN"
    )
    subprocess.run([sys.executable, "-c", program, video, path], check=True)


# Pages


@pytest.mark.parametrize("suffix", ["tiff", "mpo"])
def test_one_page_is_examined_and_the_others_are_named(suffix: str, tmp_path: Path) -> None:
    more = [Image.fromarray(draw_scene(64, 48)), Image.fromarray(draw_scene(48, 80))]
    path = save(tmp_path / f"a.{suffix}", SCENE, save_all=True, append_images=more)
    image, info = read_picture(path)
    assert_like(image, SCENE, 8)
    assert info.stream == 1
    assert info.other_streams == ("page 2: 64 x 48", "page 3: 48 x 80")
    image, info = read_picture(path, 3)
    assert_like(image, draw_scene(48, 80), 10)
    assert info.other_streams == ("page 1: 160 x 112", "page 2: 64 x 48")
    for page in (0, 4):
        with pytest.raises(MediaError, match=f"there is no page {page}; choose one from 1 to 3"):
            open_video(path, page)


def test_many_pages_are_named_in_short(tmp_path: Path) -> None:
    small = Image.new("L", (8, 8))
    path = save(tmp_path / "a.tiff", small, save_all=True, append_images=[small] * 29)
    _, info = read_picture(path)
    assert len(info.other_streams) == 20
    assert info.other_streams[-1] == "pages 21 to 30"


def test_a_picture_without_pages_has_no_second_one(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", SCENE)
    with pytest.raises(MediaError, match="there is no page 2; the file has one picture"):
        open_video(path, 2)


# Animations and videos


@pytest.mark.parametrize("name", ["a.webp", "a.avif", "a.gif", "a.png"])
def test_animations_have_their_frames_and_times(name: str, tmp_path: Path) -> None:
    first, *more = (Image.fromarray(draw_frame(number)) for number in range(5))
    times = [40, 100, 250, 40, 70]
    first.save(
        tmp_path / name,
        save_all=True,
        append_images=more,
        duration=times,
        quality=95,
        lossless=True,
    )
    with open_video(tmp_path / name) as reader:
        assert not reader.info.is_picture
        assert reader.info.frame_estimate in (5, None)
        frames = list(reader.frames())
    assert frame_numbers(frames) == list(range(5))
    assert [frame.time for frame in frames] == [Fraction(t, 1000) for t in (0, 40, 140, 390, 430)]


def save_animation(path: Path, **options: object) -> Path:
    first, *more = (Image.fromarray(draw_frame(number)) for number in range(3))
    first.save(path, save_all=True, append_images=more, duration=40, lossless=True, **options)
    return path


@pytest.mark.parametrize("name", ["a.webp", "a.gif"])
def test_an_animation_has_one_stream(name: str, tmp_path: Path) -> None:
    path = save_animation(tmp_path / name)
    open_video(path, 1).close()
    with pytest.raises(MediaError) as caught:
        open_video(path, 7)
    assert str(caught.value) == f"{path}: there is no video stream 7; choose one from 1 to 1"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_animated_webp_is_turned_upright(orientation: int, tmp_path: Path) -> None:
    stored = Image.fromarray(as_stored(SCENE, orientation))
    exif = Image.Exif()
    exif[ExifTag.Orientation] = orientation
    more = [Image.fromarray(as_stored(SCENE[::-1], orientation))]
    options = {"save_all": True, "append_images": more, "duration": 40, "lossless": True}
    stored.save(tmp_path / "a.webp", exif=exif, **options)
    with open_video(tmp_path / "a.webp") as reader:
        info = reader.info
        frames = list(reader.frames())
    assert (info.width, info.height) == (160, 112)
    for frame, expected in zip(frames, (SCENE, SCENE[::-1]), strict=True):
        assert_like(frame.image, expected)
    told = f"The picture was turned upright (EXIF orientation {orientation})."
    assert info.changes == (() if orientation == 1 else (told,))


def test_damaged_exif_data_of_an_animated_webp_are_ignored(tmp_path: Path) -> None:
    path = save_animation(tmp_path / "a.webp", exif=b"Exif\0\0" + b"\xff" * 24)
    assert frame_numbers(read_frames(path)) == [0, 1, 2]


def test_frames_of_an_animated_webp_that_last_no_time_have_times_of_their_own(
    tmp_path: Path,
) -> None:
    first, *more = (Image.fromarray(draw_frame(number)) for number in range(4))
    first.save(tmp_path / "a.webp", save_all=True, append_images=more, duration=0, lossless=True)
    frames = read_frames(tmp_path / "a.webp")
    assert frame_numbers(frames) == list(range(4))
    assert [frame.time * 1000 for frame in frames] == [0, 1, 2, 3]


@pytest.mark.parametrize("name", ["a.webp", "a.avif", "a.gif", "a.png", "a.tiff", "a.ppm", "a.jp2"])
def test_one_frame_is_a_picture(name: str, tmp_path: Path) -> None:
    _, info = read_picture(save(tmp_path / name, SCENE))
    assert (info.frame_estimate, info.duration, info.audio) == (1, None, ())


def test_the_codec_is_named_as_by_ffmpeg(tmp_path: Path) -> None:
    for suffix in ("jpg", "png", "gif", "webp", "tiff", "bmp", "jp2", "ppm"):
        path = save(tmp_path / f"a.{suffix}", SCENE)
        with av.open(str(path)) as container:
            assert read_picture(path)[1].codec == container.streams.video[0].codec_context.name


def test_a_video_of_jpeg_pictures_is_a_video(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mjpeg", codec="mjpeg", pixel_format="yuvj420p", frames=6)
    path.rename(tmp_path / "clip")
    with open_video(tmp_path / "clip") as reader:
        assert not reader.info.is_picture
        assert frame_numbers(list(reader.frames())) == list(range(6))


def test_what_follows_a_jpeg_does_not_make_it_a_video(tmp_path: Path) -> None:
    path = save(tmp_path / "a.jpg", SCENE)
    picture = path.read_bytes()
    gain_map = save(tmp_path / "b.jpg", draw_scene(80, 56)).read_bytes()
    clip = make_clip(tmp_path / "b.mp4").read_bytes()
    for more in (gain_map, clip, bytes(3000)):
        path.write_bytes(picture + more)
        assert_like(read_picture(path)[0], SCENE, 8)


def test_a_heif_with_a_sequence_is_read_as_a_video(tmp_path: Path) -> None:
    path = make_clip(tmp_path / "a.mp4", codec="libx265", frames=3, muxer={"brand": "hevc"})
    with open_video(path) as reader:
        assert len(list(reader.frames())) == 3


@pytest.mark.parametrize(("name", "codec"), [("a.exr", "exr"), ("a.dpx", "dpx")])
def test_other_pictures_are_left_to_ffmpeg(name: str, codec: str, tmp_path: Path) -> None:
    pixel_format = {"exr": "gbrpf32le", "dpx": "rgb24"}[codec]
    with av.open(str(tmp_path / name), "w", format="image2") as container:
        stream = container.add_stream(codec, width=160, height=112)
        stream.pix_fmt = pixel_format
        frame = av.VideoFrame.from_ndarray(SCENE, format="rgb24").reformat(format=pixel_format)
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    image, info = read_picture(tmp_path / name)
    assert info.codec == codec
    assert image.shape == SCENE.shape


def test_a_floating_point_tiff_in_colour_is_left_to_ffmpeg(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="writes such TIFF")
    tifffile.imwrite(tmp_path / "a.tiff", SCENE.astype(np.float32) / 255, photometric="rgb")
    assert_like(read_picture(tmp_path / "a.tiff")[0], SCENE, 2)


def test_the_preview_of_a_raw_photograph_is_not_examined(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile", reason="writes such TIFF")
    with tifffile.TiffWriter(tmp_path / "a.dng") as writer:
        writer.write(SCENE[::4, ::4], photometric="rgb", subifds=1, subfiletype=1)
        writer.write(SCENE, photometric="rgb", subfiletype=0)
    with Image.open(tmp_path / "a.dng") as preview:
        assert preview.size == (40, 28)
    try:
        with open_video(tmp_path / "a.dng") as reader:
            assert reader.info.width == 160
    except MediaError:
        pass


# Limits


def test_postscript_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    with pytest.raises(MediaError):
        open_video(tmp_path / "a.png")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tiff", "avif", "heic"])
def test_a_picture_of_too_many_pixels_is_refused_in_one_sentence(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture_files, "MAX_PIXELS", 100_000)
    large = save(tmp_path / f"large.{suffix}", draw_scene(400, 251))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_picture(save(tmp_path / f"a.{suffix}", draw_scene(400, 250)))[1].width == 400
        with pytest.raises(MediaError) as caught:
            open_video(large)
    assert str(caught.value) == (
        f"{large}: has more than 0.1 million pixels, the limit for a picture: reduce its size"
    )


def test_settings_of_pillow_are_restored(tmp_path: Path) -> None:
    before = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, warnings.filters[:]
    path = save(tmp_path / "a.jpg", SCENE)
    path.write_bytes(path.read_bytes()[:2000])
    open_video(path).close()
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, warnings.filters) == before
