"""Every way a picture may be stored or named, good and bad."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from images.checks import LEAKS, assert_same, refusal
from images.pictures import ORIENTATION, array, chunk, encoded, noise, png, smooth, turned
from pumice.errors import ImageError
from pumice.images.load import Limits, content_hash, load_image

KINDS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("extension", ["right", ".txt", ".heic", ""])
def test_the_content_decides_not_the_name(kind: str, extension: str, tmp_path: Path) -> None:
    path = tmp_path / f"picture{'.' + kind.lower() if extension == 'right' else extension}"
    path.write_bytes(encoded(smooth(), kind))
    for source in (path, str(path), path.read_bytes()):
        assert_same(load_image(source), smooth(), {"JPEG": 12, "WEBP": 16, "GIF": 40}.get(kind, 0))


def test_a_pillow_image_is_taken_and_left_alone() -> None:
    image = noise()
    assert load_image(image) is image
    grey = image.convert("L")
    assert_same(load_image(grey), grey)
    assert grey.mode == "L"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_all_orientations_give_the_same_pixels(orientation: int, kind: str) -> None:
    loaded = load_image(turned(noise(), orientation, kind))
    assert_same(loaded, noise())
    assert_same(load_image(loaded), noise())  # not turned twice


@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_of_a_jpeg(orientation: int) -> None:
    assert_same(load_image(turned(smooth(), orientation, "JPEG")), smooth(), 12)


def test_nonsense_in_exif_is_ignored() -> None:
    for value in (0, 9, 77):
        exif = Image.Exif()
        exif[ORIENTATION] = value
        assert_same(load_image(encoded(noise(), "PNG", exif=exif)), noise())
    assert_same(load_image(encoded(noise(), "PNG", exif=b"Exif\x00\x00MM\x00*\xff\xff")), noise())


def test_transparency_is_put_on_white() -> None:
    see_through = noise().convert("RGBA")
    alpha = Image.linear_gradient("L").resize(see_through.size)
    see_through.putalpha(alpha)
    weight = array(alpha)[..., None] / 255
    expected = np.rint(array(noise()) * weight + 255 * (1 - weight))
    for source in (see_through, encoded(see_through, "PNG"), encoded(see_through, "TIFF")):
        assert np.abs(array(load_image(source)) - expected).max() <= 1
    grey = noise().convert("L")
    grey.putalpha(alpha)
    on_white = load_image(encoded(grey, "PNG"))
    assert np.abs(array(on_white)[..., :1] - np.rint(array(grey)[..., :1] * weight + 255 * (1 - weight))).max() <= 1


@pytest.mark.parametrize(
    "mode", ["P", "PA", "La", "RGBa", "RGBX", "CMYK", "YCbCr", "HSV", "LAB", "1", "L", "LA", "RGBA"]
)
def test_every_mode_becomes_rgb(mode: str) -> None:
    through = {"La": "LA", "RGBa": "RGBA", "PA": "P"}.get(mode, mode)
    image = smooth().convert(through).convert(mode) if mode != "LAB" else Image.new("LAB", (4, 4), (255, 128, 128))
    loaded = load_image(image)
    assert loaded.mode == "RGB"
    if mode == "LAB":
        assert array(loaded).min() >= 250
    elif mode in ("1", "L", "LA", "La"):
        assert_same(loaded, smooth().convert("1" if mode == "1" else "L"))
    else:
        assert_same(loaded, smooth().convert("P") if mode in ("P", "PA") else smooth(), 8)


def test_palette_with_a_transparent_entry() -> None:
    image = Image.new("P", (4, 2), 0)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(1, (2, 0, 4, 2))
    for kind in ("PNG", "GIF"):
        loaded = load_image(encoded(image, kind, transparency=0))
        assert loaded.getpixel((0, 0)) == (255, 255, 255)
        assert loaded.getpixel((3, 1)) == (200, 100, 50)


@pytest.mark.parametrize(("mode", "transparent"), [("L", 7), ("RGB", (7, 8, 9)), ("1", 0)])
def test_one_transparent_colour(mode: str, transparent: int | tuple[int, int, int]) -> None:
    image = Image.new(mode, (4, 2), transparent)
    image.paste(1 if mode == "1" else 99 if mode == "L" else (99, 98, 97), (2, 0, 4, 2))
    loaded = load_image(encoded(image, "PNG", transparency=transparent))
    assert loaded.getpixel((0, 0)) == (255, 255, 255)
    assert loaded.getpixel((3, 1)) == {"1": (255, 255, 255), "L": (99, 99, 99), "RGB": (99, 98, 97)}[mode]


def test_cmyk_jpeg() -> None:
    """Written by Pillow with Adobe's inverted inks, as photo programs do."""
    assert_same(load_image(encoded(smooth().convert("CMYK"), "JPEG", quality=95)), smooth(), 12)


def test_sixteen_bit_grey_equals_its_eight_bit_twin() -> None:
    grey = noise().convert("L")
    wide = Image.fromarray((array(grey) * 257).astype(np.uint16))
    assert wide.mode == "I;16"
    for source in (wide, encoded(wide, "PNG"), encoded(wide, "TIFF")):
        assert_same(load_image(source), grey)
    big_endian = Image.frombytes("I;16B", grey.size, (array(grey) * 257).astype(">u2").tobytes())
    assert_same(load_image(big_endian), grey)


def test_the_transparent_value_of_sixteen_bit_grey() -> None:
    """It is compared with all 16 bits: a neighbour that looks the same in 8 stays."""
    values = np.array([[40000, 40001], [0, 65535]])
    content = encoded(Image.fromarray(values.astype(np.uint16)), "PNG")
    at = content.index(b"IDAT") - 4
    transparent = chunk(b"tRNS", (40000).to_bytes(2, "big"))
    loaded = array(load_image(content[:at] + transparent + content[at:]))
    assert loaded[..., 0].tolist() == [[255, 156], [0, 255]]


def test_sixteen_bit_colour_equals_its_eight_bit_twin() -> None:
    rows = b"".join(b"\x00" + (row * 257).astype(">u2").tobytes() for row in array(noise()))
    assert_same(load_image(png(40, 30, rows, depth=16)), noise())


@pytest.mark.parametrize("top", [1.0, 255.0, 65535.0])
def test_floats_and_wide_integers_are_scaled_by_their_range(top: float) -> None:
    grey = noise().convert("L")
    grey.putpixel((0, 0), 255)
    values = array(grey) / 255 * top
    assert_same(load_image(Image.fromarray(values.astype(np.float32))), grey)
    assert_same(load_image(encoded(Image.fromarray(values.astype(np.float32)), "TIFF")), grey)
    if top > 1:
        assert_same(load_image(Image.fromarray(np.rint(values).astype(np.int32))), grey)


def test_floats_beyond_any_usual_range_are_stretched() -> None:
    values = np.array([[-5.0, 0.0, 5.0, np.nan]], np.float32)
    assert array(load_image(Image.fromarray(values)))[0, :, 0].tolist() == [0, 128, 255, 128]
    assert array(load_image(Image.fromarray(np.full((2, 2), -3.0, np.float32)))).max() == 0


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_counts(kind: str) -> None:
    frames = [Image.new("RGB", (12, 10), colour) for colour in ("red", "lime", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert_same(load_image(data), frames[0])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tenth", range(1, 10))
def test_truncated_files_say_so(kind: str, tenth: int) -> None:
    data = encoded(noise(), kind)
    assert "truncated" in str(refusal(data[: len(data) * tenth // 10]))


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_refused_or_read(kind: str) -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        data = bytearray(encoded(noise(), kind))
        for place in rng.integers(12, len(data), 8):
            data[place] = rng.integers(256)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about tags in damaged TIFF files
            try:
                assert load_image(bytes(data)).mode == "RGB"
            except ImageError as error:
                assert not LEAKS.search(str(error))


def test_an_empty_file() -> None:
    assert "empty (0 bytes)" in str(refusal(b""))


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (200, 1)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    assert_same(load_image(encoded(noise(*size), "PNG")), noise(*size))


@pytest.mark.parametrize("size", [(1, 300), (300, 1)])
def test_too_thin_pictures(size: tuple[int, int]) -> None:
    assert "expected a shape of at most 200:1" in str(refusal(encoded(noise(*size), "PNG")))
    assert "expected a shape of at most 200:1" in str(refusal(noise(*size)))
    assert load_image(encoded(noise(*size), "PNG"), limits=Limits(max_aspect=300)).size == size


def test_decompression_bombs_are_refused_by_their_header() -> None:
    limit = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for width, height in ((50_000, 50_000), (10_000, 9_000), (16_385, 100), (8_001, 8_000)):
            bomb = png(width, height, b"\x00" * 64)
            assert len(bomb) < 200
            assert f"it has {width} x {height} pixels, expected at most" in str(refusal(bomb))
    assert limit == Image.MAX_IMAGE_PIXELS


def test_a_png_written_by_hand_is_read() -> None:
    assert load_image(png(1, 2, b"\x00\x01\x02\x03\x00\x04\x05\x06")).getpixel((0, 1)) == (4, 5, 6)


def test_a_bomb_in_a_text_chunk() -> None:
    import zlib

    text = chunk(b"zTXt", b"comment\x00\x00" + zlib.compress(b"a" * (8 << 20), 9))
    refusal(png(1, 1, b"\x00\x01\x02\x03", extra=text))


def test_a_gif_whose_frame_is_far_larger_than_its_screen() -> None:
    data = bytearray(encoded(Image.new("P", (2, 2)), "GIF"))
    place = data.index(b",")
    data[place + 5 : place + 9] = (60_000).to_bytes(2, "little") * 2
    refusal(bytes(data))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"Dear diary, today I saw a cat.\n" * 50, "not a picture: the file starts with text"),
        ("Träume über Größe, ".encode() * 100, "not a picture: the file starts with text"),
        ("wide".encode("utf-16"), "not a picture: the file starts with text"),
        (b"<!DOCTYPE html><html><svg></svg></html>", "not a picture: the file starts with text"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG is a drawing, not a bitmap"),
        (b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- a -->\n<svg width='1'>", "SVG is a drawing, not a bitmap"),
        (b"%PDF-1.7\n", "PDF"),
        (b"8BPS\x00\x01", "PSD"),
        (b"%!PS-Adobe-3.0 EPSF-3.0", "EPS"),
        (b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic", "HEIC"),
        (b"\x00\x00\x00\x1cftypavif\x00\x00\x00\x00avifmif1", "AVIF"),
        (b"\x00\x00\x00\x1cftypmp42\x00\x00\x00\x00isom", "video"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\x00\x00\x01\x00\x01\x00", "ICO"),
        (b"PK\x03\x04\x14\x00", "ZIP"),
        (os.urandom(7) + b"\x00\xff" * 300, "not a picture in a known format"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, words: str, tmp_path: Path) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(data)
    error = refusal(path)
    assert words in str(error)
    assert str(path) in str(error)
    assert error.hint


@given(
    st.binary(max_size=300), st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"II*\x00"])
)
def test_random_bytes_raise_nothing_but_image_errors(data: bytes, start: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            load_image(start + data)
        except ImageError as error:
            assert not LEAKS.search(str(error))


@given(st.text(max_size=60))
def test_random_text_raises_nothing_but_image_errors(text: str) -> None:
    with pytest.raises(ImageError):
        load_image(f"data:{text}")
    with pytest.raises(ImageError):
        load_image(text + "/no such picture", fetch=None)


def test_hashes_tell_pictures_apart() -> None:
    flat = bytes(range(24))
    images = [
        Image.frombytes("L", (24, 1), flat),
        Image.frombytes("L", (1, 24), flat),
        Image.frombytes("RGB", (8, 1), flat),
        Image.frombytes("RGB", (4, 2), flat),
        Image.frombytes("P", (24, 1), flat),
    ]
    recoloured = images[-1].copy()
    recoloured.putpalette([1, 2, 3] * 256)
    hashes = {content_hash(image) for image in [*images, recoloured]}
    assert len(hashes) == 6
    assert content_hash(noise()) == content_hash(load_image(encoded(noise(), "PNG"))) != content_hash(noise(seed=1))


def test_the_door_is_light() -> None:
    code = (
        "import sys, pumice.images.load, pumice.images.preprocess\n"
        "print([name for name in ('torch', 'httpx2', 'httpcore2', 'asyncio', 'ssl') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
