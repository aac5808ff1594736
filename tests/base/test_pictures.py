"""The one decoder: what is read, at which value, and what is refused by name."""

import io
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from e2r_metrics.base.errors import PictureError, UsageError
from e2r_metrics.base.pictures import (
    Reading,
    eight_bit,
    parse_colour,
    picture_size,
    read_image,
    read_pixels,
    write_png,
)


def colours(height: int = 13, width: int = 17) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def deep(height: int = 13, width: int = 17, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(4).integers(0, 65536, shape, dtype=np.uint16)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".ppm", ".webp", ".gif"])
def test_eight_bits_come_back_as_stored(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix.upper()}"
    image = colours()
    if suffix == ".gif":
        image = np.repeat(np.arange(221, dtype=np.uint8).reshape(13, 17)[..., None], 3, 2)
    keep = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(image).save(path, **keep)
    assert np.array_equal(read_pixels(path), image)
    assert picture_size(path) == (13, 17)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_sixteen_bits_are_read_at_65535(tmp_path: Path, suffix: str, channels: int) -> None:
    path = tmp_path / f"a{suffix}"
    stored = deep(channels=channels)
    assert cv2.imwrite(str(path), stored[..., ::-1] if channels == 3 else stored)
    read = read_pixels(path)
    wanted = stored if channels == 3 else np.repeat(stored[..., None], 3, 2)
    assert read.dtype == np.float32
    np.testing.assert_allclose(read, wanted / 65535, atol=1e-7)
    assert np.array_equal(read_image(path), np.rint(wanted / 257).astype(np.uint8))


def test_floats_need_a_declared_range_and_keep_to_it(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    stored = (colours() / 255).astype(np.float32)
    # OpenCV before 5 packs colours in floats as logarithms unless it is told not to.
    assert cv2.imwrite(str(path), stored[..., ::-1], [cv2.IMWRITE_TIFF_COMPRESSION, 1])
    with pytest.raises(PictureError, match=r"a\.tif.*--range"):
        read_pixels(path)
    np.testing.assert_allclose(read_pixels(path, Reading(value_range=1.0)), stored, atol=1e-7)
    np.testing.assert_allclose(read_pixels(path, Reading(value_range=2.0)), stored / 2, atol=1e-7)
    with pytest.raises(PictureError, match=r"expected values from 0 to --range 0\.5"):
        read_pixels(path, Reading(value_range=0.5))


def test_opaque_alpha_is_dropped_and_translucent_needs_a_background(tmp_path: Path) -> None:
    image = colours()
    opaque, clear = tmp_path / "o.png", tmp_path / "t.png"
    alpha = np.full((13, 17, 1), 255, np.uint8)
    Image.fromarray(np.concatenate([image, alpha], 2)).save(opaque)
    assert np.array_equal(read_pixels(opaque), image)
    alpha[0, 0] = 51
    Image.fromarray(np.concatenate([image, alpha], 2)).save(clear)
    with pytest.raises(PictureError, match="--flatten"):
        read_pixels(clear)
    flat = read_pixels(clear, Reading(flatten=(255, 255, 255)))
    assert np.array_equal(flat[1:], image[1:])
    assert np.array_equal(flat[0, 0], np.rint(image[0, 0] * 0.2 + 255 * 0.8).astype(np.uint8))


def test_a_colour_key_is_transparency_too(tmp_path: Path) -> None:
    path = tmp_path / "key.png"
    image = colours()
    Image.fromarray(image).save(path, transparency=tuple(int(v) for v in image[0, 0]))
    with pytest.raises(PictureError, match="transparency"):
        read_pixels(path)


def test_grey_and_palettes_are_expanded(tmp_path: Path) -> None:
    grey = colours()[..., 0]
    Image.fromarray(grey).save(tmp_path / "g.png")
    assert np.array_equal(read_pixels(tmp_path / "g.png"), np.repeat(grey[..., None], 3, 2))
    few = Image.fromarray(colours()).quantize(16)
    few.save(tmp_path / "p.png")
    assert np.array_equal(read_pixels(tmp_path / "p.png"), np.asarray(few.convert("RGB")))


def _with_thumbnail(image: np.ndarray) -> bytes:
    """A JPEG whose metadata holds a whole small JPEG, with an end mark of its own."""
    small = io.BytesIO()
    Image.fromarray(image[:8, :8]).save(small, "JPEG")
    exif = b"Exif\x00\x00" + small.getvalue()
    whole = io.BytesIO()
    Image.fromarray(image).save(whole, "JPEG", quality=95)
    body = whole.getvalue()
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return body[:2] + segment + body[2:]


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.95, 0.999])
@pytest.mark.parametrize("kind", ["png", "jpeg", "thumbnail"])
def test_a_cut_file_is_refused_whatever_its_last_bytes_are(
    tmp_path: Path, kind: str, keep: float
) -> None:
    image = colours(200, 300)
    path = tmp_path / "a.img"
    if kind == "thumbnail":
        path.write_bytes(_with_thumbnail(image))
    else:
        Image.fromarray(image).save(path, kind)
    assert read_pixels(path).shape == image.shape
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
    with pytest.raises(PictureError, match=r"a\.img: expected a whole image file"):
        read_pixels(path)


def test_a_jpeg_cut_right_behind_its_thumbnail_is_cut(tmp_path: Path) -> None:
    content = _with_thumbnail(colours(200, 300))
    end = content.index(b"\xff\xd9") + 2
    path = tmp_path / "a.jpg"
    path.write_bytes(content[:end])
    with pytest.raises(PictureError, match="cut off"):
        read_pixels(path)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "WEBP", "PNG"])
def test_several_frames_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind.lower()}"
    frames = [Image.fromarray(np.roll(colours(), k, 0)) for k in range(3)]
    frames[0].save(path, kind, save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match=r"frames or pages|animated"):
        read_pixels(path)


def test_cmyk_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.fromarray(colours()).convert("CMYK").save(path)
    with pytest.raises(PictureError, match="4 components"):
        read_pixels(path)


def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero"), tmp_path):
        with pytest.raises(PictureError, match="no regular file"):
            read_pixels(path)
    with pytest.raises(PictureError, match="No such file"):
        read_pixels(tmp_path / "absent.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(PictureError, match="empty"):
        read_pixels(tmp_path / "empty.png")


def test_a_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    side = 60_000
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    chunks = [(b"IHDR", head), (b"IDAT", data), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks
    )
    path = tmp_path / "bomb.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    with pytest.raises(PictureError, match=r"found 60000x60000.*--max-megapixels"):
        read_pixels(path)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_damaged_bytes_give_a_picture_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    kind = data.draw(st.sampled_from(["PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF"]))
    stream = io.BytesIO()
    Image.fromarray(colours(9, 11)).save(stream, kind)
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("damaged") / "a.png"
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    try:
        pixels, said = read_pixels(path), ""
    except PictureError as error:
        pixels, said = np.zeros((1, 1, 3)), str(error)
    assert "\n" not in said
    assert pixels.shape[2:] == (3,)


def test_png_round_trip_is_exact_and_rounding_is_half_to_even(tmp_path: Path) -> None:
    write_png(tmp_path / "deep" / "a.png", colours())
    assert np.array_equal(read_pixels(tmp_path / "deep" / "a.png"), colours())
    half = np.array([[[0.5 / 255, 1.5 / 255, 2.0]]])
    assert eight_bit(half).tolist() == [[[0, 2, 255]]]


def test_colours_are_names_or_codes() -> None:
    assert parse_colour("white") == (255, 255, 255)
    assert parse_colour("#80ff00") == (128, 255, 0)
    with pytest.raises(UsageError, match="expected a colour"):
        parse_colour("no colour")
